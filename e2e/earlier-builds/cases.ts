// What is recorded of each build: plugins and backends, each as a network to which containers are attached.
import type { Feature } from "../lab/needs.ts";

export interface Case {
  /** The plugins of the network "net"; a function where each container has a network of its own, "net0" and so on. */
  plugins: readonly object[] | ((container: number) => readonly object[]);
  /** How many containers are attached by the build; more than one, so that each can be deleted in another way. */
  attached: number;
  /** Run on the host before. */
  prepare?: string;
  /** Programs that run on the host meanwhile; "dhcp" is the build's own. */
  programs?: readonly { command: readonly string[]; ready: RegExp }[];
  /** CAP_ARGS of a container. */
  capabilities?(container: number): object;
  needs?: readonly Feature[];
  /** The host's iptables are the legacy ones. */
  isLegacy?: true;
  /** firewalld runs on the host. */
  hasFirewalld?: true;
}

/** With each of them: DEL with and without the cached result, DEL and GC when the namespace is gone, GC when the result is lost. */
const EVERY_WAY = 5;

const dualStack = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] };
const ipv4 = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };
const bridge = {
  type: "bridge",
  bridge: "net0",
  isDefaultGateway: true,
  ipMasq: true,
  hairpinMode: true,
  ipam: dualStack,
};
const plainBridge = { type: "bridge", bridge: "net0", isDefaultGateway: true, ipam: ipv4 };

const ports = (container: number) => ({
  portMappings: [
    { hostPort: 8000 + container, containerPort: 80, protocol: "tcp" },
    { hostPort: 8000 + container, containerPort: 53, protocol: "udp", hostIP: "192.0.2.1" },
  ],
});

type Backend = "iptables" | "nftables";

const published = (backend: Backend) => ({
  plugins: [
    { ...bridge, ipMasqBackend: backend },
    { type: "portmap", backend, capabilities: { portMappings: true } },
  ],
  capabilities: ports,
  attached: EVERY_WAY,
});

const publishedIf = (backend: Backend, conditions: object) => ({
  plugins: [
    { ...plainBridge, ipam: dualStack },
    { type: "portmap", backend, capabilities: { portMappings: true }, ...conditions },
  ],
  capabilities: ports,
  attached: EVERY_WAY,
});

const guarded = (backend: Backend, ingressPolicy: string) => ({
  plugins: [
    { ...bridge, ipMasqBackend: backend, macspoofchk: true, portIsolation: true },
    { type: "firewall", backend, ingressPolicy },
  ],
  attached: EVERY_WAY,
});

const uplink = `
  ip link add uplink type veth peer name far; ip link set uplink up; ip link set far up
  ip address add 10.1.0.250/24 dev uplink; ip address add fd00:1::250/64 dev uplink nodad`;
const overUplink = (type: string, keys: object = {}) => ({
  plugins: [{ type, master: "uplink", ipam: dualStack, ...keys }],
  prepare: uplink,
  attached: EVERY_WAY,
});

/** A device for each container, and one more for the build under test; some have an address to keep. */
const devices = Array.from(
  { length: EVERY_WAY + 1 },
  (_, i) => `
  ip link add dev${i} address 02:00:00:00:01:0${i} type veth peer name peer${i}; ip link set peer${i} up
  ip link set dev${i} mtu 1400 up; ip address add 10.9.${i}.1/24 dev dev${i}`,
).join("");

const subnetEnv = [
  "FLANNEL_NETWORK=10.1.0.0/16",
  "FLANNEL_SUBNET=10.1.17.1/24",
  "FLANNEL_IPV6_NETWORK=fc00::/48",
  "FLANNEL_IPV6_SUBNET=fc00:0:0:1::1/64",
  "FLANNEL_MTU=1450",
  "FLANNEL_IPMASQ=false",
];
const subnetFile = "/var/lib/flannel/subnet.env";

const dnsmasqFlags = [
  ...["--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=net0", "--bind-interfaces"],
  ...["--dhcp-leasefile=/run/dnsmasq.leases", "--dhcp-range=10.77.0.10,10.77.0.99,255.255.255.0,24h"],
];

