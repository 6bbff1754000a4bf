// A backend that only its own record and its row in the registry know: it is everywhere where the others are (docs/adding-a-backend.md).
import t from "tap";
import { cidr, ip, silent } from "../../pkg/cluster/lease/fake.testing.ts";
import type { Lease } from "../../pkg/cluster/lease/lease.ts";
import { storeRemedies } from "../../pkg/cluster/lease/store-manager.ts";
import type { ApplyResult, Backend, BackendContext, BackendType } from "../../pkg/flannel/backend/backend.ts";
import { backendTypes } from "../../pkg/flannel/backend/backend-registry.ts";
import { backendSchema, ignoredKeys } from "../../pkg/flannel/backend/backend-schema.ts";
import { createBackend } from "../../pkg/flannel/backend/create-backend.ts";
import { Connection } from "../../pkg/netlink/connection.ts";
import { withNewBackend } from "./join.ts";
import { diagnose, type NetworkFacts } from "./status/diagnose.ts";
import { probesOf } from "./status/report.ts";

const nothing: ApplyResult = { added: 0, removed: 0, refused: [] };
const closed: string[] = [];

/** It carries packets in UDP, as a process of its own would. */
const create = ({ external, network }: BackendContext): Backend => ({
  mtu: external.mtu - 28,
  overheadBytes: 28,
  devices: [],
  canReadBack: false,
  attributes: async () => ({ backendType: "carrier", backendData: network.backend.settings["Cipher"] ?? null }),
  async setOwnLease() {},
  setPeers: async () => nothing,
  changePeers: async () => nothing,
  concerns: () => false,
  repair: async () => nothing,
  async follow() {},
  missing: () => [],
  obstacles: () => [],
  probeAddress: (peer, family) => peer[family]?.address,
  adviceWhenSilent: "see that the carrier's port is open",
  async close() {
    closed.push("carrier");
  },
});
const carrier: BackendType = {
  keys: {
    Cipher: { type: "string", enum: ["aes", "none"], description: "of the packets (none)" },
    Port: { type: "integer", minimum: 0, maximum: 65535, description: "UDP port of the carrier (8285)" },
  },
  create,
};
const types = { ...backendTypes, carrier };

const rtnl = new Connection({
  fd: -1,
  send: () => {},
  receive: () => new Uint8Array(),
  receiveArrived: () => undefined,
  close: () => {},
});
const context = (type: string): BackendContext => ({
  rtnl,
  external: { index: 2, name: "eth0", mtu: 1500, publicIP: ip("192.0.2.1") },
  network: { nftables: false, noMasquerade: [], backend: { type, settings: { Type: type, Cipher: "aes" } } },
  published: undefined,
  statePath: "/run/flannel/subnet",
  remedies: storeRemedies,
  log: silent,
});
const lease = (n: number): Lease => ({
  id: `10.5.${n}.0-24`,
  ipv4: cidr(`10.5.${n}.0/24`),
  attributes: { publicIP: ip(`192.0.2.${n}`), backendType: "carrier" },
});

t.test("its keys are in the schema, beside those of the others", async (t) => {
  const { properties } = backendSchema(types);
  t.match(properties.Type.description, new RegExp(`: ${Object.keys(backendTypes).join(", ")}, carrier$`));
  const keys: Record<string, object> = properties;
  t.strictSame(keys["Cipher"], carrier.keys["Cipher"]);
  t.match(keys["Port"], {
    description: /^UDP port of VXLAN; .*; with udp: .*; with carrier: UDP port of the carrier \(8285\)$/,
  });
  t.match(keys["VNI"], { type: "integer" });
});

t.test("keys of another backend are told", async (t) => {
  t.strictSame(ignoredKeys({ type: "carrier", settings: { Type: "carrier", Cipher: "aes", VNI: 3 } }, types), [
    'key "Backend.VNI" is ignored: backend carrier has Cipher, Port',
  ]);
  t.match(ignoredKeys({ type: "vxlan", settings: { VNI: 3, Cipher: "aes" } }, types), [/"Backend.Cipher"/]);
  t.strictSame(ignoredKeys({ type: "host-gw", settings: { VNI: 3 } }, types), [
    'key "Backend.VNI" is ignored: backend host-gw has no settings',
  ]);
});

t.test("a key that two backends check differently is refused when the schema is made", async (t) => {
  const other: BackendType = { keys: { Port: { type: "string" } }, create };
  t.throws(() => backendSchema({ ...types, other }), { message: /^backend other has another schema for "Port"/ });
});

t.test("it is created by its name, and named where there is none of a name", async (t) => {
  t.equal(createBackend(context("carrier"), types).overheadBytes, 28);
  t.throws(() => createBackend(context("carier"), types), {
    message: `the network configuration cannot be used: backend "carier" is unknown, did you mean "carrier"?; choose one of: ${Object.keys(backendTypes).join(", ")}, carrier`,
  });
});

t.test("a status report pings its addresses, knows its overhead, and gives its advice", async (t) => {
  const backend = createBackend(context("carrier"), types);
  const asked = probesOf({ lease: lease(1), external: { mtu: 1500 }, backend, peers: [lease(2)] });
  t.strictSame(asked, [{ peer: lease(2), address: ip("10.5.2.0"), size: 1500 }]);
  const facts: NetworkFacts = {
    own: lease(1),
    backendType: "carrier",
    counters: undefined,
    mtu: backend.mtu,
    hasMtuKey: false,
    overheadBytes: backend.overheadBytes,
    adviceWhenSilent: backend.adviceWhenSilent,
    external: { name: "eth0", mtu: 1480 },
    devices: [],
    subnetFile: { path: "/run/flannel/subnet.env", text: "FLANNEL_MTU=1472\n" },
    peers: [lease(2)],
    probes: asked.map((one) => ({ ...one, answer: "no" })),
    malformed: new Map(),
    configProblem: undefined,
    interfaceProblem: undefined,
    missing: [],
    obstacles: [],
    closedPorts: [],
    renewMarginMs: 3_600_000,
    nowMs: 0,
  };
  const state = { pid: 1, since: "", state: "ready", reason: "" } as const;
  const problems = diagnose({
    state,
    store: { description: "", remedies: storeRemedies, trouble: undefined },
    member: facts,
  });
  t.match(problems, [
    { text: /up to 1472 bytes, but interface eth0 \(MTU 1480\) carries at most 1452 with carrier$/ },
    { text: /does not answer/, remedy: /^see that the carrier's port is open; / },
  ]);
});

t.test("it is closed when the host cannot join, and stays open when it can", async (t) => {
  const join = (rest: () => Promise<void>) => withNewBackend(context("carrier"), types, rest);
  await join(async () => {});
  t.strictSame(closed, []);
  await t.rejects(
    join(async () => {
      throw new Error("no subnet is left");
    }),
    { message: "no subnet is left" },
  );
  t.strictSame(closed, ["carrier"]);
});

t.test("its part of the lease's attributes stands beside the public address", async (t) => {
  await withNewBackend(context("carrier"), types, async (_backend, attributes) => {
    t.strictSame(attributes, { publicIP: ip("192.0.2.1"), backendType: "carrier", backendData: "aes" });
  });
});
