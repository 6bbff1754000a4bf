// What comes from outside as a result, in random forms: prevResult of every plugin that reads one, and the answer of an IPAM plugin. No call ends in a
// stack trace, no DEL fails, and none leaves the host otherwise than it was.
import { chmodSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { randomFrom, testSeed } from "../pkg/sys/random.testing.ts";
import { type Host, newHost, type Outcome } from "./lab/host.ts";
import { type Feature, inFullRun, inLab, inLongRunOnCompleteKernel, needsKernel } from "./lab/needs.ts";
import { ourBin } from "./lab/project.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const seed = testSeed();
const random = randomFrom(seed);
const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;

const odd: readonly Json[] = [
  ...[null, true, -1, 0, 253, 999, 1.5, 1e20, 2 ** 32, 2 ** 53],
  ...["", "x", "+", "br+", "br 0", "a\0b", "a/b", "a:b", "..", "\ud800", "\ufffd", "voilà", "x".repeat(300), "%s", '"'],
  ...["0.0.0.0/0", "::/0", "10.0.0.1", "255.255.255.255/32", "ff02::1/128", "127.0.0.1/8", "fe80::1/64", "<nil>"],
  ...["ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "02:00:5e:10:00:00:00:01"],
  ...[[], {}, [[]], [null], { name: 1 }, { dst: "10.0.0.0/8", table: 1e20 }, { dst: "10.0.0.0/8", scope: 999 }],
];

/** A copy in which one to three values are others, or missing. */
function mutated(document: Json): Json {
  const copy = structuredClone(document);
  for (let i = 1 + Math.floor(random() * 3); i > 0; i--) {
    const places = placesIn(copy);
    const { holder, key } = pick(places);
    const kind = random();
    if (kind < 0.8) holder[key] = structuredClone(pick(odd));
    else if (kind < 0.9) delete holder[key];
    else holder[key] = [holder[key] ?? null, structuredClone(pick(odd))];
  }
  return copy;
}

type Holder = Record<string | number, Json>;
function placesIn(value: Json): { holder: Holder; key: string | number }[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    { holder: value as unknown as Holder, key },
    ...placesIn(inner),
  ]);
}

/** Not ours to say: a mistake of ours is told with its place in the code. */
function expectWords(t: Test, { status, signal, stdout }: Outcome, what: string): void {
  const { details = "", msg = "" } = (stdout ?? {}) as { details?: string; msg?: string };
  const isTrace =
    /please report it|^\s*at /m.test(details) || /\b(TypeError|RangeError|URIError)\b/.test(`${msg} ${details}`);
  if (signal !== null || (status !== 0 && status !== 1) || isTrace)
    t.fail(`${what}: ${signal ?? status} ${msg} ${details}; seed ${seed}`);
}

/** Each has other values. On the complete kernel a round takes seconds. */
const rounds = inLab ? 2 : inFullRun ? 12 : 4;
const ports = { portMappings: [{ hostPort: 8000, containerPort: 80, protocol: "tcp" }] };
interface Subject {
  type: string;
  keys: object;
  needs?: readonly Feature[];
  /** Whether the code that it shares with others is tested with those on this kernel. */
  isShared?: true;
  /** What the host has before. */
  prepare?: string;
}
const chained: Record<string, Subject> = {
  bandwidth: { type: "bandwidth", keys: { ingressRate: 8_000_000, ingressBurst: 800_000 } },
  dnsname: {
    type: "dnsname",
    keys: { domainName: "dns.podman" },
    prepare: "mkdir -p /run/twill && mount -t tmpfs none /run/twill",
  },
  debug: { type: "debug", keys: {} },
  "firewall, iptables": { type: "firewall", keys: { backend: "iptables", ingressPolicy: "isolated" } },
  "firewall, nftables": { type: "firewall", keys: { backend: "nftables", ingressPolicy: "same-bridge" } },
  "portmap, iptables": { type: "portmap", keys: { backend: "iptables", runtimeConfig: ports } },
  "portmap, nftables": { type: "portmap", keys: { backend: "nftables", runtimeConfig: ports } },
  sbr: { type: "sbr", keys: {} },
  tuning: { type: "tuning", keys: { dataDir: "/var/lib/tuning", mtu: 1400 } },
  vrf: { type: "vrf", keys: { vrfname: "red" }, needs: ["vrf"] },
};

