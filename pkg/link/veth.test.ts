// Veth pairs on a fake kernel: what is made by which options, names that are in use, and what is said of what the kernel refuses.
import t from "tap";
import type { ErrnoName } from "../sys/errno.ts";
import { failureBy, type Hosts, hosts, owner, refuse, refusedOnce, textOf } from "./cases.testing.ts";
import { addLink, deleteLink, setAlias } from "./link.ts";
import { aliasOf } from "./owner.ts";
import { createVeth, type VethOptions } from "./veth.ts";

/** A host with a bridge, index 2. */
function withBridge(): Hosts {
  const all = hosts();
  all.host.connect().request(addLink({ ifName: "b0", linkInfo: { kind: "bridge" } }));
  return all;
}

function create({ host, container }: Hosts, options: Partial<VethOptions> = {}) {
  return createVeth(host.connect(), {
    netns: container.netns,
    container: container.connect(),
    ifName: "eth0",
    mtu: 0,
    ...options,
  });
}

const loopback = "1: lo down mtu 65536\n";

t.test("a pair is as its options say", async (t) => {
  const cases: [string, Partial<VethOptions>, string, string][] = [
    ["none", {}, "up mtu 1500 link eth0", "2: eth0 veth down mtu 1500 link vethX"],
    ["an MTU, on both ends", { mtu: 1400 }, "up mtu 1400 link eth0", "2: eth0 veth down mtu 1400 link vethX"],
    ["a master", { master: 2 }, "up mtu 1500 link eth0 master b0", "2: eth0 veth down mtu 1500 link vethX"],
    [
      "an owner",
      { owner: owner("a") },
      'up mtu 1500 link eth0 alias "cni podnet a eth0"',
      "2: eth0 veth down mtu 1500 link vethX",
    ],
    ["another name", { ifName: "net1" }, "up mtu 1500 link net1", "2: net1 veth down mtu 1500 link vethX"],
  ];
  for (const [what, options, outside, inside] of cases) {
    const all = withBridge();
    const pair = create(all, options);
    const text = `${loopback}2: b0 bridge down mtu 1500\nchosen: vethX veth ${outside}\n--\n${loopback}${inside}\n`;
    t.equal(textOf(all), text, what);
    t.ok(pair.outside.index >= 2 ** 30, `${what}: an index that the kernel does not choose by itself`);
    t.match([pair.inside, pair.outside], [{ name: options.ifName ?? "eth0", up: false }, { up: true }], what);
  }
});

t.test("the container's end has the MAC that is wanted, the host's end has one of its own", async (t) => {
  const { inside, outside } = create(hosts(), { mac: Uint8Array.of(2, 0, 0, 0, 0, 9) });
  t.equal(inside.mac, "02:00:00:00:00:09");
  t.not(outside.mac, inside.mac);
});

t.test("a name that is in use in the container: by whom, and what to do", async (t) => {
  const next = (name: string) =>
    `choose another interface name: CNI_IFNAME=${name}, cnitool add --ifname ${name} podnet /container`;
  const made = "creating the veth pair (RTM_NEWLINK: EEXIST)";
  const cases: [string, (all: Hosts) => unknown, string][] = [
    [
      "no plugin's",
      ({ container }) => container.connect().request(addLink({ ifName: "eth0", linkInfo: { kind: "dummy" } })),
      `999: interface "eth0" already exists in /container; ${made}. To fix: ${next("eth1")}`,
    ],
    [
      "no plugin's, and eth1 as well",
      ({ container }) =>
        container
          .connect()
          .requestAll(["eth0", "eth1"].map((ifName) => addLink({ ifName, linkInfo: { kind: "dummy" } }))),
      `999: interface "eth0" already exists in /container; ${made}. To fix: ${next("eth2")}`,
    ],
    [
      "the attachment's own",
      (all) => create(all, { owner: owner("a") }),
      `999: interface "eth0" already exists in /container; ${made}. To fix: delete the attachment first (DEL with the same container ID and interface name)`,
    ],
    [
      "another network's",
      (all) => create(all, { owner: owner("a", "other") }),
      `999: interface "eth0" already exists in /container: it belongs to network "other"; ${made}; attached as container a, interface eth0. To fix: ${next("eth1")}`,
    ],
  ];
  for (const [what, make, failure] of cases) {
    const all = hosts();
    make(all);
    const before = textOf(all);
    t.equal(
      failureBy(() => create(all, { owner: owner("a") })),
      failure,
      what,
    );
    t.equal(textOf(all), before, `${what}: nothing changes`);
  }
});

