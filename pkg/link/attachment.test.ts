// Links on a fake kernel: what is made, configured and deleted, and what is left when the kernel refuses any of the requests.
import t from "tap";
import type { Result } from "../cni/result.ts";
import { type Prefix, parsePrefix } from "../ip/address.ts";
import { type FakeNamespace, FakeNetwork } from "../netlink/fake/rtnetlink.testing.ts";
import { addAddress, deleteAddress } from "./address.ts";
import { ensureBridge, setPort } from "./bridge.ts";
import { configure } from "./configure.ts";
import { createLink, createOwnedLink, needKinds } from "./create.ts";
import { addLink, deleteLink, findLink, type Link, listLinks, moveLink, needLink, setMaster, setUp } from "./link.ts";
import { deleteOwnedLinks, deleteStaleLinks } from "./owner.ts";
import { addRoute, deleteRoute, lookupRoute } from "./route.ts";
import { createVeth } from "./veth.ts";

interface Hosts {
  network: FakeNetwork;
  host: FakeNamespace;
  container: FakeNamespace;
}

function hosts(): Hosts {
  const network = new FakeNetwork();
  return { network, host: network.addNamespace("/host"), container: network.addNamespace("/container") };
}

const prefix = (text: string): Prefix => parsePrefix(text) as Prefix;
const owner = (containerId: string, network = "podnet") => ({ network, containerId, ifName: "eth0" });
// no machine has links of these names, whose sysctls are written
const BRIDGE = { name: "fake-br0", mtu: 0, vlanFiltering: false, promiscuous: false };

/** Both namespaces as text, with the random names of the pairs' host ends replaced. */
const textOf = ({ host, container }: Hosts): string =>
  `${host.text()}--\n${container.text()}`.replace(/veth[0-9a-f]{8}/g, "vethX");

const loopback = "1: lo down mtu 65536\n";

function attach({ host, container }: Hosts, containerId = "a"): Link {
  const bridge = ensureBridge(host.connect(), BRIDGE);
  const { inside } = createVeth(host.connect(), {
    netns: container.netns,
    container: container.connect(),
    ifName: "eth0",
    mtu: 1400,
    master: bridge.index,
    owner: owner(containerId),
  });
  return inside;
}

const result: Pick<Result, "ips" | "routes"> = {
  ips: [{ address: "10.22.0.5/16", gateway: "10.22.0.1" }],
  routes: [{ dst: "0.0.0.0/0" }, { dst: "10.99.0.0/16", gw: "10.22.0.2" }],
};

function set({ container }: Hosts, link: Link, what = result): void {
  configure({ netns: container.netns, rtnl: container.connect(), link, sysctls: {} }, what);
}

t.test("an attachment to a bridge", async (t) => {
  const all = hosts();
  set(all, attach(all));
  t.equal(
    textOf(all),
    `${loopback}2: fake-br0 bridge up mtu 1500
chosen: vethX veth up mtu 1400 link eth0 master fake-br0 alias "cni podnet a eth0"
--
${loopback}2: eth0 veth up mtu 1400 link vethX
  address 10.22.0.5/16
route 10.22.0.0/16 dev eth0 scope link src 10.22.0.5
route default via 10.22.0.1 dev eth0
route 10.99.0.0/16 via 10.22.0.2 dev eth0
`,
  );
});

t.test("made and deleted, by either end or by its owner, leaves what was there", async (t) => {
  const ends: ((all: Hosts) => unknown)[] = [
    ({ container }) => deleteLink(container.connect(), "eth0"),
    ({ host }) => deleteOwnedLinks(host.connect(), owner("a")),
    ({ host }) => deleteStaleLinks(host.connect(), "podnet", [owner("other")]),
  ];
  for (const end of ends) {
    const all = hosts();
    ensureBridge(all.host.connect(), BRIDGE);
    const before = textOf(all);
    set(all, attach(all));
    end(all);
    t.equal(textOf(all), before);
    end(all);
    t.equal(textOf(all), before, "a second time");
  }
});

t.test("others' links stay", async (t) => {
  const all = hosts();
  attach(all);
  const before = textOf(all);
  deleteOwnedLinks(all.host.connect(), owner("b"));
  deleteStaleLinks(all.host.connect(), "podnet", [owner("a")]);
  deleteStaleLinks(all.host.connect(), "othernet", []);
  t.equal(textOf(all), before);
});

t.test("a pair that the kernel refuses, at whatever request, leaves nothing", async (t) => {
  const whole = hosts();
  ensureBridge(whole.host.connect(), BRIDGE);
  const count = { host: whole.host.sent.length, container: whole.container.sent.length };
  attach(whole);
  for (const side of ["host", "container"] as const) {
    const requests = whole[side].sent.slice(count[side]).map(({ name }) => name);
    t.ok(requests.length > 0);
    requests.forEach((name, i) => {
      const all = hosts();
      ensureBridge(all.host.connect(), BRIDGE);
      const before = textOf(all);
      let number = 0;
      all[side].refuse = () => (number++ === i ? "EPERM" : undefined);
      t.throws(() => attach(all), `${name} refused in the ${side}`);
      t.equal(textOf(all), before, `${name}, request ${i + 1} in the ${side}`);
    });
  }
});

t.test("a configuration that the kernel refuses names what it was about", async (t) => {
  const cases: [Pick<Result, "ips" | "routes">, string][] = [
    [{ ...result, ips: [...result.ips, ...result.ips] }, 'the kernel refuses address 10.22.0.5/16 on "eth0"'],
    [
      { ...result, routes: [{ dst: "10.9.0.0/16", gw: "192.0.2.1" }] },
      'the kernel refuses route 10.9.0.0/16 via 192.0.2.1 on "eth0"',
    ],
    [
      { ...result, routes: [{ dst: "10.9.0.0/16" }, { dst: "10.9.0.0/16" }] },
      'the kernel refuses route 10.9.0.0/16 on "eth0"',
    ],
  ];
  for (const [what, message] of cases) {
    const all = hosts();
    const link = attach(all);
    t.throws(() => set(all, link, what), { message: new RegExp(message) });
  }
});

