// Links in a container, on a fake kernel; and what is asked of the real one, in a network namespace of its own.
import t from "tap";
import { requestsOfCommands } from "../netlink/golden.testing.ts";
import { RTM_NEWLINK, RTM_SETLINK } from "../netlink/rtnetlink/link.ts";
import type { ErrnoName } from "../sys/errno.ts";
import { readText } from "../sys/file.ts";
import { unshareNetwork } from "../sys/namespace.ts";
import { failureBy, type Hosts, hosts, owner as ownerOf, refuse, refusedOnce, textOf } from "./cases.testing.ts";
import { createLink, createOwnedLink, type NewLink, needKinds, renameLink } from "./create.ts";
import { addLink, listLinks, openRtnetlink } from "./link.ts";

const needsRoot = /^Uid:\s+0\s/m.test(readText("/proc/self/status")) ? {} : { skip: "needs root" };
const owner = { network: "net", containerId: "c", ifName: "eth0" };
const pair = (ifName: string, peer: string) =>
  ({ ifName, linkInfo: { kind: "veth", data: { peer: { ifName: peer } } } }) as const;

t.test("a link and its alias are one, and a refused creation writes on nobody's link", needsRoot, (t) => {
  unshareNetwork();
  const rtnl = openRtnetlink();
  const made = createOwnedLink(rtnl, pair("v0", "v1"), owner);
  t.match(made, { name: "v0", alias: "cni net c eth0" });
  t.ok(made.index >= 2 ** 30);

  const other = { ...owner, containerId: "other" };
  t.throws(() => createOwnedLink(rtnl, pair("v0", "v2"), other), { message: /^RTM_NEWLINK: EEXIST/ });
  t.throws(() => createOwnedLink(rtnl, pair("v3", "v1"), other), { message: /^RTM_NEWLINK: EEXIST/ });
  t.strictSame(
    listLinks(rtnl).map(({ name, alias }) => [name, alias]),
    [
      ["lo", ""],
      ["v1", ""],
      ["v0", "cni net c eth0"],
    ],
  );
  t.end();
});

const SAME_MESSAGE = "of a link that is there, both messages do the same";
requestsOfCommands([
  {
    command: "ip link set v0 name v9",
    ours: renameLink(3, "v9"),
    type: RTM_NEWLINK,
    flags: 0x5,
    wire: "00000000 03000000 00000000 00000000 07000300 76390000",
    differs: { type: RTM_SETLINK, because: SAME_MESSAGE },
  },
  {
    command: "ip link set v0 name v9 alias hello",
    ours: renameLink(3, "v9", "hello"),
    type: RTM_NEWLINK,
    flags: 0x5,
    wire: "00000000 03000000 00000000 00000000 09001400 68656c6c 6f000000 07000300 76390000",
    differs: { type: RTM_SETLINK, because: SAME_MESSAGE },
  },
]);

/** A host with a parent, index 2. */
function withParent(): Hosts {
  const all = hosts();
  all.host.connect().request(addLink({ ifName: "ens3", mtu: 1400, linkInfo: { kind: "dummy" } }));
  return all;
}

const create = ({ container }: Hosts, link: NewLink, ifName = "eth0") =>
  createLink({ netns: container.netns, container: container.connect(), ifName, owner: ownerOf("a") }, link);
const inside = (all: Hosts) => create(all, { linkInfo: { kind: "dummy" } });
const onParent = (all: Hosts, more: Partial<NewLink> = {}) =>
  create(all, { linkInfo: { kind: "macvlan" }, parent: { rtnl: all.host.connect(), index: 2 }, ...more });

t.test("a link is made in the container, with its name, its alias and what is asked for", async (t) => {
  const alias = 'alias "cni podnet a eth0"';
  const cases: [string, (all: Hosts) => unknown, string][] = [
    ["without parent", inside, `2: eth0 dummy down mtu 1500 ${alias}`],
    ["on a parent of the host", onParent, `2: eth0 macvlan down mtu 1400 link ens3 ${alias}`],
    [
      "on a parent of the host, with an MTU",
      (all) => onParent(all, { mtu: 1300 }),
      `2: eth0 macvlan down mtu 1300 link ens3 ${alias}`,
    ],
    [
      "on a parent in the container",
      (all) => {
        const rtnl = all.container.connect();
        rtnl.request(addLink({ ifName: "net0", linkInfo: { kind: "dummy" } }));
        createLink(
          { netns: all.container.netns, container: rtnl, ifName: "eth0", owner: ownerOf("a") },
          { linkInfo: { kind: "vlan", data: { id: 5 } }, parent: { rtnl, index: 2 } },
        );
      },
      `2: net0 dummy down mtu 1500\n3: eth0 vlan down mtu 1500 link net0 vlan.id 5 ${alias}`,
    ],
  ];
  for (const [what, work, text] of cases) {
    const all = withParent();
    const before = all.host.text();
    work(all);
    t.equal(all.container.text(), `1: lo down mtu 65536\n${text}\n`, what);
    t.equal(all.host.text(), before, `${what}: never seen on the host`);
  }
  t.match(onParent(withParent(), { mac: Uint8Array.of(2, 0, 0, 0, 0, 9) }), { name: "eth0", mac: "02:00:00:00:00:09" });
});