t.test("a name of the host's end that is in use is another random one next time, up to ten times", async (t) => {
  for (const taken of [1, 9, 10]) {
    const all = hosts();
    let attempts = 0;
    all.host.refuse = ({ name }) => (name === "RTM_NEWLINK" && attempts++ < taken ? "EEXIST" : undefined);
    const failure = failureBy(() => create(all, { owner: owner("a") }));
    if (taken < 10) t.equal(failure, undefined, `${taken} times`);
    else
      t.match(
        failure,
        /^11: found no free name for the host end of a veth pair: "veth[0-9a-f]{8}" and 9 other names are used; To fix: find out what created so many links \(`ip link`\), and try again$/,
      );
    t.equal(attempts, Math.min(10, taken + 1));
    const tried = all.host.sent.flatMap(({ name, value }) => (name === "RTM_NEWLINK" ? value["ifName"] : []));
    t.equal(new Set(tried).size, attempts, "never the same");
  }
});

t.test("what is said of a pair that the kernel refuses", async (t) => {
  const refused = `999: the kernel refuses a veth pair with "eth0" in /container`;
  const cases: [ErrnoName, Partial<VethOptions>, string][] = [
    ["EPERM", {}, `${refused}; RTM_NEWLINK: EPERM. To fix: run as root with CAP_NET_ADMIN`],
    ["EINVAL", { mtu: 99 }, `${refused} and MTU 99; RTM_NEWLINK: EINVAL. To fix: check "mtu" and "mac" of the network`],
    ["ENOBUFS", {}, `${refused}; RTM_NEWLINK: ENOBUFS. To fix: check "mtu" and "mac" of the network`],
    [
      "EOPNOTSUPP",
      {},
      "999: this kernel cannot create links of kind veth; RTM_NEWLINK: EOPNOTSUPP. To fix: load the module (`modprobe veth`) or use a kernel with CONFIG_VETH",
    ],
  ];
  for (const [errno, options, failure] of cases) {
    const all = hosts();
    refuse(all.host, "RTM_NEWLINK", errno);
    t.equal(
      failureBy(() => create(all, options)),
      failure,
      errno,
    );
  }
});

t.test("a pair of which any request is refused leaves nothing", async (t) => {
  const work = (all: Hosts) => create(all, { master: 2, owner: owner("a") });
  for (const side of ["host", "container"] as const) t.strictSame(refusedOnce(withBridge, work, side), [], side);
});

t.test("a pair that is deleted, or whose end is moved away, while it is made leaves nothing", async (t) => {
  const all = hosts();
  const before = textOf(all);
  all.container.before = ([request]) => {
    if (request?.name !== "RTM_GETLINK") return;
    all.container.before = undefined;
    deleteLink(all.container.connect(), "eth0");
  };
  t.equal(
    failureBy(() => create(all, { owner: owner("a") })),
    '999: link "eth0" does not exist; To fix: find out what deleted it (`ip monitor link`), then try again',
  );
  t.equal(textOf(all), before);
});

t.test("the alias of a link that got the name meanwhile is not written", async (t) => {
  const all = hosts();
  all.host.connect().requestAll([addLink({ ifName: "v0", linkInfo: { kind: "dummy" } }), setAlias("v0", "theirs")]);
  all.host.refuse = ({ name }) => (name === "RTM_NEWLINK" ? "EPERM" : undefined);
  failureBy(() => create(all, { owner: owner("a") }));
  const marking = all.host.sent.filter(({ name }) => name === "RTM_SETLINK").at(-1)?.value;
  t.match(marking, { alias: aliasOf(owner("a")), ifName: undefined });
  t.match(all.host.text(), /alias "theirs"/);
});
