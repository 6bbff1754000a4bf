import t from "tap";
import type { Lease } from "../../../pkg/cluster/lease/lease.ts";
import { storeRemedies } from "../../../pkg/cluster/lease/store-manager.ts";
import type { DaemonState } from "../../../pkg/subnet-env/daemon-state.ts";
import { type DiagnosisInput, diagnose, type NetworkFacts, type PeerPing } from "./diagnose.ts";

const HOUR_MS = 3600_000;
const nowMs = Date.UTC(2026, 0, 31, 12);

/** Host `n`: 192.0.2.n has 10.5.n.0/24. */
const lease = (n: number, changes: Partial<Lease> = {}): Lease => ({
  id: `10.5.${n}.0-24`,
  ipv4: { address: Uint8Array.of(10, 5, n, 0), length: 24 },
  attributes: { publicIP: Uint8Array.of(192, 0, 2, n), backendType: "vxlan" },
  expiresMs: nowMs + 20 * HOUR_MS,
  ...changes,
});
const own = lease(1);
const peer = lease(2);

const healthy: NetworkFacts = {
  own,
  backendType: "vxlan",
  counters: undefined,
  mtu: 1450,
  hasMtuKey: true,
  overheadBytes: 50,
  adviceWhenSilent: "see that the firewalls pass it",
  external: { name: "eth0", mtu: 1500 },
  devices: [{ name: "flannel.1", wantedMtu: 1450, mtu: 1450 }],
  subnetFile: {
    path: "/run/flannel/subnet.env",
    text: "FLANNEL_SUBNET=10.5.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
  },
  peers: [peer],
  probes: [],
  malformed: new Map(),
  configProblem: undefined,
  interfaceProblem: undefined,
  missing: [],
  obstacles: [],
  closedPorts: [],
  renewMarginMs: HOUR_MS,
  nowMs,
};
const state: DaemonState = { pid: 42, since: "2026-01-31T11:00:00.000Z", state: "ready", reason: "subnet 10.5.1.0/24" };
const store = { description: "etcd http://10.0.0.1:2379", remedies: storeRemedies, trouble: undefined };

const probe = (answer: PeerPing["answer"]): PeerPing => ({
  peer,
  address: Uint8Array.of(10, 5, 2, 0),
  size: 1450,
  answer,
});
const hostGateway = lease(1, { attributes: { publicIP: Uint8Array.of(192, 0, 2, 1), backendType: "host-gw" } });