t.test("a link of which any request is refused leaves nothing", async (t) => {
  t.strictSame(refusedOnce(withParent, inside, "container"), []);
  for (const side of ["host", "container"] as const) t.strictSame(refusedOnce(withParent, onParent, side), [], side);
});

t.test("what is said of a link that the kernel refuses", async (t) => {
  const refused = `999: the kernel refuses a dummy link "eth0" in /container`;
  const compare = "compare the network's configuration with the kernel's message";
  const cases: [ErrnoName, string][] = [
    ["EPERM", `${refused}; RTM_NEWLINK: EPERM. To fix: run as root with CAP_NET_ADMIN`],
    ["EACCES", `${refused}; RTM_NEWLINK: EACCES. To fix: run as root with CAP_NET_ADMIN`],
    ["EINVAL", `${refused}; RTM_NEWLINK: EINVAL. To fix: ${compare}`],
    ["EBUSY", `${refused}; RTM_NEWLINK: EBUSY. To fix: ${compare}`],
    ["ENODEV", `${refused}; RTM_NEWLINK: ENODEV. To fix: ${compare}`],
    ["ENOBUFS", `${refused}; RTM_NEWLINK: ENOBUFS. To fix: ${compare}`],
    ["EEXIST", `${refused}; RTM_NEWLINK: EEXIST. To fix: ${compare}`],
    [
      "EOPNOTSUPP",
      "999: this kernel cannot create links of kind dummy; RTM_NEWLINK: EOPNOTSUPP. To fix: load the module (`modprobe dummy`) or use a kernel with CONFIG_DUMMY",
    ],
  ];
  for (const [errno, failure] of cases) {
    const all = withParent();
    refuse(all.container, "RTM_NEWLINK", errno);
    t.equal(
      failureBy(() => inside(all)),
      failure,
      errno,
    );
  }
  const all = withParent();
  refuse(all.host, "RTM_NEWLINK", "EINVAL");
  t.equal(
    failureBy(() => onParent(all, { mtu: 1300 })),
    `999: the kernel refuses a macvlan link "eth0" in /container with MTU 1300; RTM_NEWLINK: EINVAL. To fix: ${compare}`,
  );
});

t.test("a name that is in use, also the temporary one", async (t) => {
  const taken = (request: string) =>
    `999: interface "eth0" already exists in /container; creating the ${request}: EEXIST). To fix: choose another interface name: CNI_IFNAME=eth1, cnitool add --ifname eth1 podnet /container`;
  const cases: [string, string, (all: Hosts) => unknown, string][] = [
    ["without parent", "eth0", inside, taken("dummy link (RTM_NEWLINK")],
    ["on a parent of the host", "eth0", onParent, taken("macvlan link (RTM_SETLINK")],
    [
      "the temporary name, of a killed ADD",
      "~th0",
      onParent,
      `999: "~th0" in /container is left by an ADD of "eth0" that was ended before it was done; creating the macvlan link (RTM_NEWLINK: EEXIST). To fix: delete the attachment (DEL with interface name eth0), then add it again`,
    ],
  ];
  for (const [what, ifName, work, failure] of cases) {
    const all = withParent();
    all.container.connect().request(addLink({ ifName, linkInfo: { kind: "dummy" } }));
    const before = textOf(all);
    t.equal(
      failureBy(() => work(all)),
      failure,
      what,
    );
    t.equal(textOf(all), before, `${what}: nothing changes`);
  }
});

t.test("STATUS: kinds that the kernel lacks, and a refusal that says nothing of the kind", async (t) => {
  const status = (lacking: string, ...kinds: NewLink["linkInfo"]["kind"][]) => {
    const { network, host } = hosts();
    network.lacking.add(lacking);
    const failure = failureBy(() => needKinds(host.connect(), ...kinds));
    t.notMatch(host.text(), /2:/, "nothing is made");
    return failure;
  };
  const text = (kind: string, module: string, option: string) =>
    `50: this kernel cannot create links of kind ${kind}; RTM_NEWLINK: EOPNOTSUPP (Unknown device type). To fix: load the module (\`modprobe ${module}\`) or use a kernel with ${option}`;
  t.equal(status("vlan", "veth", "macvlan"), undefined);
  t.equal(status("vlan", "veth", "vlan"), text("vlan", "8021q", "CONFIG_VLAN_8021Q"));
  t.equal(status("macvlan", "macvlan"), text("macvlan", "macvlan", "CONFIG_MACVLAN"));
  const { host } = hosts();
  refuse(host, "RTM_NEWLINK", "EPERM");
  t.equal(
    failureBy(() => needKinds(host.connect(), "veth")),
    undefined,
  );
});