t.test("a bridge that is there keeps its settings", async (t) => {
  const { host } = hosts();
  const rtnl = host.connect();
  const made = ensureBridge(rtnl, { ...BRIDGE, mtu: 1400 });
  t.equal(ensureBridge(rtnl, { ...BRIDGE, promiscuous: true, mtu: 9000 }).index, made.index);
  t.match(needLink(rtnl, BRIDGE.name), { mtu: 1400, promiscuous: true, up: true });
  rtnl.request(addLink({ ifName: "fake-v0", linkInfo: { kind: "veth", data: {} } }));
  t.throws(() => ensureBridge(rtnl, { ...BRIDGE, name: "fake-v0" }), {
    message: /already exists but is not a bridge/,
  });
});

t.test("a bridge that somebody else makes meanwhile is used", async (t) => {
  const { host } = hosts();
  host.before = ([request]) => {
    if (request?.name !== "RTM_NEWLINK") return;
    host.before = undefined;
    host.connect().request(addLink({ ifName: BRIDGE.name, mtu: 1300, linkInfo: { kind: "bridge" } }));
  };
  t.match(ensureBridge(host.connect(), BRIDGE), { kind: "bridge", mtu: 1300 });
});

t.test("a port of a bridge", async (t) => {
  const { host } = hosts();
  const rtnl = host.connect();
  const bridge = ensureBridge(rtnl, BRIDGE);
  const port = createOwnedLink(
    rtnl,
    { ifName: "fake-v0", linkInfo: { kind: "veth", data: { peer: { ifName: "fake-v1" } } } },
    owner("a"),
  );
  t.throws(() => rtnl.request(setPort(port.index, { hairpin: true })), { message: /EOPNOTSUPP/ });
  rtnl.requestAll([setMaster(port.index, bridge.index), setPort(port.index, { hairpin: true, isolated: true })]);
  t.match(
    host.text(),
    /fake-v0 veth down mtu 1500 link fake-v1 master fake-br0 hairpin true isolated true alias "cni podnet a eth0"/,
  );
});

t.test("a link on a parent of the host is never seen there, and a refusal leaves nothing", async (t) => {
  const make = () => {
    const all = hosts();
    all.host.connect().request(addLink({ ifName: "fake-eth0", linkInfo: { kind: "dummy" } }));
    return all;
  };
  const create = ({ host, container }: Hosts) =>
    createLink(
      { netns: container.netns, container: container.connect(), ifName: "eth0", owner: owner("a") },
      {
        linkInfo: { kind: "macvlan" },
        parent: { rtnl: host.connect(), index: needLink(host.connect(), "fake-eth0").index },
      },
    );
  const whole = make();
  create(whole);
  t.strictSame(
    listLinks(whole.host.connect()).map(({ name }) => name),
    ["lo", "fake-eth0"],
  );
  t.match(whole.container.text(), /eth0 macvlan down mtu 1500 link fake-eth0 alias "cni podnet a eth0"/);
  whole.container.sent.forEach(({ name }, i) => {
    const all = make();
    const before = textOf(all);
    let number = 0;
    all.container.refuse = () => (number++ === i ? "EPERM" : undefined);
    t.throws(() => create(all), name);
    t.equal(textOf(all), before, `${name}, request ${i + 1}`);
  });
});

t.test("kinds that the kernel lacks", async (t) => {
  const { network, host } = hosts();
  needKinds(host.connect(), "veth", "macvlan", "vlan");
  network.lacking.add("vlan");
  t.throws(() => needKinds(host.connect(), "veth", "vlan"), {
    message: /this kernel cannot create links of kind vlan/,
  });
  t.equal(textOf({ network, host, container: host }).includes("2:"), false, "nothing was made");
});

t.test("a link is moved with its name and alias", async (t) => {
  const { host, container } = hosts();
  const rtnl = host.connect();
  rtnl.request(addLink({ ifName: "fake-eth0", linkInfo: { kind: "dummy" } }));
  rtnl.request(
    moveLink(needLink(rtnl, "fake-eth0").index, {
      netns: container.netns,
      name: "eth0",
      alias: "fake-eth0",
      up: true,
    }),
  );
  t.equal(findLink(rtnl, "fake-eth0"), undefined);
  t.match(needLink(container.connect(), "eth0"), { alias: "fake-eth0", up: true });
});

t.test("addresses and routes are undone one by one", async (t) => {
  const { host } = hosts();
  const rtnl = host.connect();
  rtnl.request(addLink({ ifName: "fake-eth0", linkInfo: { kind: "dummy" } }));
  const { index } = needLink(rtnl, "fake-eth0");
  rtnl.request(setUp(index));
  const before = host.text();
  const address = prefix("10.22.0.1/16");
  const destination = prefix("10.9.0.0/24");
  const gateway = prefix("10.22.0.9/32").address;
  rtnl.requestAll([addAddress(index, address), addRoute(index, { destination, gateway })]);
  t.equal(lookupRoute(rtnl, prefix("10.9.0.7/32").address)?.gateway?.join("."), "10.22.0.9");
  t.equal(lookupRoute(rtnl, prefix("192.0.2.1/32").address), undefined);
  rtnl.requestAll([deleteRoute(index, { destination }), deleteAddress(index, address)]);
  t.equal(host.text(), before);
});
