// The tables of nf_tables that twill makes, in nft's language: what `nft -f` loads from the file beside the code in one namespace, twill makes
// in another. The pages show these files.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { AttachmentId } from "../../pkg/cni/attachment-id.ts";
import { allowForwarding } from "../../pkg/firewall/forwarding/forwarding.ts";
import { prefix } from "../../pkg/firewall/iptables/samples.testing.ts";
import { placeLinkHoles } from "../../pkg/firewall/links/link-table.ts";
import { addMacSpoofCheck } from "../../pkg/firewall/mac-spoof-check.ts";
import { addMasquerade } from "../../pkg/firewall/masquerade/masquerade.ts";
import type { MappingSet } from "../../pkg/firewall/portmap/port-mapping.ts";
import { addPortMappings } from "../../pkg/firewall/portmap/portmap.ts";
import { connect, NETLINK_NETFILTER } from "../../pkg/netlink/connection.ts";
import { openNamespace, within } from "../../pkg/sys/namespace.ts";
import { nftables, trafficOf } from "../flanneld/traffic.ts";
import { type Host, newHost } from "../lab/host.ts";
import { needsKernel } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";

const needs = needsKernel("nft_inet_nat");

const owner: AttachmentId = { network: "podnet", containerId: "3f2a", ifName: "eth0" };
const other: AttachmentId = { network: "podnet", containerId: "8c01", ifName: "eth0" };

/** Has the work done by our code in the host's namespace. */
function inside(work: () => void): (host: Host) => void {
  return (host) => within(openNamespace(host.path), work);
}

function publish(): void {
  const netfilter = connect(NETLINK_NETFILTER);
  const common = {
    owner,
    mappings: [
      { protocol: "tcp", hostPort: 8080, containerPort: 80, hostIp: undefined, family: undefined },
      { protocol: "udp", hostPort: 53, containerPort: 53, hostIp: prefix("192.0.2.1/32").address, family: "ip" },
    ],
    snat: true,
    masqAll: false,
    mark: 0x2000,
    externalSetMarkChain: undefined,
  } as const;
  const mappingSets: MappingSet[] = [
    { ...common, family: "ip", container: prefix("10.22.0.5/16"), conditions: [] },
    { ...common, family: "ip6", container: prefix("fd00:22::5/64"), conditions: [] },
  ];
  const restricted: MappingSet = {
    ...common,
    owner: other,
    family: "ip",
    container: prefix("10.22.0.6/16"),
    mappings: [{ protocol: "tcp", hostPort: 8081, containerPort: 80, hostIp: undefined, family: undefined }],
    masqAll: true,
    conditions: ["ip", "saddr", "198.51.100.0/24"],
  };
  addPortMappings(() => netfilter, "nftables", mappingSets);
  addPortMappings(() => netfilter, "nftables", [restricted]);
}

function allow(): void {
  const options = { backend: "nftables", zone: "" } as const;
  const adminChain = "CNI-ADMIN";
  const addresses = ["10.22.0.5/32", "fd00:22::5/128"].map((text) => prefix(text).address);
  const isolated = { bridge: "cni0", isolated: true };
  const open = { bridge: "cni1", isolated: false };
  allowForwarding({ owner, addresses, policy: isolated, adminChain }, options);
  allowForwarding({ owner: other, addresses: [prefix("10.23.0.6/32").address], policy: open, adminChain }, options);
}

function link(): void {
  const addresses = ["10.5.0.2/32", "fd00:5::2/128", "fe80::42:aff:fe05:2/128"].map((text) => prefix(text).address);
  const others = ["10.5.0.3/32", "fd00:5::3/128", "fe80::42:aff:fe05:3/128"].map((text) => prefix(text).address);
  placeLinkHoles(connect(NETLINK_NETFILTER), "front", {
    holes: [{ client: "veth1", target: "veth2", protocol: 6, port: 5432 }],
    addresses: [
      ...addresses.map((address) => ({ port: "veth1", address })),
      ...others.map((address) => ({ port: "veth2", address })),
    ],
    openPorts: ["eth1"],
  });
}

/** The files, and how twill makes what is in them. */
const cases: Readonly<Record<string, (host: Host) => void>> = {
  "pkg/firewall/portmap/nftables-table.nft": inside(publish),
  "pkg/firewall/forwarding/nftables-table.nft": inside(allow),
  "pkg/firewall/masquerade/nftables.nft": inside(() =>
    addMasquerade(owner, ["10.22.0.5/16", "fd00:22::5/64"].map(prefix), "nftables"),
  ),
  "pkg/firewall/mac-spoof-check.nft": inside(() =>
    addMacSpoofCheck(owner, { hostIfName: "veth1a2b3c4d", mac: "0a:58:0a:16:00:05" }, () => false),
  ),
  "pkg/firewall/links/link-table.nft": inside(link),
  "pkg/flannel/rules/nftables.nft": (host) => trafficOf(host, nftables).ensure(),
};

for (const [file, make] of Object.entries(cases)) {
  t.test(`twill makes what nft loads from ${file}`, needs, async (t) => {
    const text = readFileSync(join(projectRoot, file), "utf8");
    const tables = [...text.matchAll(/^table (\w+ \S+) \{$/gm)].map(([, name = ""]) => name);
    t.ok(tables.length > 0, "names tables");
    const [theirs, ours] = [newHost(t, { containers: 0 }), newHost(t, { containers: 0 })];
    theirs.sh(`nft -f ${join(projectRoot, file)}`);
    make(ours);
    for (const table of tables) {
      const list = `nft list table ${table}`;
      t.equal(ours.sh(list), theirs.sh(list), table);
    }
  });
}
