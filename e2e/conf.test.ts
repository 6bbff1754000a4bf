// The networks of conf/, which docs/networks.md explains: each one accepted by cnitool, and doing what the page says.
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { type Host, newHost, type Ran } from "./lab/host.ts";
import { type Feature, needsKernel, needsRoot } from "./lab/needs.ts";
import { ourBin, ourTools, projectRoot } from "./lab/project.ts";

/** The networks alone: what else is there is flanneld's. */
const conf = join(projectRoot, "conf");
const files = readdirSync(conf).filter((name) => name.endsWith(".conflist"));
const samples = mkdtempSync(join(tmpdir(), `twill-${process.pid}-conf-`));
t.teardown(() => rmSync(samples, { recursive: true }));
for (const file of files) copyFileSync(join(conf, file), join(samples, file));

function cnitool(node: Host, ...args: string[]): Ran {
  const runTwill = join(dirname(node.varLib), "run-twill"); // the same for all commands
  const command = [...runWithFlannel, runTwill, join(ourTools, "cnitool"), ...args];
  return node.runInside(command, { CNI_PATH: ourBin, NETCONFPATH: samples });
}

/** As if flanneld ran: a /run of its own, with the subnet file and the machine's named namespaces. Made at /media: /mnt has files of the guest. */
const subnetFile = "FLANNEL_NETWORK=10.69.0.0/16\nFLANNEL_SUBNET=10.69.3.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
const runWithFlannel = [
  "sh",
  "-c",
  `mount -t tmpfs none /media && mkdir -p /media/flannel /media/netns /media/twill "$0" && mount --bind "$0" /media/twill && printf '${subnetFile}' > /media/flannel/subnet.env &&
   mount --rbind /run/netns /media/netns && mount --rbind /media /run && exec "$@"`,
];

interface Sample {
  file: string;
  network: string;
  needs?: readonly Feature[];
  /** Run on the host first. */
  prepare?: string;
  /** 2 unless given. */
  containers?: number;
  /** What the attached containers have, once all are there. */
  see(t: Test, node: Host): void;
}

const reaches = (t: Test, node: Host, address: string) =>
  t.equal(node.containers[0]?.run("ping", "-c1", "-W5", address).status, 0, `the first container reaches ${address}`);

/** The host's way to a network that is nobody's. */
const lan0 = "ip link add lan0 type veth peer name far; ip link set lan0 up; ip link set far up";

