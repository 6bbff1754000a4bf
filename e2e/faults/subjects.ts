// Every plugin as the fault tests call it: one that is not in the table fails them.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import { newLab } from "../dhcp/lab.ts";
import { type Host, newHost } from "../lab/host.ts";
import { containerWith, interfaceByHand, lines, ownRules, resultByHand } from "../lab/interface-by-hand.ts";
import type { Feature } from "../lab/needs.ts";
import { filesBelow } from "../lab/snapshot.ts";
import { hostState, runTwillOf, type Subject, withOwnRun, withoutRoundRobin } from "./faults.ts";

export interface Entry {
  needs?: readonly Feature[];
  make: (t: Test) => Subject | Promise<Subject>;
  /** How it is seen where a system call of DEL fails. */
  ofFailedDel?: (subject: Subject) => Subject;
}

const ipv4 = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };
const dual = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] };
const common = { cniVersion: "1.1.0", name: "net" };
const uplink = "ip link add uplink type veth peer name far; ip link set uplink up; ip link set far up";

/** By the plugin's name, and what tells several of one plugin apart. */
export const subjects: Readonly<Record<string, Entry>> = {
  bandwidth: { needs: ["ifb", "tbf"], make: bandwidth },
  bridge: { make: main("bridge", { bridge: "br0", isDefaultGateway: true, ipMasq: true, ipam: dual }) },
  "bridge, nftables": {
    make: main("bridge", { bridge: "br0", ipMasq: true, ipMasqBackend: "nftables", macspoofchk: true, ipam: ipv4 }),
  },
  "bridge, vlan": {
    needs: ["vlan_filtering"],
    make: main("bridge", { bridge: "br0", isGateway: true, vlan: 100, ipam: ipv4 }),
  },
  debug: { make: debug },
  dhcp: { make: dhcp },
  dnsname: { make: dnsname },
  dummy: { needs: ["dummy"], make: main("dummy", { ipam: ipv4 }) },
  "firewall, iptables": { make: (t) => firewall(t, "iptables") },
  "firewall, nftables": { make: (t) => firewall(t, "nftables") },
  flannel: { make: flannel },
  "host-device": { make: hostDevice },
  "host-local": { make: hostLocal, ofFailedDel: withoutIndex },
  ipvlan: { needs: ["ipvlan"], make: onUplink("ipvlan", { ipam: ipv4 }) },
  loopback: { make: (t) => ({ ...main("loopback", {})(t), call: { ifName: "lo" } }) },
  macvlan: { needs: ["macvlan"], make: onUplink("macvlan", { hostAccess: true, ipam: ipv4 }) },
  "portmap, iptables": { make: (t) => portmap(t, "iptables") },
  "portmap, nftables": { make: (t) => portmap(t, "nftables") },
  ptp: { make: main("ptp", { ipMasq: true, ipam: dual }) },
  sbr: { make: sbr },
  static: { make: main("static", { ipam: { type: "static", addresses: [{ address: "10.1.0.2/24" }] } }) },
  tap: { make: main("tap", { owner: 1000, mac: "02:00:00:00:00:01", ipam: ipv4 }) },
  tuning: { make: tuning },
  vlan: { needs: ["vlan"], make: onUplink("vlan", { vlanId: 5, ipam: ipv4 }) },
  vrf: { needs: ["vrf"], make: vrf },
};

/** One that needs no other before it. @param prepare Run on the host */
function main(plugin: string, keys: Record<string, unknown>, prepare = "true") {
  return (t: Test): Subject => {
    const node = newHost(t);
    node.sh(prepare);
    return { node, plugin, conf: { ...common, type: plugin, ...keys } };
  };
}

