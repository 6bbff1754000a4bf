// bandwidth behind bridge on a throw-away host, and how `tc` and `ip` tell what it makes.
import { spawnSync } from "node:child_process";
import { type Call, type Host, newHost, type Verb } from "../lab/host.ts";
import { needsKernel } from "../lab/needs.ts";
import { trafficLines, trafficScript } from "../lab/snapshot.ts";

export type Conf = Record<string, unknown>;
export interface Result extends Conf {
  interfaces: { name: string; mac: string; sandbox?: string }[];
}

export const needed = needsKernel("ifb", "tbf");
const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };
const bridge = { cniVersion: "1.1.0", name: "net", type: "bridge", bridge: "br0", isGateway: true, ipam };
export const ingress = { ingressRate: 8_000_000, ingressBurst: 800_000 };
export const egress = { egressRate: 4_000_000, egressBurst: 400_000 };
export const both = { ...ingress, ...egress };
/** As `tc` tells them. */
export const reception = "rate 8Mbit burst 100000b lat 25ms";
export const sending = "rate 4Mbit burst 50000b lat 25ms";

/** A host whose containers have interfaces of the bridge plugin. */
export class Chain {
  readonly node: Host;
  readonly #results = new Map<string, Result>();

  constructor(t: Parameters<typeof newHost>[0], { containers = 1 } = {}) {
    this.node = newHost(t, { containers });
  }

  /** Of the bridge plugin, called when there is none yet. */
  result({ container = 0, ifName = "eth0" }: Call = {}): Result {
    const key = `${container} ${ifName}`;
    const known = this.#results.get(key);
    if (known !== undefined) return known;
    const { status, stdout } = this.node.cni("bridge", "ADD", bridge, { container, ifName });
    if (status !== 0) throw new Error(JSON.stringify(stdout));
    this.#results.set(key, stdout as Result);
    return stdout as Result;
  }

  call(verb: Verb, keys: Conf, call: Call = {}) {
    const conf = { cniVersion: "1.1.0", name: "net", type: "bandwidth", prevResult: this.result(call), ...keys };
    return this.node.cni("bandwidth", verb, conf, call);
  }

  /** The host's end of a container's interface. */
  port = (call?: Call): string => this.result(call).interfaces[1]?.name ?? "";
  ifbs = (): string[] =>
    (this.node.json("ip", "-j", "link", "show", "type", "ifb") as { ifname?: string }[]).flatMap(
      ({ ifname }) => ifname ?? [],
    );
  traffic = (): string[] => trafficLines(this.node.sh(trafficScript));
}

/** The reference plugin's name for it. */
export const ifbName = (network: string, containerId: string): string =>
  `bwp${spawnSync("sha512sum", { input: network + containerId, encoding: "utf8" }).stdout.slice(0, 12)}`;

/** The filter of a link and what it does, as `tc` tells it. */
export const redirection = (port: string, ifb: string): string[] => [
  `${port} filter parent ffff: protocol all pref 1 u32 chain 0`,
  `${port} filter parent ffff: protocol all pref 1 u32 chain 0 fh 800: ht divisor 1`,
  `${port} filter parent ffff: protocol all pref 1 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 *flowid 1:1 not_in_hw`,
  `${port} match 00000000/00000000 at 0`,
  `${port} action order 1: mirred (Egress Redirect to device ${ifb}) stolen`,
];
