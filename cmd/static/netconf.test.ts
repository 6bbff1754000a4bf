import t from "tap";
import type { Request } from "../../pkg/cni/plugin.ts";
import { formatAddress, formatPrefix } from "../../pkg/ip/address.ts";
import { parseSettings, type StaticConf } from "./netconf.ts";

type Keys = Pick<StaticConf, "args" | "runtimeConfig"> & { addresses?: { address?: string; gateway?: string }[] };

const request = ({ addresses, ...keys }: Keys, cniVersion = "1.0.0") =>
  ({ conf: { ipam: { type: "static", addresses }, ...keys }, cniVersion }) as unknown as Request<StaticConf>;
const ips = (...texts: string[]) => ({ runtimeConfig: { ips: texts } });
const args = (...texts: string[]) => ({ args: { cni: { ips: texts } } });
const addresses = (...list: Keys["addresses"] & object) => ({ addresses: list });

/** Each address as "10.1.0.5/24 via 10.1.0.1". */
const sources: { claim: string; keys: Keys; env?: string; gives: string[]; idle?: string[] }[] = [
  { claim: "none at all", keys: {}, gives: [] },
  {
    claim: "the configuration's, with their gateways",
    keys: addresses({ address: "10.1.0.5/24", gateway: "10.1.0.1" }, { address: "fd00::5/64" }),
    gives: ["10.1.0.5/24 via 10.1.0.1", "fd00::5/64"],
  },
  {
    claim: "those of CNI_ARGS come behind the configuration's",
    keys: addresses({ address: "10.1.0.5/24" }),
    env: "IP=10.2.0.5/24, fd00::5/64",
    gives: ["10.1.0.5/24", "10.2.0.5/24", "fd00::5/64"],
  },
  {
    claim: "a gateway of CNI_ARGS belongs to the addresses of CNI_ARGS in whose subnet it lies",
    keys: addresses({ address: "10.2.0.4/24" }),
    env: "IP=10.2.0.5/24,fd00::5/64,10.3.0.5/24;GATEWAY=fd00::1,10.2.0.1,10.9.0.1",
    gives: ["10.2.0.4/24", "10.2.0.5/24 via 10.2.0.1", "fd00::5/64 via fd00::1", "10.3.0.5/24"],
    idle: ["10.9.0.1"],
  },
  {
    claim: "of two gateways in a subnet the last one counts",
    keys: {},
    env: "IP=10.2.0.5/24;GATEWAY=10.2.0.1,10.2.0.2",
    gives: ["10.2.0.5/24 via 10.2.0.2"],
  },
  {
    claim: "empty variables ask for nothing",
    keys: addresses({ address: "10.1.0.5/24" }),
    env: "IP=;GATEWAY=",
    gives: ["10.1.0.5/24"],
  },
  {
    claim: "args.cni.ips stand instead of the configuration's and of CNI_ARGS, without gateway",
    keys: { ...addresses({ address: "10.1.0.5/24", gateway: "10.1.0.1" }), ...args("10.1.0.5/24") },
    env: "IP=10.2.0.5/24;GATEWAY=10.2.0.1",
    gives: ["10.1.0.5/24"],
  },
  {
    claim: "runtimeConfig.ips stand instead of all",
    keys: { ...addresses({ address: "nonsense" }), ...args("10.1.0.6/24"), ...ips("10.1.0.7/24", "fd00::7/64") },
    env: "IP=10.2.0.5/24",
    gives: ["10.1.0.7/24", "fd00::7/64"],
  },
  { claim: "an empty list asks for nothing", keys: { ...args("10.1.0.6/24"), ...ips() }, gives: ["10.1.0.6/24"] },
];
for (const { claim, keys, env = "", gives, idle = [] } of sources) {
  t.test(`addresses: ${claim}`, async (t) => {
    const { addresses, idleGateways } = parseSettings(request(keys), env);
    t.strictSame(
      addresses.map(({ prefix, gateway }) => formatPrefix(prefix) + (gateway ? ` via ${formatAddress(gateway)}` : "")),
      gives,
    );
    t.strictSame(idleGateways.map(formatAddress), idle);
  });
}

const refusals: { keys: Keys; env?: string; version?: string; code?: number; msg: string; details: string }[] = [
  {
    keys: addresses({ address: "10.1.0.4/24" }, { address: "10.1.0.5" }),
    msg: "the 'address' field is expected to be in CIDR notation, got: '10.1.0.5' (ipam.addresses[1])",
    details: "To fix: write it with its prefix length: 10.1.0.5/24",
  },
  {
    keys: addresses({}),
    msg: "the 'address' field is expected to be in CIDR notation, got: '' (ipam.addresses[0])",
    details: "To fix: write it with its prefix length: 10.1.2.3/16",
  },
  {
    keys: ips("10.1.0.7/24"),
    env: "IP=fd00::5",
    code: 4,
    msg: "the 'ip' field is expected to be in CIDR notation, got: 'fd00::5' (CNI_ARGS IP)",
    details: "To fix: write it with its prefix length: IP=fd00::5/64",
  },
  {
    keys: {},
    env: "IP=10.1.0.5/24,",
    code: 4,
    msg: "the 'ip' field is expected to be in CIDR notation, got: '' (CNI_ARGS IP)",
    details: "To fix: write it with its prefix length: IP=10.1.2.3/16",
  },
  {
    keys: {},
    env: "GATEWAY=10.1.0.1/24",
    code: 4,
    msg: "invalid gateway address: 10.1.0.1/24 (CNI_ARGS GATEWAY)",
    details: "To fix: write it without a prefix length: GATEWAY=10.1.0.1",
  },
  {
    keys: { ...args("10.1.0"), ...ips("10.1.0.7/24") },
    msg: "an entry in the 'ips' field is NOT in CIDR notation, got: '10.1.0' (args.cni.ips)",
    details: "To fix: write it with its prefix length: 10.1.2.3/16",
  },
  {
    keys: ips("10.1.0.7/33"),
    msg: "an entry in the 'ips' field is NOT in CIDR notation, got: '10.1.0.7/33' (runtimeConfig.ips)",
    details: "To fix: write it with its prefix length: 10.1.2.3/16",
  },
  {
    keys: addresses({ address: "10.1.0.4/24" }),
    env: "IP=10.2.0.4/24",
    version: "0.2.0",
    msg: "CNI version 0.2.0 does not support more than 1 address per family",
    details: 'To fix: set "cniVersion" to "0.3.0" or later',
  },
];
for (const { keys, env = "", version, code = 7, msg, details } of refusals) {
  t.test(`refused with code ${code}: ${msg}`, async (t) => {
    try {
      parseSettings(request(keys, version), env);
      t.fail("was accepted");
    } catch (error) {
      t.match(error, { code, msg, details });
    }
  });
}

t.test("one address of each family fits into old results", async (t) => {
  t.equal(parseSettings(request(ips("10.1.0.5/24", "fd00::5/64"), "0.2.0"), "").addresses.length, 2);
});