export const cases: Record<string, Case> = {
  "bridge-portmap-nftables": published("nftables"),
  "bridge-portmap-iptables": published("iptables"),
  "bridge-portmap-iptables-legacy": { ...published("iptables"), isLegacy: true },
  "portmap-conditions-nftables": publishedIf("nftables", {
    conditionsV4: ["ip", "saddr", "!=", "192.0.2.0/24"],
    masqAll: true,
  }),
  "portmap-conditions-iptables": publishedIf("iptables", {
    conditionsV4: ["!", "-s", "192.0.2.0/24"],
    markMasqBit: 11,
  }),
  "portmap-without-snat": publishedIf("nftables", { snat: false }),
  "portmap-without-snat-iptables": publishedIf("iptables", { snat: false }),
  "bridge-firewall-nftables": guarded("nftables", "same-bridge"),
  "bridge-firewall-iptables": guarded("iptables", "same-bridge"),
  "bridge-firewall-iptables-legacy": { ...guarded("iptables", "same-bridge"), isLegacy: true },
  "firewall-isolated-nftables": guarded("nftables", "isolated"),
  "firewall-isolated-iptables": guarded("iptables", "isolated"),
  "firewall-firewalld": {
    plugins: [
      { ...plainBridge, ipam: dualStack },
      { type: "firewall", ingressPolicy: "same-bridge" },
    ],
    attached: EVERY_WAY,
    hasFirewalld: true,
  },
  "ptp-nftables": {
    plugins: [{ type: "ptp", ipMasq: true, ipMasqBackend: "nftables", ipam: dualStack }],
    attached: EVERY_WAY,
  },
  "ptp-iptables": {
    plugins: [{ type: "ptp", ipMasq: true, ipMasqBackend: "iptables", ipam: dualStack }],
    attached: EVERY_WAY,
  },
  macvlan: { ...overUplink("macvlan"), needs: ["macvlan"] },
  "macvlan-host-access": { ...overUplink("macvlan", { hostAccess: true }), needs: ["macvlan"] },
  ipvlan: { ...overUplink("ipvlan"), needs: ["ipvlan"] },
  vlan: {
    ...overUplink("vlan"),
    plugins: (container) => [{ type: "vlan", master: "uplink", vlanId: 100 + container, ipam: dualStack }],
    needs: ["vlan"],
  },
  "bridge-vlan": {
    plugins: [{ ...plainBridge, vlan: 100, vlanTrunk: [{ minID: 200, maxID: 202 }] }],
    attached: EVERY_WAY,
    needs: ["vlan_filtering"],
  },
  dummy: { plugins: [{ type: "dummy", ipam: dualStack }], attached: EVERY_WAY, needs: ["dummy"] },
  vrf: { plugins: [plainBridge, { type: "vrf", vrfname: "red" }], attached: EVERY_WAY, needs: ["vrf"] },
  tap: { plugins: [{ type: "tap", multiQueue: true, mtu: 1400, ipam: dualStack }], attached: EVERY_WAY },
  loopback: { plugins: [{ type: "loopback" }], attached: EVERY_WAY },
  "host-device": {
    plugins: (container) => [{ type: "host-device", device: `dev${container}`, ipam: dualStack }],
    prepare: devices,
    attached: EVERY_WAY,
  },
  "host-device-tuning": {
    plugins: (container) => [
      { type: "host-device", device: `dev${container}`, ipam: ipv4 },
      { type: "tuning", mac: `02:00:00:00:02:0${container}`, mtu: 1300, promisc: true, txQLen: 77 },
    ],
    prepare: devices,
    attached: EVERY_WAY,
  },
  flannel: {
    plugins: [{ type: "flannel", subnetFile, delegate: { isDefaultGateway: true } }],
    prepare: `mkdir -p /var/lib/flannel; printf '${subnetEnv.join("\\n")}\\n' > ${subnetFile}`,
    attached: EVERY_WAY,
  },
  "host-local-ranges": {
    plugins: [
      {
        type: "bridge",
        bridge: "net0",
        ipam: {
          type: "host-local",
          ranges: [
            [{ subnet: "10.1.0.0/24", rangeStart: "10.1.0.20", rangeEnd: "10.1.0.22" }, { subnet: "10.2.0.0/24" }],
            [{ subnet: "10.3.0.0/24", gateway: "10.3.0.254" }],
            [{ subnet: "fd00:1::/64" }],
          ],
          routes: [{ dst: "192.0.2.0/24" }],
          dataDir: "/var/lib/addresses",
          reuseDelay: 3600,
        },
      },
    ],
    attached: EVERY_WAY,
  },
  static: {
    plugins: (container) => [
      {
        ...plainBridge,
        ipam: {
          type: "static",
          addresses: [{ address: `10.1.0.${10 + container}/24`, gateway: "10.1.0.1" }],
          dns: { nameservers: ["192.0.2.53"] },
        },
      },
    ],
    attached: EVERY_WAY,
  },
  dhcp: {
    plugins: [{ type: "bridge", bridge: "net0", ipam: { type: "dhcp" } }],
    prepare:
      "ip link add net0 address 02:00:00:00:00:01 type bridge; ip address add 10.77.0.1/24 dev net0; ip link set net0 up",
    programs: [
      { command: ["dnsmasq", ...dnsmasqFlags], ready: /sockets bound/ },
      { command: ["dhcp", "daemon"], ready: /listen(s|ing) on/ },
    ],
    attached: EVERY_WAY,
  },
  "bandwidth-tuning-sbr-debug": {
    plugins: [
      plainBridge,
      { type: "bandwidth", ingressRate: 8e6, ingressBurst: 8e5, egressRate: 4e6, egressBurst: 4e5 },
      { type: "tuning", mtu: 1400, allmulti: true, sysctl: { "net.ipv4.conf.IFNAME.arp_filter": "1" } },
      { type: "sbr" },
      { type: "debug" },
    ],
    attached: EVERY_WAY,
    needs: ["ifb", "tbf"],
  },
};