const list: readonly Sample[] = [
  {
    file: "10-podnet.conflist",
    network: "podnet",
    see(t, node) {
      t.match(node.sh("ip address show podnet0"), "inet 10.66.0.1/16");
      t.match(node.containers[0]?.sh("ip route"), "default via 10.66.0.1 dev eth0");
      for (const address of ["10.66.0.1", "10.66.0.3"]) reaches(t, node, address);
      t.match(node.sh("iptables -t nat -S; nft list ruleset"), /masquerade/i);
    },
  },
  {
    file: "15-published.conflist",
    network: "published",
    see(t, node) {
      for (const address of ["10.65.0.1", "10.65.0.3", "fd00:65::3"]) reaches(t, node, address);
      t.match(node.sh("bridge -d link show"), "hairpin on");
    },
  },
  {
    file: "20-dualstack.conflist",
    network: "dualstack",
    see(t, node) {
      t.match(node.containers[0]?.sh("ip address show eth0"), /inet 10\.67\.0\.2\/16.*inet6 fd00:67::100\/64/s);
      for (const address of ["10.67.0.3", "fd00:67::101"]) reaches(t, node, address);
      t.notMatch(node.containers[0]?.sh("ip -6 address show eth0 scope global"), "tentative", "usable at once");
    },
  },
  {
    file: "30-layer2.conflist",
    network: "layer2",
    see(t, node) {
      t.notMatch(node.sh("ip address show layer2br"), /inet 1/, "no address on the host");
      node.containers.forEach(({ sh }, i) => {
        sh(`ip address add 192.0.2.${i + 1}/24 dev eth0`);
      });
      reaches(t, node, "192.0.2.2");
    },
  },
  {
    file: "40-vlan.conflist",
    network: "vlan100",
    needs: ["vlan_filtering"],
    see(t, node) {
      t.match(node.sh("ip address show vlans0.100"), "inet 10.68.100.1/24");
      const vlans = Object.entries(node.snapshot().namespaces[node.name]?.links ?? {}).flatMap(([name, link]) =>
        name.startsWith("veth") ? [link.vlans.join()] : [],
      );
      t.strictSame(new Set(vlans), new Set(["100 PVID Egress Untagged"]), "all ports are in VLAN 100 alone");
      for (const address of ["10.68.100.1", "10.68.100.3"]) reaches(t, node, address);
    },
  },
  {
    file: "45-ptp.conflist",
    network: "cables",
    see(t, node) {
      t.match(node.sh("ip route"), /10\.76\.0\.2 dev veth.*10\.76\.0\.3 dev veth/s);
      for (const address of ["10.76.0.1", "10.76.0.3", "fd00:76::1", "fd00:76::3"]) reaches(t, node, address);
    },
  },
  {
    file: "50-flannel.conflist",
    network: "cbr0",
    see(t, node) {
      t.match(node.sh("ip address show cni0"), "inet 10.69.3.1/24");
      const [container] = node.containers;
      t.match(container?.sh("ip route"), /default via 10\.69\.3\.1 dev eth0.*10\.69\.0\.0\/16 via 10\.69\.3\.1/s);
      t.match(container?.sh("ip link show eth0"), "mtu 1450");
      for (const address of ["10.69.3.1", "10.69.3.3"]) reaches(t, node, address);
      t.notMatch(node.sh("nft list ruleset"), /masquerade/i, "that is flanneld's");
    },
  },
  {
    file: "60-dummy.conflist",
    network: "anycast",
    needs: ["dummy"],
    see: (t, node) => t.match(node.containers[0]?.sh("ip -d address show eth0"), /dummy.*inet 10\.70\.0\.2\/24/s),
  },
  {
    file: "61-macvlan.conflist",
    network: "lan",
    needs: ["macvlan"],
    prepare: `${lan0}; ip address add 10.61.0.10/24 dev lan0`,
    see(t, node) {
      t.match(
        node.containers[0]?.sh("ip -d link show eth0; ip route"),
        /macvlan mode bridge.*default via 10\.61\.0\.1/s,
      );
      reaches(t, node, "10.61.0.201");
      t.equal(node.run("ping", "-c1", "-W5", "10.61.0.200").status, 0, "and the host reaches it");
    },
  },
  {
    file: "62-ipvlan.conflist",
    network: "lan-by-address",
    needs: ["ipvlan"],
    prepare: lan0,
    see(t, node) {
      t.match(node.containers[0]?.sh("ip -d link show eth0; ip route"), /ipvlan +mode l2.*default via 10\.62\.0\.1/s);
      reaches(t, node, "10.62.0.201");
    },
  },
  {
    file: "63-vlan.conflist",
    network: "vlan42",
    needs: ["vlan"],
    prepare: lan0,
    containers: 1,
    see: (t, node) => t.match(node.containers[0]?.sh("ip -d link show eth0"), "vlan protocol 802.1Q id 42"),
  },
  {
    file: "64-host-device.conflist",
    network: "card",
    prepare: "ip link add eth1 type veth peer name far; ip link set far up; ip address add 10.72.0.1/24 dev far",
    containers: 1,
    see: (t, node) => reaches(t, node, "10.72.0.1"),
  },
  {
    file: "65-tap.conflist",
    network: "vm",
    see: (t, node) =>
      t.match(node.containers[0]?.sh("ip -d link show eth0"), /tun type tap .*vnet_hdr on multi_queue.*persist on/),
  },
  {
    file: "70-tuning.conflist",
    network: "tuned",
    see(t, node) {
      t.match(
        node.containers[0]?.sh("ip link show eth0; cat /proc/sys/net/ipv4/conf/eth0/arp_filter"),
        /mtu 1400 .*\n1\n/s,
      );
      reaches(t, node, "10.79.0.3");
    },
  },
  {
    file: "72-firewall.conflist",
    network: "apart",
    see(t, node) {
      reaches(t, node, "10.77.0.3");
      const rules = node.sh("iptables -S FORWARD; iptables -S CNI-FORWARD; iptables -S CNI-ISOLATION-STAGE-2");
      t.match(rules, /-A FORWARD .*-j CNI-ISOLATION-STAGE-1\n.*-j CNI-FORWARD/);
      t.match(rules, "-A CNI-FORWARD -s 10.77.0.2/32 -j ACCEPT");
      t.match(rules, /-A CNI-ISOLATION-STAGE-2 -o apart0 .*-j DROP/);
    },
  },
  {
    file: "74-bandwidth.conflist",
    network: "limited",
    needs: ["ifb", "tbf"],
    see(t, node) {
      t.match(node.sh("tc qdisc show"), /tbf 1: dev veth.* rate 80Mbit .*tbf 1: dev bwp.* rate 40Mbit /s);
      reaches(t, node, "10.72.0.3");
    },
  },
  {
    file: "75-sbr.conflist",
    network: "storage",
    see(t, node) {
      const [container] = node.containers;
      t.match(
        container?.sh("ip rule; ip route show table 100"),
        /from 10\.75\.0\.2 lookup 100.*default via 10\.75\.0\.1 dev eth0/s,
      );
      t.equal(
        container?.run("ping", "-c1", "-W5", "-I", "10.75.0.2", "10.75.0.3").status,
        0,
        "from its address the others are reached",
      );
    },
  },
  {
    file: "76-vrf.conflist",
    network: "tenant",
    needs: ["vrf"],
    see(t, node) {
      const [container] = node.containers;
      t.match(container?.sh("ip route show vrf blue"), "default via 10.86.0.1 dev eth0");
      t.equal(container?.run("ping", "-c1", "-W9", "-I", "blue", "10.86.0.3").status, 0, "the VRF reaches the others");
    },
  },
  {
    file: "78-dnsname.conflist",
    network: "named",
    see(t, node) {
      const [container] = node.containers;
      const asked = container?.run("dig", "@10.91.0.1", "+short", `${node.containers[1]?.name}.dns.example`);
      t.equal(asked?.stdout, "10.91.0.3\n");
    },
  },
  {
    file: "80-debug.conflist",
    network: "looked-at",
    see: (t, node) => t.match(node.containers[0]?.sh("ip address show eth0"), "inet 10.80.0.2/24"),
  },
  {
    file: "99-loopback.conflist",
    network: "lo",
    see: (t, node) => reaches(t, node, "127.0.0.1"),
  },
];

