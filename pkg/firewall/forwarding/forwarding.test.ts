// Forwarding on a fake kernel: what an ADD and a DEL make of what is there, with refusals and with others who change the rules meanwhile.
import t from "tap";
import { type Prefix, parsePrefix } from "../../ip/address.ts";
import { difference } from "../../netlink/fake/difference.testing.ts";
import { NFPROTO_INET, NFPROTO_IPV4 } from "../../netlink/nftables/header.ts";
import { differenceBy, disturbedOnce, kernelWith, leftByRefusal, refusedOnce, type Work } from "../cases.testing.ts";
import { usesLegacy } from "../iptables/host.ts";
import { flushChain, newChain, newRule, newTable } from "../nftables/ruleset.ts";
import { commit } from "../nftables/transaction.ts";
import { ACCEPT } from "../nftables/verdict.ts";
import { allowForwarding, gcForwarding, revokeForwarding } from "./forwarding.ts";
import { findNftablesDeviation } from "./nftables.ts";
import type { ForwardingRequest, Policy } from "./ownership.ts";

const address = (text: string) => (parsePrefix(text) as Prefix).address;
const owner = (containerId: string, network = "podnet") => ({ network, containerId, ifName: "eth0" });
const request = (containerId: string, addresses: string[], policy?: Policy, network?: string): ForwardingRequest => ({
  owner: owner(containerId, network),
  addresses: addresses.map(address),
  policy,
  adminChain: "CNI-ADMIN",
});
const policy = (bridge: string, isolated = false): Policy => ({ bridge, isolated });

const web = request("web", ["10.22.0.5/32", "fd00::5/128"], policy("cni0"));
const db = request("db", ["10.22.0.6/32"], policy("cni0"));
const strict = request("strict", ["10.23.0.7/32"], policy("cni1", true));
const plain = request("plain", ["10.24.0.8/32"]);

type Backend = "nftables" | "iptables";
const options = (backend: Backend) => ({ backend, zone: "trusted" });
const add =
  (backend: Backend, one: ForwardingRequest): Work =>
  (netfilter) =>
    allowForwarding(one, options(backend), () => netfilter);
const remove =
  (backend: Backend, { owner, addresses, policy }: ForwardingRequest): Work =>
  (netfilter) =>
    revokeForwarding(owner, { addresses, bridge: policy?.bridge }, options(backend), netfilter);
const collect =
  (backend: Backend, network: string, ...valid: ForwardingRequest[]): Work =>
  (netfilter) =>
    gcForwarding(
      network,
      valid.map((one) => one.owner),
      options(backend),
      netfilter,
    );
const allow = (one: ForwardingRequest) => add("nftables", one);
const revoke = (one: ForwardingRequest) => remove("nftables", one);

const TABLE = { family: NFPROTO_INET, table: "twill_firewall" };
const theirs: Work = (netfilter) => {
  const chain = { family: NFPROTO_IPV4, table: "theirs", chain: "c" };
  commit(netfilter, [newTable(chain), newChain(chain), newRule(chain, { expressions: ACCEPT, comment: "theirs" })]);
};
const adminRule: Work = (netfilter) =>
  commit(netfilter, [
    newRule({ ...TABLE, chain: "CNI-ADMIN" }, { expressions: ACCEPT, comment: "the administrator's" }),
  ]);
const flushed: Work = (netfilter) => commit(netfilter, [flushChain({ ...TABLE, chain: "isolation" })]);

const element = (address: string, words: string) => `${address} comment "ID, ${words}"`;
const ofDb = element("10.22.0.6", "same-bridge cni0, net: podnet, if: eth0, id: db");
const ofStrict = element("10.23.0.7", "isolated cni1, net: podnet, if: eth0, id: strict");
const isolationRules = [
  '+ iifname . oifname @open_bridges return comment "within a bridge that is open"',
  '+ drop comment "all else between bridges with a policy"',
];
const elsewhere = request("web", ["10.22.0.9/32"], policy("cni0", true), "other");

