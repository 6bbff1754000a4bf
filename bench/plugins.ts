// ADD and DEL of each plugin beside the Go plugin, and of whole chains.
import { bridge, type Chain, type ChainBench, chainRows, netconf, portmap } from "./chain.ts";
import type { Row } from "./figures.ts";

/** Of Go's, for one plugin. */
const LIMITS = { ADD: 0.3, DEL: 0.35 };
/** Of Go's, for the chain that Kubernetes and podman use. */
const CHAIN_LIMIT = 0.25;

const { ipam } = bridge;
const cable = "ip link add uplink type veth peer name far && ip link set uplink up && ip link set far up";
const rates = { ingressRate: 100_000_000, ingressBurst: 1_000_000, egressRate: 100_000_000, egressBurst: 1_000_000 };

const mainPlugins: readonly Chain[] = [
  { name: "ptp + host-local + masquerade", plugins: [netconf("ptp", { ipMasq: true, ipam })] },
  { name: "macvlan + host-local", plugins: [netconf("macvlan", { master: "uplink", ipam })], prepare: cable },
  { name: "host-device + host-local", plugins: [netconf("host-device", { device: "uplink", ipam })], prepare: cable },
  { name: "tap + host-local", plugins: [netconf("tap", { ipam })] },
  {
    name: "static",
    plugins: [netconf("static", { ipam: { type: "static", addresses: [{ address: "10.1.0.2/24" }] } })],
  },
].map((chain) => ({
  ...chain,
  section: "plugins that make interfaces, and IPAM",
  limits: LIMITS,
  headline: chain.name,
}));

const chainedPlugins: readonly Chain[] = [
  portmap(1),
  netconf("firewall"),
  netconf("bandwidth", rates),
  netconf("tuning", { mtu: 1400, sysctl: { "net.ipv4.conf.IFNAME.arp_filter": "1" } }),
  netconf("sbr"),
].map((plugin) => ({
  name: String(plugin["type"]),
  section: "chained plugins, behind bridge",
  plugins: [bridge, plugin],
  measured: 1,
  headline: `chained: ${plugin["type"]}`,
}));

const wholeChains: readonly Chain[] = [
  {
    name: "bridge + portmap + firewall + tuning",
    section: "whole chains",
    plugins: [bridge, portmap(2), netconf("firewall"), netconf("tuning")],
    limits: { ADD: CHAIN_LIMIT, DEL: CHAIN_LIMIT },
    headline: "bridge, portmap, firewall, tuning",
  },
];

export async function pluginRows(bench: ChainBench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const chain of [...mainPlugins, ...chainedPlugins, ...wholeChains])
    rows.push(...(await chainRows(bench, chain)));
  return rows;
}