/** It needs a server and a daemon: e2e/dhcp/sample.test.ts. */
const elsewhere = ["77-dhcp.conflist"];

t.test("every sample is in the list of this test", async (t) => {
  const names = list.map(({ file }) => file);
  t.strictSame(files.sort(), [...names, ...elsewhere].sort());
});

t.test("cnitool accepts the samples, together and one by one", needsRoot, async (t) => {
  const node = newHost(t);
  t.match(cnitool(node, "validate"), { status: 0, stderr: "" });
  for (const { file } of list) {
    t.match(cnitool(node, "validate", "--strict", join(samples, file)), { status: 0, stdout: /: ok: / }, file);
  }
});

for (const { file, network, needs = [], prepare, containers = 2, see } of list) {
  t.test(`${file} does what docs/networks.md says`, needsKernel(...needs), async (t) => {
    const node = newHost(t, { containers });
    for (const { sh } of node.containers) sh("echo 1 > /proc/sys/net/ipv6/conf/default/accept_dad"); // as in every container
    if (prepare !== undefined) node.sh(prepare);
    const each = (verb: string) =>
      node.containers.map(({ path }) => t.match(cnitool(node, verb, network, path), { status: 0, stderr: "" }, verb));
    each("add");
    see(t, node);
    each("check");
    each("del");
    const { namespaces, files } = node.snapshot();
    const host = namespaces[node.name];
    const veths = Object.keys(host?.links ?? {}).filter((name) => name.startsWith("veth"));
    t.equal(veths.length, network === "vlan100" ? 1 : 0, "of the links, only the VLAN gateway's port is left");
    t.notMatch(JSON.stringify([host?.nft, host?.iptables]), "container-", "no rule of a container is left");
    const perContainer = new RegExp(`^cni/(results/.|flannel/.|networks/${network}/[\\da-f]+[.:])`);
    t.strictSame(
      Object.keys(files).filter((path) => perContainer.test(path)),
      [],
      "no reservation and no cached result is left",
    );
  });
}
