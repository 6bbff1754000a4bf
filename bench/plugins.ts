// ADD, CHECK and DEL of each plugin beside the Go plugin, and of whole chains.
import { bridge, type Chain, type ChainBench, chainRows, netconf, portmap } from "./chain.ts";
import { prepareReservations } from "./contenders.ts";
import type { Row } from "./figures.ts";

const OF_EARLIER = 0.65;
/** For a plugin whose own work is most of its time. */
const LIMITS = { ADD: { earlier: OF_EARLIER, Go: 0.3 }, DEL: { Go: 0.35 } };
/** For one whose time is the kernel's, which moves or deletes an interface. */
const WAITING_LIMITS = { ADD: { C: 1.3 }, DEL: { C: 1.3 } };
/** For the chain that Kubernetes and podman use. */
const CHAIN_LIMITS = { ADD: { Go: 0.15 }, DEL: { Go: 0.2 } };

const { ipam } = bridge;
const cable = "ip link add uplink type veth peer name far && ip link set uplink up && ip link set far up";
const rates = { ingressRate: 100_000_000, ingressBurst: 1_000_000, egressRate: 100_000_000, egressBurst: 1_000_000 };

const mainPlugins: readonly Chain[] = [
  { name: "ptp + host-local + masquerade", plugins: [netconf("ptp", { ipMasq: true, ipam })], limits: LIMITS },
  {
    name: "macvlan + host-local",
    plugins: [netconf("macvlan", { master: "uplink", ipam })],
    prepare: cable,
    prepareFloor: prepareReservations,
    limits: WAITING_LIMITS,
  },
  {
    name: "host-device + host-local",
    plugins: [netconf("host-device", { device: "uplink", ipam })],
    prepare: cable,
    prepareFloor: prepareReservations,
    limits: WAITING_LIMITS,
  },
  { name: "tap + host-local", plugins: [netconf("tap", { ipam })] },
].map((chain) => ({ ...chain, section: "plugins that make interfaces", headline: chain.name }));

/** Alone: nothing reads what the others would have made. */
const staticPlugin: Chain = {
  name: "static",
  section: "static",
  plugins: [netconf("static", { ipam: { type: "static", addresses: [{ address: "10.1.0.2/24" }] } })],
  limits: LIMITS,
  headline: "static",
};

const chainedPlugins: readonly Chain[] = [
  portmap(1),
  netconf("firewall"),
  netconf("bandwidth", rates),
  netconf("tuning", { mtu: 1400, sysctl: { "net.ipv4.conf.eth0.arp_filter": "1" } }),
  netconf("sbr"),
].map((plugin) => ({
  name: String(plugin["type"]),
  section: "chained plugins, behind bridge",
  plugins: [bridge, plugin],
  measured: 1,
  limits: { ADD: { earlier: OF_EARLIER } },
  headline: `chained: ${plugin["type"]}`,
}));

const wholeChains: readonly Chain[] = [
  {
    name: "bridge + portmap + firewall + tuning",
    section: "whole chains",
    plugins: [bridge, portmap(2), netconf("firewall"), netconf("tuning")],
    limits: CHAIN_LIMITS,
    headline: "bridge, portmap, firewall, tuning",
  },
];

export async function pluginRows(bench: ChainBench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const chain of [...mainPlugins, staticPlugin, ...chainedPlugins, ...wholeChains])
    rows.push(...(await chainRows(bench, chain)));
  return rows;
}