const bridgeConf = {
  cniVersion: "1.1.0",
  name: "mut",
  type: "bridge",
  bridge: "br0",
  isDefaultGateway: true,
  ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] },
};

for (const [name, { type, keys, needs = [], prepare = "true" }] of Object.entries(chained)) {
  t.test(`${name}: any prevResult ends in words, and DEL takes everything back`, needsKernel(...needs), async (t) => {
    t.comment(`seed ${seed}`);
    const node = newHost(t);
    node.sh(prepare);
    const { stdout: result } = node.cni("bridge", "ADD", bridgeConf);
    const conf = (prevResult: Json) => ({ cniVersion: "1.1.0", name: "mut", type, ...keys, prevResult });
    node.cni(type, "ADD", conf(result as Json));
    node.cni(type, "DEL", conf(result as Json));
    const before = rulesAndLinks(node);
    for (let round = 0; round < rounds; round++) {
      const prevResult = mutated(result as Json);
      const what = (verb: string) => `${verb} with ${JSON.stringify(prevResult)}`;
      for (const verb of ["ADD", "CHECK", "DEL"] as const) {
        const outcome = node.cni(type, verb, conf(prevResult));
        expectWords(t, outcome, what(verb));
        if (verb === "DEL") t.equal(outcome.status, 0, what(verb));
      }
      t.equal(rulesAndLinks(node), before, `nothing is left of ${what("ADD")}; seed ${seed}`);
    }
  });
}

const uplink = "ip link add up0 type veth peer name far0; ip link set up0 up";
const makers: Record<string, Subject> = {
  bridge: { type: "bridge", keys: { bridge: "br0", isDefaultGateway: true, ipMasq: true } },
  ptp: { type: "ptp", keys: { ipMasq: true } },
  tap: { type: "tap", keys: {} },
  "host-device": {
    type: "host-device",
    keys: { device: "dev0" },
    prepare: "ip link add dev0 type veth peer name far0",
  },
  dummy: { type: "dummy", keys: {}, needs: ["dummy"], isShared: true },
  macvlan: { type: "macvlan", keys: { master: "up0" }, prepare: uplink, needs: ["macvlan"] },
  ipvlan: { type: "ipvlan", keys: { master: "up0" }, prepare: uplink, needs: ["ipvlan"], isShared: true },
  vlan: { type: "vlan", keys: { master: "up0", vlanId: 7 }, prepare: uplink, needs: ["vlan"] },
};
const given: Json = {
  cniVersion: "1.1.0",
  ips: [
    { address: "10.1.0.5/24", gateway: "10.1.0.1" },
    { address: "fd00:1::5/64", gateway: "fd00:1::1" },
  ],
  routes: [
    { dst: "0.0.0.0/0", gw: "10.1.0.1", mtu: 1400, advmss: 1360, priority: 5, table: 100, scope: 0 },
    { dst: "fd00:2::/64" },
  ],
  dns: { nameservers: ["10.1.0.1"], search: ["x"] },
};