const cases: [claim: string, before: Work[], work: Work, expected: string[]][] = [
  ["a second container of the bridge", [allow(web)], allow(db), [`+ ${ofDb}`]],
  ["an isolated bridge", [allow(web)], allow(strict), [`+ ${ofStrict}`, '+ "cni1"']],
  ["without a policy", [allow(web)], allow(plain), [`+ ${element("10.24.0.8", "net: podnet, if: eth0, id: plain")}`]],
  ["the same again changes nothing", [allow(web)], allow(web), []],
  [
    "an address that another container had is the new one's",
    [allow(db)],
    allow({ ...db, owner: owner("next") }),
    [`- ${ofDb}`, `+ ${ofDb.replace("id: db", "id: next")}`],
  ],
  [
    "another network isolates the bridge",
    [allow(db)],
    allow(elsewhere),
    ['- "cni0" . "cni0"', `+ ${element("10.22.0.9", "isolated cni0, net: other, if: eth0, id: web")}`],
  ],
  ["a bridge that another network isolates stays isolated", [allow(elsewhere)], allow(db), [`+ ${ofDb}`]],
  [
    "the bridge is open again with the last who wanted it isolated",
    [allow(db), allow(elsewhere)],
    revoke(elsewhere),
    [`- ${element("10.22.0.9", "isolated cni0, net: other, if: eth0, id: web")}`, '+ "cni0" . "cni0"'],
  ],
  ["the administrator's rules stay", [allow(web), adminRule], allow(db), [`+ ${ofDb}`]],
  ["a flushed chain is filled again", [allow(web), flushed], allow(db), [`+ ${ofDb}`, ...isolationRules]],
  ["DEL", [allow(web), allow(db)], revoke(db), [`- ${ofDb}`]],
  ["DEL of the bridge's last container", [allow(web), allow(strict)], revoke(strict), [`- ${ofStrict}`, '- "cni1"']],
  [
    "a late DEL leaves the address to its next owner",
    [allow(db), allow({ ...db, owner: owner("next") })],
    revoke(db),
    [],
  ],
  ["DEL of somebody else", [allow(web)], revoke(db), []],
  ["DEL on an empty host", [], revoke(db), []],
  ["GC", [allow(web), allow(db), allow(elsewhere)], collect("nftables", "podnet", web), [`- ${ofDb}`]],
];
for (const [claim, before, work, expected] of cases) {
  t.test(`nftables: ${claim}`, async (t) => {
    const lines = differenceBy(kernelWith(...before), work).map((line) =>
      line.replace(/"[0-9a-f]+-[0-9a-f]+, /, '"ID, '),
    );
    t.strictSame(lines.sort(), expected.sort());
  });
}

t.test("nftables: whether a bridge stays isolated does not depend on the order of elements", async (t) => {
  const asked = (address: string, isolated: boolean) =>
    request(address, [`${address}/32`], policy("cni0", isolated), "other");
  for (const [isolated, open] of [
    ["10.9.0.1", "10.9.0.2"],
    ["10.9.0.2", "10.9.0.1"],
    ["10.9.0.250", "10.9.0.3"],
    ["10.9.0.3", "10.9.0.250"],
  ] as const) {
    const kernel = kernelWith(allow(asked(open, false)), allow(asked(isolated, true)));
    const lines = differenceBy(kernel, allow(db));
    t.notOk(lines.includes('+ "cni0" . "cni0"'), `isolated for ${isolated}`);
  }
});

t.test("nftables: CHECK says what is missing", async (t) => {
  const check = (...works: Work[]) => findNftablesDeviation(kernelWith(...works).connect(), web);
  t.equal(check(allow(web)), undefined);
  t.equal(check(allow(web), allow(strict), allow(elsewhere)), undefined, "isolated by another network");
  t.match(check(allow(web), flushed), /the rule "within a bridge that is open" is missing/);
  t.match(check(allow(db)), /address 10.22.0.5 is not in set containers4/);
  t.match(check(), /is missing/);
});

const skip = usesLegacy("ip") || usesLegacy("ip6") ? "the host's iptables is the legacy variant" : false;
t.test("DEL and GC: what is refused to one backend keeps no other's rules", { skip }, async (t) => {
  const all = () => kernelWith(add("nftables", web), add("iptables", web));
  const parts = [/10\.22\.0\.5 comment "/, /ip saddr 10\.22\.0\.5 counter accept/];
  t.strictSame(leftByRefusal(all, remove("nftables", web), parts), []);
  t.strictSame(leftByRefusal(all, collect("nftables", "podnet"), parts), []);
});

for (const backend of ["nftables", "iptables"] as const) {
  const [addWeb, addDb, addStrict] = [web, db, strict].map((one) => add(backend, one)) as [Work, Work, Work];

  t.test(`${backend}: ADD, then DEL or GC, leave what was there`, { skip }, async (t) => {
    const others: [string, Work[]][] = [
      ["nobody", []],
      ["somebody on the bridge", [addDb]],
      ["somebody on another bridge", [addStrict, theirs]],
      ["somebody without a policy", [add(backend, plain)]],
    ];
    const valid = [db, strict, plain];
    for (const [who, works] of others) {
      for (const end of [remove(backend, web), collect(backend, "podnet", ...valid)]) {
        const kernel = kernelWith(...works, addWeb, end);
        const before = kernel.text();
        addWeb(kernel.connect());
        t.not(kernel.text(), before);
        end(kernel.connect());
        t.strictSame(difference(before, kernel.text()), [], who);
        end(kernel.connect());
        t.strictSame(difference(before, kernel.text()), [], `${who}, a second time`);
      }
    }
  });

  t.test(`${backend}: ADD twice is ADD once`, { skip }, async (t) => {
    for (const works of [[addDb], [addStrict], []]) {
      t.equal(kernelWith(...works, addWeb, addWeb).text(), kernelWith(...works, addWeb).text());
    }
  });

  t.test(`${backend}: a refusal is reported and changes nothing, whichever request it meets`, { skip }, async (t) => {
    t.strictSame(
      refusedOnce(() => kernelWith(), addDb),
      [],
    );
    t.strictSame(
      refusedOnce(() => kernelWith(addStrict), addDb),
      [],
    );
  });

  t.test(`${backend}: what others do meanwhile is kept`, { skip }, async (t) => {
    const start = () => kernelWith(addDb, addStrict);
    const works: [string, Work, Work][] = [
      ["ADD beside a foreign table", addWeb, theirs],
      ["DEL beside a foreign table", remove(backend, db), theirs],
      ...(backend === "nftables" // with iptables a lock keeps others out
        ? ([
            ["ADD beside another ADD", addWeb, allow(elsewhere)],
            ["ADD beside another DEL", addWeb, revoke(db)],
            ["DEL beside another ADD", revoke(db), allow(web)],
            ["DEL beside the same DEL", revoke(db), revoke(db)],
            ["DEL beside another DEL", revoke(db), revoke(strict)],
          ] as [string, Work, Work][])
        : []),
    ];
    for (const [what, work, change] of works) {
      const expected = kernelWith(addDb, addStrict, change, work).text();
      t.strictSame(disturbedOnce(start, work, change, expected), [], what);
    }
  });
}