/** One whose link lies on a link of the host: that one's counts of who uses it change when the container's link goes, which is with its namespace. */
function onUplink(plugin: string, keys: Record<string, unknown>) {
  const make = main(plugin, { master: "uplink", ...keys }, uplink);
  return (t: Test): Subject => {
    const subject = make(t);
    const { node } = subject;
    const lookAtHost = () => {
      const { namespaces, files } = hostState(node);
      const { links: { uplink: _parent, ...links } = {}, ...state } = namespaces[node.name] ?? {};
      return { ...state, links, files };
    };
    return { ...subject, lookAtHost };
  };
}

/** The result of a bridge that the container is connected to. */
function behindBridge(node: Host, keys: Record<string, unknown> = { ipam: ipv4 }) {
  const { stdout } = node.cni("bridge", "ADD", { ...common, type: "bridge", bridge: "br0", ...keys });
  return stdout as { interfaces: { name: string }[] };
}

function bandwidth(t: Test): Subject {
  const node = newHost(t);
  const prevResult = behindBridge(node);
  const port = prevResult.interfaces[1]?.name;
  const limits = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 8_000_000, egressBurst: 800_000 };
  const conf = { ...common, type: "bandwidth", prevResult, ...limits };
  const afterDel = () => node.sh(`tc qdisc del dev ${port} root || true; tc qdisc del dev ${port} ingress || true`);
  return { node, plugin: "bandwidth", conf, afterDel };
}

/** Its file is whoever asked for it to keep. */
function debug(t: Test): Subject {
  const subject = main("debug", { cniOutput: "/var/lib/calls" })(t);
  const look = () => {
    const { namespaces, files } = subject.node.snapshot();
    return { namespaces, files: { ...files, calls: "" } };
  };
  return { ...subject, look };
}

/** The resolver runs, for another container. Whoever is killed leaves what the network's directory has. */
function dnsname(t: Test): Subject {
  const node = newHost(t, { containers: 2 });
  const keys = { ...common, type: "dnsname", domainName: "dns.podman" };
  const other = { ...keys, name: "other", prevResult: behindBridge(node, { isGateway: true, ipam: ipv4 }) };
  const { status, stdout } = node.cni("dnsname", "ADD", other, { containerId: "other", under: withOwnRun(node) });
  if (status !== 0) throw new Error(`the resolver is not started: ${JSON.stringify(stdout)}`);
  const records = () =>
    Object.values(filesBelow(join(runTwillOf(node), "dnsname"))).filter((text) => text !== "directory");
  const look = () => ({ ...node.snapshot(), records: records() });
  return { node, plugin: "dnsname", conf: { ...keys, prevResult: other.prevResult }, look, lookAtHost: records };
}

/** What the daemon holds. */
async function dhcp(t: Test): Promise<Subject> {
  const lab = await newLab(t);
  await lab.startServer({ dnsmasq: [] });
  const held = () => {
    const { status } = lab.cni("CHECK");
    return { status, journal: readdirSync(join(lab.dir, "dhcp.leases")).length };
  };
  return { node: lab.node, plugin: "dhcp", conf: lab.network(), look: held, says: /a lease is not released/ };
}

/** Behind something that has made a bridge and given addresses: it looks at neither. */
function firewall(t: Test, backend: "iptables" | "nftables"): Subject {
  const prevResult = {
    cniVersion: "1.1.0",
    interfaces: [{ name: "br0" }],
    ips: [{ address: "10.1.0.2/24" }, { address: "fd00:1::2/64" }],
  };
  return main("firewall", { backend, ingressPolicy: "isolated", prevResult })(t);
}

function flannel(t: Test): Subject {
  const subject = main("flannel", { subnetFile: "/var/lib/flannel/subnet.env" })(t);
  const subnetFile = [
    "FLANNEL_NETWORK=10.1.0.0/16",
    "FLANNEL_SUBNET=10.1.17.1/24",
    "FLANNEL_IPV6_NETWORK=fd00:1::/48",
    "FLANNEL_IPV6_SUBNET=fd00:1:0:17::1/64",
    "FLANNEL_MTU=1450",
    "FLANNEL_IPMASQ=true",
  ];
  subject.node.write("/var/lib/flannel/subnet.env", `${subnetFile.join("\n")}\n`);
  return subject;
}

