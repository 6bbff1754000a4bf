// The paths that are measured, each between two hosts of its own that a veth pair joins: wired by twill, by the Go plugins, by Docker, or by
// hand with `ip` (and a C program for udp).
//
//     container  10.22.0.2 ...        host 1  192.0.2.1 ---- eth0, MTU 1500 ---- 192.0.2.2  host 2        container
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { startProgram, type Test } from "../../e2e/cluster/program.ts";
import { until } from "../../e2e/cluster/until.ts";
import { type Container, type Host, newHost } from "../../e2e/lab/host.ts";
import { goBin, ourBin, ourTools } from "../../e2e/lab/project.ts";
import type { Who } from "../figures.ts";
import { attachToDocker } from "./docker.ts";
import { IN_OWN_SESSION, type Wire } from "./traffic.ts";

export const pathNames = ["host", "bridge", "ptp", "macvlan", "host-gw", "vxlan", "udp"] as const;
export type PathName = (typeof pathNames)[number];

/** Who wires a path, and how. */
export interface Contest {
  path: PathName;
  who: Who;
  wire(t: Test, programs: Programs): Promise<Wire>;
}

/** Compiled C programs. */
export interface Programs {
  /** bench/udp-proxy.c */
  udpProxy: string;
  /** bench/traffic.c */
  traffic: string;
}

const UNDERLAY_MTU = 1500;
const UDP_PORT = "8285";

interface Pair {
  one: Host;
  other: Host;
}

const addressOf = (n: 1 | 2): string => `192.0.2.${n}`;

/** Two hosts with a container each, which has nothing but `lo`. */
function newPair(t: Test, bin = ourBin): Pair {
  const [one, other] = [newHost(t, { bin }), newHost(t, { bin })];
  one.sh(`ip link add eth0 type veth peer name eth0 netns ${other.name}`);
  ([one, other] as const).forEach((host, i) => {
    host.sh(`
      ip address add ${addressOf(i === 0 ? 1 : 2)}/24 dev eth0
      ip link set eth0 up
      echo 1 > /proc/sys/net/ipv4/ip_forward`);
  });
  return { one, other };
}

const containerOf = ({ containers: [container] }: Host): Container => {
  if (container === undefined) throw new Error("the host has no container");
  return container;
};

/** From the container on host 1 to host 2 itself. */
function outwards({ one, other }: Pair): Wire {
  const from = containerOf(one);
  return { from, to: other, address: addressOf(2), mtu: mtuOf(from) };
}

function mtuOf(container: Container): number {
  const [link] = container.json("ip", "-j", "link", "show", "eth0") as { mtu: number }[];
  return link?.mtu ?? 0;
}

// --- One host's plugins ------------------------------------------------------------------------------------------------------------------

const ipam = { type: "host-local", ranges: [[{ subnet: "10.22.0.0/16" }]] };

const confs = {
  bridge: { type: "bridge", bridge: "cni0", isDefaultGateway: true, ipMasq: true, ipam },
  ptp: { type: "ptp", ipMasq: true, ipam: { ...ipam, routes: [{ dst: "0.0.0.0/0" }] } },
  macvlan: {
    type: "macvlan",
    master: "eth0",
    ipam: { type: "host-local", ranges: [[{ subnet: "192.0.2.0/24", rangeStart: "192.0.2.10" }]] },
  },
} as const;

const byPlugin = (path: keyof typeof confs, who: "twill" | "Go"): Contest => ({
  path,
  who,
  async wire(t) {
    const pair = newPair(t, who === "twill" ? ourBin : goBin);
    const { status, stdout } = pair.one.cni(path, "ADD", { cniVersion: "1.0.0", name: "bench", ...confs[path] });
    if (status !== 0) throw new Error(`${who} ${path}: ${JSON.stringify(stdout)}`);
    return outwards(pair);
  },
});

const masquerade = (network: string) => `
  iptables -t nat -A POSTROUTING -s ${network} ! -d ${network} -j MASQUERADE`;

/** As flannel's daemon has it: else a host with Docker drops what comes from other hosts. */
const admitForwarded = (network: string) => `
  iptables -A FORWARD -s ${network} -j ACCEPT
  iptables -A FORWARD -d ${network} -j ACCEPT`;