const cases: {
  title: string;
  facts?: Partial<DiagnosisInput>;
  member?: Partial<NetworkFacts>;
  problems: [string, string][];
}[] = [
  { title: "a healthy host", member: { probes: [probe("yes")] }, problems: [] },
  {
    title: "a tunnel of IPv6, which takes more of each packet",
    member: { devices: [...healthy.devices, { name: "flannel-v6.1", wantedMtu: 1430, mtu: 1430 }] },
    problems: [],
  },
  {
    title: "a host that waits",
    facts: { state: { ...state, state: "waiting", reason: "no network configuration" }, member: undefined },
    problems: [
      [
        "this host has no subnet yet: no network configuration",
        "see the reason; flanneld continues by itself when it no longer applies",
      ],
    ],
  },
  {
    title: "a host that waits for the store: why is told once",
    facts: {
      state: { ...state, state: "waiting", reason: "connection refused" },
      store: { ...store, trouble: "connection refused" },
      member: undefined,
    },
    problems: [
      ["this host has no subnet yet", "see the next problem; flanneld continues by itself when the store answers"],
      [
        "the store (etcd http://10.0.0.1:2379) does not answer: connection refused",
        "check that it runs and can be reached from here; until then existing routes stay, and changes of other hosts are not seen",
      ],
    ],
  },
  {
    title: "leases of two peers that overlap",
    member: {
      peers: [lease(4, { ipv4: { address: Uint8Array.of(10, 5, 4, 0), length: 22 } }), lease(2), lease(6)],
    },
    problems: [
      [
        "the lease of 10.5.6.0/24 (192.0.2.6) overlaps that of 10.5.4.0/22 (192.0.2.4): one of the two hosts cannot be reached, or only in part",
        "delete the lease that is wrong",
      ],
    ],
  },
  {
    title: "a network configuration that has changed",
    member: { configProblem: { text: "it has changed", remedy: "restart flanneld" } },
    problems: [["it has changed", "restart flanneld"]],
  },
  {
    title: "a lost lease",
    facts: { state: { ...state, state: "lost", reason: "192.0.2.9 has 10.5.1.0/24" } },
    problems: [
      [
        "this host has lost its lease: 192.0.2.9 has 10.5.1.0/24",
        "its containers may have the same addresses as another host's: see which host has the subnet now, then restart flanneld",
      ],
    ],
  },
  {
    title: "a store that does not answer",
    facts: { store: { ...store, trouble: "connection refused" } },
    problems: [
      [
        "the store (etcd http://10.0.0.1:2379) does not answer: connection refused",
        "check that it runs and can be reached from here; until then existing routes stay, and changes of other hosts are not seen",
      ],
    ],
  },
  {
    title: "an MTU that the interface has no room for",
    member: { external: { name: "eth0", mtu: 1400 } },
    problems: [
      [
        "containers send packets of up to 1450 bytes, but interface eth0 (MTU 1400) carries at most 1350 with vxlan",
        'lower "MTU" in the Backend of the network configuration, or raise it on eth0; then restart flanneld',
      ],
    ],
  },
  { title: "an MTU below what there is room for", member: { external: { name: "eth0", mtu: 9000 } }, problems: [] },
  {
    title: "host-gw, which puts nothing before packets",
    member: { own: hostGateway, overheadBytes: 0, devices: [], external: { name: "eth0", mtu: 1450 } },
    problems: [],
  },
  {
    title: "a device with another MTU",
    member: { devices: [{ name: "flannel.1", wantedMtu: 1450, mtu: 1500 }] },
    problems: [
      [
        "device flannel.1 has MTU 1500, must have 1450",
        "flanneld sets it within seconds; if it does not: ip link set flannel.1 mtu 1450",
      ],
    ],
  },
  {
    title: "a device that is gone",
    member: { devices: [{ name: "flannel.1", wantedMtu: 1450, mtu: undefined }] },
    problems: [
      ["device flannel.1 is missing", "flanneld creates it again within seconds; if it does not, its log says why"],
    ],
  },
  {
    title: "a subnet file with another MTU",
    member: { subnetFile: { path: "/f.env", text: "FLANNEL_MTU=1500\n" } },
    problems: [["subnet file /f.env has FLANNEL_MTU 1500, must have 1450", "restart flanneld, which writes the file"]],
  },
  {
    title: "a subnet file without MTU",
    member: { subnetFile: { path: "/f.env", text: "" } },
    problems: [["subnet file /f.env has no FLANNEL_MTU, must have 1450", "restart flanneld, which writes the file"]],
  },
  {
    title: "no subnet file",
    member: { subnetFile: { path: "/f.env", text: undefined } },
    problems: [
      ["subnet file /f.env is missing: no container can be attached", "restart flanneld, which writes the file"],
    ],
  },
  {
    title: "a missing entry",
    member: { missing: ["route 10.5.2.0/24 via 10.5.2.0 is missing"] },
    problems: [
      [
        "route 10.5.2.0/24 via 10.5.2.0 is missing",
        "flanneld repairs it within seconds; if it does not, its log says what the kernel refuses",
      ],
    ],
  },
  {
    title: "what the backend cannot do",
    member: { obstacles: [{ text: "the host of lease 10.5.2.0-24 cannot be reached: why", remedy: "what to do" }] },
    problems: [["the host of lease 10.5.2.0-24 cannot be reached: why", "what to do"]],
  },
  {
    title: "a port that a firewall closes",
    member: {
      closedPorts: [{ port: 8472, by: "firewalld (zone public)", command: "firewall-cmd --add-port=8472/udp" }],
    },
    problems: [
      [
        "firewalld (zone public) drops what other hosts send to UDP port 8472: containers of other hosts do not reach those of this one",
        "firewall-cmd --add-port=8472/udp",
      ],
    ],
  },
  {
    title: "leases that are not renewed",
    member: { own: lease(1, { expiresMs: nowMs - 300_000 }), peers: [lease(2, { expiresMs: nowMs + 90_000 })] },
    problems: [
      [
        "the lease of 10.5.1.0/24 (192.0.2.1) ended 5 min ago and has not been renewed",
        "check that flanneld runs there and reaches the store; if the host was removed, nothing needs to be done",
      ],
      [
        "the lease of 10.5.2.0/24 (192.0.2.2) ends in 90 s and has not been renewed",
        "check that flanneld runs there and reaches the store; if the host was removed, nothing needs to be done",
      ],
    ],
  },
  {
    title: "leases within their margin, for ever, or of unknown end",
    member: {
      own: lease(1, { expiresMs: nowMs + HOUR_MS / 2 }),
      peers: [{ ...lease(2), expiresMs: nowMs - 1 }, { ipv4: lease(3).ipv4, attributes: lease(3).attributes } as Lease],
    },
    problems: [],
  },
  {
    title: "two leases of one address",
    member: { peers: [peer, lease(9, { attributes: own.attributes })] },
    problems: [
      [
        "192.0.2.1 has 2 leases: 10.5.1.0/24 and 10.5.9.0/24",
        "if one host has them, delete those that it does not use from the store; if several hosts have them, give each its own --public-ip",
      ],
    ],
  },
  {
    title: "a change of the interface that the backend cannot adapt to",
    member: { interfaceProblem: { text: "it is too small", remedy: "raise it" } },
    problems: [["it is too small", "raise it"]],
  },
  {
    title: "leases without an address",
    member: { peers: [2, 3].map((n) => lease(n, { attributes: { backendType: "vxlan" } })) },
    problems: [],
  },
  {
    title: "a key that is no lease",
    member: { malformed: new Map([["10.5.7.0", "its name is no subnet"]]) },
    problems: [
      [
        'key "10.5.7.0" in the store is ignored: its name is no subnet',
        "correct or delete it; until then its host cannot be reached",
      ],
    ],
  },
  {
    title: "a peer that does not answer: the backend says what to look at",
    member: { probes: [probe("no")] },
    problems: [
      [
        "10.5.2.0/24 (192.0.2.2) does not answer (ping 10.5.2.0)",
        "see that the firewalls pass it; if containers reach each other, a firewall drops only pings (ICMP) to the hosts",
      ],
    ],
  },
  {
    title: "a peer behind a smaller MTU",
    member: { probes: [probe("small packets")] },
    problems: [
      [
        "10.5.2.0/24 (192.0.2.2) answers small packets, but none of 1450 bytes",
        'a link between the hosts has an MTU below the 1500 of eth0: raise it, or set "MTU" in the Backend of the network configuration to it, and restart flanneld on all hosts (try sizes with: ping -M do -s 1422 10.5.2.0)',
      ],
    ],
  },
  {
    title: "a peer behind a smaller MTU, with a backend whose MTU follows the interface",
    member: { backendType: "udp", hasMtuKey: false, probes: [probe("small packets")] },
    problems: [
      [
        "10.5.2.0/24 (192.0.2.2) answers small packets, but none of 1450 bytes",
        "a link between the hosts has an MTU below the 1500 of eth0: raise it, or set it on all hosts, which flanneld follows: ip link set eth0 mtu SIZE (try sizes with: ping -M do -s 1422 10.5.2.0)",
      ],
    ],
  },
  {
    title: "peers that cannot be asked",
    member: { probes: "not permitted" },
    problems: [
      ["the other hosts were not pinged: flanneld lacks CAP_NET_RAW", "give it the capability, or run it as root"],
    ],
  },
];
for (const { title, facts, member, problems } of cases) {
  t.test(`${title}: ${problems.length === 0 ? "no problem" : "said with its remedy"}`, async (t) => {
    t.strictSame(
      diagnose({ state, store, member: { ...healthy, ...member }, ...facts }),
      problems.map(([text, remedy]) => ({ text, remedy })),
    );
  });
}