/** The device is down from the start, as DEL leaves it. Without its namespace's name nobody finds it, but its file goes. */
function hostDevice(t: Test): Subject {
  const keys = { device: "dev0", dataDir: "/var/lib/host-device", ipam: ipv4 };
  const subject = main(
    "host-device",
    keys,
    "ip link add dev0 type veth peer name peer0; ip link set dev0 alias 'to the storage'",
  )(t);
  const { node } = subject;
  const files = () => withoutRoundRobin({ namespaces: {}, files: filesBelow(node.varLib) });
  const look = () => ({
    links: [node, ...node.containers].map(({ sh }) => sh("ip -o address; ip -o link").split("\n")),
    ...files(),
  });
  return { ...subject, look, lookAtHost: files };
}

function hostLocal(t: Test): Subject {
  const subject = main("host-local", { ipam: dual })(t);
  const look = () => withoutRoundRobin({ namespaces: {}, files: filesBelow(subject.node.varLib) });
  return { ...subject, look };
}

/** The index may be behind: the reservations are what counts. */
function withoutIndex(subject: Subject): Subject {
  const look = () => Object.entries(filesBelow(subject.node.varLib)).filter(([path]) => !/\.twill|last_/.test(path));
  return { ...subject, look };
}

/** A TCP and a UDP port. */
function portmap(t: Test, backend: "iptables" | "nftables"): Subject {
  const node = newHost(t);
  const prevResult = behindBridge(node, { isGateway: true, ipam: dual });
  const portMappings = [
    { hostPort: 8080, containerPort: 80, protocol: "tcp" },
    { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: "192.0.2.1" },
  ];
  const conf = { ...common, type: "portmap", backend, prevResult, runtimeConfig: { portMappings } };
  return { node, plugin: "portmap", conf };
}

/** After each DEL the interface is made anew, as the plugin before would delete it. */
function behindInterfaceByHand(t: Test, plugin: string, keys: Record<string, unknown>): Subject {
  const node = newHost(t);
  const container = containerWith(node);
  const conf = { ...common, type: plugin, prevResult: resultByHand, ...keys };
  const afterDel = () => container.sh(`ip link delete net1\n${interfaceByHand}`);
  return { node, plugin, conf, call: { ifName: "net1" }, afterDel, lookAtHost: () => hostState(node) };
}

const inContainer = ({ node }: Subject, script: string): string => node.containers[0]?.sh(script) ?? "";

function sbr(t: Test): Subject {
  const subject = behindInterfaceByHand(t, "sbr", { addSourceHints: true });
  const routes = "ip route show table all; ip -6 route show table all";
  const [container] = subject.node.containers;
  const look = () => [container && ownRules(container), lines(inContainer(subject, routes)).filter(isLasting).sort()];
  return { ...subject, look };
}

/** The kernel gives an interface that was made anew its link-local address, and routes for it, some time later. */
const isLasting = (line: string): boolean => !/\b(fe80|ff00)::/.test(line);

function tuning(t: Test): Subject {
  const node = newHost(t);
  const prevResult = behindBridge(node);
  const keys = { dataDir: "/var/lib/tuning", mtu: 1400, promisc: true, mac: "c2:11:22:33:44:55", txQLen: 77 };
  const conf = { ...common, type: "tuning", prevResult, ...keys };
  const lookAtHost = () => filesBelow(node.varLib); // who does not know the namespace cannot restore the MAC in there
  return { node, plugin: "tuning", conf, lookAtHost };
}

function vrf(t: Test): Subject {
  const subject = behindInterfaceByHand(t, "vrf", { vrfname: "blue" });
  const state = `ip -o link show | cut -d: -f2; ip -o -6 address show net1 | sed 's/^[0-9]*://'; ip route show; ip -6 route show`;
  return { ...subject, look: () => lines(inContainer(subject, state)).filter(isLasting) };
}