/** A bridge with the container on it; `gateway` is the bridge's address. */
const bridgeByHand = (container: string, { gateway, address, mtu = UNDERLAY_MTU, hairpin = "off" }: BridgeByHand) => `
  ip link add cni0 mtu ${mtu} type bridge
  ip address add ${gateway}/24 dev cni0
  ip link set cni0 up
  ip link add veth0 mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${container}
  ip link set veth0 master cni0 up
  bridge link set dev veth0 hairpin ${hairpin}
  ip -n ${container} address add ${address}/24 dev eth0
  ip -n ${container} link set eth0 up
  ip -n ${container} route add default via ${gateway}`;

interface BridgeByHand {
  gateway: string;
  address: string;
  mtu?: number;
  hairpin?: "on" | "off";
}

const scripts: Record<keyof typeof confs, (container: string) => string> = {
  bridge: (container) =>
    bridgeByHand(container, { gateway: "10.22.0.1", address: "10.22.0.2" }) + masquerade("10.22.0.0/16"),
  ptp: (container) => `
    ip link add veth0 type veth peer name eth0 netns ${container}
    ip address add 10.22.0.1/32 dev veth0
    ip link set veth0 up
    ip -n ${container} address add 10.22.0.2/32 dev eth0
    ip -n ${container} link set eth0 up
    ip -n ${container} route add 10.22.0.1 dev eth0
    ip -n ${container} route add default via 10.22.0.1
    ip route add 10.22.0.2 dev veth0
    ${masquerade("10.22.0.0/16")}`,
  macvlan: (container) => `
    ip link add macvlan0 link eth0 type macvlan mode bridge
    ip link set macvlan0 netns ${container} name eth0
    ip -n ${container} address add 192.0.2.10/24 dev eth0
    ip -n ${container} link set eth0 up`,
};

const byHand = (path: keyof typeof confs): Contest => ({
  path,
  who: "hand",
  async wire(t) {
    const pair = newPair(t);
    pair.one.sh(scripts[path](containerOf(pair.one).name));
    return outwards(pair);
  },
});

const byDocker: Contest = {
  path: "bridge",
  who: "Docker",
  async wire(t, { traffic }) {
    const pair = newPair(t);
    await attachToDocker(t, pair.one, traffic);
    return outwards(pair);
  },
};

// --- flanneld's backends -----------------------------------------------------------------------------------------------------------------

export type BackendName = "host-gw" | "vxlan" | "udp";

export interface FlannelPair extends Pair {
  wire: Wire;
  /** The directory in which the hosts have their leases. */
  store: string;
}

/** A daemon on each host, and a container that the plugin flannel has attached. */
export async function wireByFlanneld(t: Test, backend: BackendName): Promise<FlannelPair> {
  const { one, other } = newPair(t);
  const store = join(dirname(one.varLib), "leases");
  mkdirSync(store);
  writeFileSync(join(store, "config"), JSON.stringify({ Network: "10.5.0.0/16", Backend: { Type: backend } }));
  await Promise.all([one, other].map((host) => startFlanneld(t, host, store)));
  const [, address = ""] = [one, other].map(attachToFlannel);
  const [from, to] = [containerOf(one), containerOf(other)];
  await until(
    `${address} answers by ${backend}`,
    () => from.run("ping", "-n", "-c", "1", "-W", "1", address).status === 0,
  );
  return { one, other, store, wire: { from, to, address, mtu: mtuOf(from) } };
}

const subnetFileOf = (host: Host): string => join(dirname(host.varLib), "run/subnet.env");

async function startFlanneld(t: Test, host: Host, store: string): Promise<void> {
  const subnetFile = subnetFileOf(host);
  mkdirSync(dirname(subnetFile));
  const flags = [`--subnet-dir=${store}`, `--subnet-file=${subnetFile}`, "--iface=eth0", "--ip-masq"];
  await startProgram(t, host.name, [...IN_OWN_SESSION, join(ourTools, "flanneld"), ...flags]).prints("] ready ");
}