for (const [name, { type, keys, needs = [], isShared, prepare = "true" }] of Object.entries(makers)) {
  const need = isShared ? inLongRunOnCompleteKernel(needsKernel(...needs)) : needsKernel(...needs);
  t.test(`${name}: any answer of IPAM, and any prevResult, ends in words`, need, async (t) => {
    t.comment(`seed ${seed}`);
    const node = newHost(t);
    node.sh(prepare);
    node.write("/var/lib/stub/answers", '#!/bin/sh\ntest "$CNI_COMMAND" != ADD || cat /var/lib/stub/answer\n');
    chmodSync(join(node.varLib, "stub/answers"), 0o755);
    const call = { path: `/var/lib/stub:${ourBin}` };
    const conf = { cniVersion: "1.1.0", name: "mut", type, dataDir: "/var/lib/x", ...keys, ipam: { type: "answers" } };
    const attempt = (answer: Json, prevResult?: Json) => {
      node.write("/var/lib/stub/answer", JSON.stringify(answer));
      const what = (verb: string) => `${verb} with ${JSON.stringify(answer)}, ${JSON.stringify(prevResult)}`;
      const added = node.cni(type, "ADD", conf, call);
      expectWords(t, added, what("ADD"));
      const told = added.status === 0 ? mutated(added.stdout as Json) : (prevResult ?? mutated(answer));
      expectWords(
        t,
        node.cni(type, "CHECK", { ...conf, prevResult: told }, call),
        `CHECK with ${JSON.stringify(told)}`,
      );
      const deleted = node.cni(type, "DEL", { ...conf, prevResult: told }, call);
      expectWords(t, deleted, `DEL with ${JSON.stringify(told)}`);
      t.equal(deleted.status, 0, `DEL with ${JSON.stringify(told)}; seed ${seed}`);
      const last = node.cni(type, "DEL", conf, call); // what it was told may be right and another's
      t.equal(last.status, 0);
    };
    attempt(given);
    const before = rulesAndLinks(node);
    for (let round = 0; round < rounds; round++) {
      attempt(mutated(given));
      t.equal(rulesAndLinks(node), before, `nothing is left; seed ${seed}`);
    }
  });
}

/** Values that no result can have, each in a result that is right otherwise. */
const impossible: [path: string, damage: (result: Told) => unknown][] = [
  ["an address", ({ ips: [first = {}] }) => Object.assign(first, { address: 5 })],
  ["one address of two", ({ ips: [, second = {}] }) => Object.assign(second, { address: "fd00::1/129" })],
  ["a gateway", ({ ips: [first = {}] }) => Object.assign(first, { gateway: "x" })],
  ["names of interfaces", ({ interfaces }) => interfaces.map((one) => Object.assign(one, { name: "a b" }))],
  ["a list of interfaces", (result) => Object.assign(result, { interfaces: "none" })],
  ["a table", ({ routes }) => routes.push({ dst: "10.9.0.0/16", table: 1e20 })],
  ["a scope", ({ routes }) => routes.push({ dst: "10.9.0.0/16", scope: 999 })],
];
interface Told {
  interfaces: object[];
  ips: object[];
  routes: object[];
}

for (const backend of ["iptables", "nftables"]) {
  t.test(`${backend}: DEL leaves nothing because of a value that cannot be`, needsKernel(), async (t) => {
    const node = newHost(t);
    for (const [name, { type, keys }] of Object.entries({ bridge: makers["bridge"], ptp: makers["ptp"] } as const) as [
      string,
      Subject,
    ][]) {
      const conf = { ...bridgeConf, type, ...keys, ipMasqBackend: backend };
      node.cni(type, "ADD", conf);
      node.cni(type, "DEL", conf);
      const before = rulesAndLinks(node);
      for (const [path, damage] of impossible) {
        const { status, stdout } = node.cni(type, "ADD", conf);
        t.equal(status, 0, JSON.stringify(stdout));
        const told = structuredClone({ ...(stdout as Told), routes: [] as object[] });
        damage(told);
        const deleted = node.cni(type, "DEL", { ...conf, prevResult: told });
        t.equal(deleted.status, 0);
        t.match(deleted.stderr, /prevResult/, `${path} is told`);
        t.equal(rulesAndLinks(node), before, `${name}: ${path}`);
      }
    }
  });
}

/** Of host and container, without what changes by itself, and without rules that all containers share. */
function rulesAndLinks(node: Host): string {
  const rules = node
    .sh("iptables-save; ip6tables-save; nft list tables; nft list sets; nft list maps")
    .replaceAll(/^[#:*].*\n|\[\d+:\d+\] |.*(handle|COMMIT).*\n/gm, "");
  const links = (text: string) => (text.match(/^\d+: [^:@]+/gm) ?? []).map((line) => line.replace(/^\d+: /, "")).sort();
  const shared = /CNI-ADMIN|-j CNI-FORWARD|^br0$/;
  return [
    ...rules.split("\n").filter((line) => !shared.test(line)),
    ...links(node.sh("ip -o link")).filter((line) => !shared.test(line)),
    ...links(node.containers[0]?.sh("ip -o link") ?? ""),
  ].join("\n");
}
