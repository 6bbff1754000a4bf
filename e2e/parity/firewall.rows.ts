// The firewall plugin with its iptables backend: chains, rules, comments and positions, for each policy and family. Release 1.1.1 has no policy "isolated".
import { codes } from "./deviations.ts";
import { asRelease191, intended, type Json, type Row, type Step } from "./row.ts";

const four = { address: "10.1.0.2/24", interface: 1 };
const six = { address: "fd00:1::2/64", interface: 1 };
const resultOf = (...ips: Json[]): Json => ({
  prevResult: {
    cniVersion: "1.0.0",
    interfaces: [{ name: "br0" }, { name: "eth0", sandbox: "/run/netns/c0" }],
    ips,
  },
});

function firewall(claim: string, keys: Json, more: Partial<Row> = {}): Row {
  const conf = { cniVersion: "1.0.0", name: "net", type: "firewall", ...resultOf(four), ...keys };
  return { name: `firewall: ${claim}`, plugin: "firewall", conf, ...more };
}

/** What any row shows in which an address is let through. */
export const owners = intended("Rules have owners", { ours: /: host (nft|ip6?tables) .*CNI-FORWARD-OWNERS/ });

const policiesGo = intended("Policies go with the last container", {
  go: /DEL: host (nft|ip6?tables) .*(CNI-ISOLATION-STAGE|FORWARD \d: .*jump CNI-FORWARD|FORWARD \d: .*-j CNI-FORWARD)/,
  ours: /DEL: host (nft|ip6?tables) .*FORWARD \d: .*(jump|-j) CNI-FORWARD/,
});
/** Release 1.1.1 names the policy in them that came first. */
const oneComment = asRelease191("rules that policies share have one comment", {
  rewritten: [
    [
      /(-A (?:FORWARD|CNI-ISOLATION-STAGE-\d) .*ingressPolicy: )(?:same-bridge|isolated)(\)\\?" -j (?:RETURN|DROP|CNI-ISOLATION-STAGE-1))/,
      "$1same-bridge|isolated$2",
    ],
  ],
});
const withPolicy = { deviations: [policiesGo, oneComment] };
const dual = resultOf(four, six);

const refused = (says: string): Partial<Row> => ({ steps: [{ verb: "ADD", says }], deviations: [configurationCode] });
const configurationCode = intended(codes, { rewritten: [[/: code 999$/, ": code 7"]] });
const refusedFirst = intended("An unknown ingressPolicy is refused first", {
  go: [/ADD: host (nft|ip6?tables) /, /DEL: (exit 1|code 999|says why)/, /DEL: host (nft|ip6?tables) /],
  ours: [/DEL: exit 0/, /DEL: {2}$/],
});
const second: Json = resultOf({ ...four, address: "10.1.0.3/24" });
const twoContainers: Step[] = [
  "ADD",
  { verb: "ADD", container: 1, conf: second },
  { verb: "CHECK", container: 1, conf: second },
  "DEL",
  { verb: "CHECK", container: 1, conf: second },
];

export const firewallRows: readonly Row[] = [
  firewall("lets an IPv4 address through", {}),
  firewall("lets an IPv6 address through", resultOf(six)),
  firewall("lets addresses of both families through", dual),
  firewall("lets two addresses of a family through", resultOf(four, { ...four, address: "10.2.0.2/16" })),
  firewall("lets nothing through without addresses", resultOf()),
  firewall("an admin chain of another name", { ...dual, iptablesAdminChainName: "MY-RULES" }),
  firewall("ingressPolicy open", { ingressPolicy: "open" }),
  firewall("ingressPolicy same-bridge", { ...dual, ingressPolicy: "same-bridge" }, withPolicy),
  firewall("two containers of an open network", {}, { steps: twoContainers }),
  firewall(
    "two containers of a network with a policy",
    { ingressPolicy: "same-bridge" },
    { steps: twoContainers, deviations: [oneComment] },
  ),
  firewall(
    "two bridges with a policy",
    { ingressPolicy: "same-bridge" },
    {
      steps: [
        "ADD",
        {
          verb: "ADD",
          container: 1,
          conf: { name: "net2", prevResult: { ...(second["prevResult"] as Json), interfaces: [{ name: "br1" }] } },
        },
        "CHECK",
      ],
      deviations: [oneComment],
    },
  ),
  firewall(
    "rules that are there already are left where they are",
    {},
    {
      prepare: `iptables -w -N CNI-FORWARD; iptables -w -A FORWARD -i x -j ACCEPT
      iptables -w -A FORWARD -m comment --comment 'CNI firewall plugin rules' -j CNI-FORWARD
      iptables -w -A CNI-FORWARD -s 10.1.0.2/32 -j ACCEPT; iptables -w -P FORWARD DROP`,
      steps: ["ADD", "CHECK"],
    },
  ),
  firewall("a result of version 0.4.0", {
    cniVersion: "0.4.0",
    prevResult: {
      cniVersion: "0.4.0",
      interfaces: [{ name: "br0" }],
      ips: [{ version: "4", address: "10.1.0.2/24" }],
    },
  }),
  firewall(
    "CHECK wants the rules of the address",
    {},
    {
      steps: [
        "ADD",
        {
          verb: "CHECK",
          before: "iptables -w -D CNI-FORWARD -s 10.1.0.2/32 -j ACCEPT",
          says: "expected rule [-s 10.1.0.2/32 -j ACCEPT] not found",
        },
      ],
    },
  ),
  firewall(
    "CHECK wants the jump to them",
    {},
    {
      steps: [
        "ADD",
        {
          verb: "CHECK",
          before: "iptables -w -F FORWARD",
          says: "expected FORWARD rule [-m comment --comment CNI firewall plugin rules -j CNI-FORWARD] not found",
        },
      ],
    },
  ),
  firewall("no result before it", { prevResult: undefined }, refused("missing prevResult from earlier plugin")),
  firewall(
    "a policy without a bridge",
    {
      ingressPolicy: "same-bridge",
      prevResult: { cniVersion: "1.0.0", interfaces: [], ips: [{ address: "10.1.0.2/24" }] },
    },
    {
      steps: [
        {
          verb: "ADD",
          says: `interface needs to be set for ingress policy "same-bridge", make sure to chain "firewall" plugin with "bridge"`,
        },
      ],
      deviations: [
        configurationCode,
        intended("An unknown ingressPolicy is refused first", { go: /ADD: host (nft|ip6?tables) / }),
      ],
    },
  ),
  firewall(
    "a policy that is none",
    { ingressPolicy: "closed" },
    {
      steps: [{ verb: "ADD", says: `unknown ingress policy: "closed"` }, "DEL"],
      deviations: [configurationCode, refusedFirst],
    },
  ),
  firewall(
    "a version before 0.4.0",
    { cniVersion: "0.3.1", prevResult: undefined },
    {
      steps: [{ verb: "ADD", says: "incompatible CNI versions" }],
    },
  ),
];