/** @returns the container's address */
function attachToFlannel(host: Host): string {
  const conf = {
    ...{ cniVersion: "1.0.0", name: "cbr0", type: "flannel", subnetFile: subnetFileOf(host) },
    delegate: { hairpinMode: true, isDefaultGateway: true },
  };
  const { status, stdout } = host.cni("flannel", "ADD", conf);
  const { ips: [ip] = [] } = stdout as { ips?: { address: string }[] };
  if (status !== 0 || ip === undefined) throw new Error(`flannel ADD: ${JSON.stringify(stdout)}`);
  return ip.address.replace(/\/.*/, "");
}

const byFlanneld = (path: BackendName): Contest => ({
  path,
  who: "twill",
  wire: async (t) => (await wireByFlanneld(t, path)).wire,
});

/** What leads from host `n` to the containers of the other one. */
type Tunnel = (host: Host, n: 1 | 2, context: Programs & { t: Test }) => void | Promise<void>;

const tunnels: Record<BackendName, { who: Who; mtu: number; lay: Tunnel }> = {
  "host-gw": {
    who: "hand",
    mtu: UNDERLAY_MTU,
    lay: (host, n) => void host.sh(`ip route add 10.5.${3 - n}.0/24 via ${addressOf(n === 1 ? 2 : 1)}`),
  },
  vxlan: {
    who: "hand",
    mtu: UNDERLAY_MTU - 50,
    lay(host, n) {
      const [own, other] = [n, 3 - n];
      host.sh(`
        ip link add flannel.1 address 02:00:00:00:00:0${own} type vxlan id 1 dstport 8472 nolearning local 192.0.2.${own} dev eth0
        ip link set flannel.1 mtu ${UNDERLAY_MTU - 50} up
        ip address add 10.5.${own}.0/32 dev flannel.1
        ip route add 10.5.${other}.0/24 via 10.5.${other}.0 dev flannel.1 onlink
        ip neigh add 10.5.${other}.0 lladdr 02:00:00:00:00:0${other} dev flannel.1 nud permanent
        bridge fdb add 02:00:00:00:00:0${other} dev flannel.1 dst 192.0.2.${other}`);
    },
  },
  udp: {
    who: "C",
    mtu: UNDERLAY_MTU - 28,
    async lay(host, n, { t, udpProxy }) {
      const [own, other] = [n, 3 - n];
      const subnets = [`10.5.${own}.0/24`, `10.5.${other}.0/24=192.0.2.${other}`];
      const proxy = [udpProxy, "flannel0", `192.0.2.${own}`, UDP_PORT, ...subnets];
      await startProgram(t, host.name, [...IN_OWN_SESSION, ...proxy]).prints("flannel0");
      host.sh(`
        ip link set flannel0 mtu ${UNDERLAY_MTU - 28} up
        ip address add 10.5.${own}.0/32 dev flannel0
        ip route add 10.5.0.0/16 dev flannel0`);
    },
  },
};

const byTunnel = (path: BackendName): Contest => ({
  path,
  who: tunnels[path].who,
  async wire(t, programs) {
    const { one, other } = newPair(t);
    const { mtu, lay } = tunnels[path];
    for (const [host, n] of [
      [one, 1],
      [other, 2],
    ] as const) {
      await lay(host, n, { t, ...programs });
      const bridge = { gateway: `10.5.${n}.1`, address: `10.5.${n}.2`, mtu, hairpin: "on" } as const;
      host.sh(bridgeByHand(containerOf(host).name, bridge));
      host.sh(masquerade("10.5.0.0/16") + admitForwarded("10.5.0.0/16"));
    }
    return { from: containerOf(one), to: containerOf(other), address: "10.5.2.2", mtu };
  },
});

// --- All ---------------------------------------------------------------------------------------------------------------------------------

const host: Contest = {
  path: "host",
  who: "hand",
  async wire(t) {
    const { one, other } = newPair(t);
    return { from: one, to: other, address: addressOf(2), mtu: UNDERLAY_MTU };
  },
};

export const contests: readonly Contest[] = [
  host,
  ...(["bridge", "ptp", "macvlan"] as const).flatMap((path) => [
    byPlugin(path, "twill"),
    byHand(path),
    byPlugin(path, "Go"),
  ]),
  byDocker,
  ...(["host-gw", "vxlan", "udp"] as const).flatMap((path) => [byFlanneld(path), byTunnel(path)]),
];
