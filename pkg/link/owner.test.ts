import t from "tap";
import { failureBy, type Hosts, hosts, owner, refuse, textOf, UNEXPECTED } from "./cases.testing.ts";
import { addLink, type Link, needLink, setAlias } from "./link.ts";
import {
  aliasOf,
  deleteOwnedLinks,
  deleteStaleLinks,
  findOtherOwner,
  findOwner,
  isAnothersOf,
  nameOnHost,
  ownerOf,
  setOwner,
} from "./owner.ts";

const link = (alias: string) => ({ alias }) as Link;

t.test("an owner is read back from the mark it left", async (t) => {
  const owner = { network: "pod-net_1.2", containerId: "3f2a4c".repeat(11), ifName: "eth0" };
  t.strictSame(ownerOf(link(aliasOf(owner) ?? "")), owner);
});

t.test("other people's aliases name no owner", async (t) => {
  for (const alias of ["", "uplink", "cni", "cni a b", "cni a b c d", "CNI a b c"]) {
    t.equal(ownerOf(link(alias)), undefined, JSON.stringify(alias));
  }
});

t.test("a mark that does not fit into an alias is left out", async (t) => {
  t.equal(aliasOf({ network: "n".repeat(200), containerId: "c".repeat(64), ifName: "eth0" }), undefined);
});

/** A pair with eth0 in the container, whose end on the host has the alias; "" for none. */
function pairWith(outside: string, inside = ""): Hosts {
  const all = hosts();
  const peer = { ifName: "eth0", netnsFd: all.container.netns.fd };
  all.host
    .connect()
    .requestAll([addLink({ ifName: "v0", linkInfo: { kind: "veth", data: { peer } } }), setAlias("v0", outside)]);
  all.container.connect().request(setAlias("eth0", inside));
  return all;
}

t.test("whose a container's link is", async (t) => {
  const mark = aliasOf(owner("a")) ?? "";
  const cases: [string, Hosts, ReturnType<typeof owner> | undefined, string | undefined][] = [
    ["marked on the host's end", pairWith(mark), owner("a"), undefined],
    ["marked itself", pairWith("", mark), owner("a"), undefined],
    ["marked on both ends: its own mark", pairWith(aliasOf(owner("b")) ?? "", mark), owner("a"), undefined],
    ["not marked", pairWith(""), undefined, undefined],
    ["moved there by host-device", pairWith("", "ens3"), undefined, "ens3"],
    ["with an alias that is no name", pairWith("", "up link"), undefined, undefined],
    ["marked on the host's end, with a name as alias", pairWith(mark, "ens3"), owner("a"), undefined],
  ];
  for (const [what, { host, container }, whose, device] of cases) {
    const link = needLink(container.connect(), "eth0");
    t.strictSame(
      findOwner(link, () => host.connect()),
      whose,
      what,
    );
    t.equal(
      nameOnHost(link, () => host.connect()),
      device,
      `${what}: its name on the host`,
    );
    for (const id of ["a", "b"]) {
      const other = whose === undefined || whose.containerId === id ? undefined : whose;
      t.strictSame(
        findOtherOwner(container.connect(), owner(id), () => host.connect()),
        other,
        `${what}: for ${id}`,
      );
    }
  }
});

t.test("the mark of a link of the host that only has the number of a veth's other end is not its owner", async (t) => {
  const { host, container } = pairWith("");
  const elsewhere = hosts().host;
  elsewhere
    .connect()
    .requestAll([
      addLink({ ifName: "v0", linkInfo: { kind: "veth", data: { peer: { ifName: "v1" } } } }),
      ...setOwner("v1", owner("b")),
      ...setOwner("v0", owner("b")),
    ]);
  const link = needLink(container.connect(), "eth0");
  t.equal(link.parent, 2);
  t.equal(
    findOwner({ ...link, index: 77 }, () => host.connect()),
    undefined,
  );
  t.equal(
    findOwner({ ...link, index: 77 }, () => elsewhere.connect()),
    undefined,
  );
});

t.test("a host's link of another attachment is another's, one without mark or that is gone is not", async (t) => {
  const { host } = pairWith(aliasOf(owner("a")) ?? "");
  const anothers = (id: string, name: string) => isAnothersOf(owner(id), () => host.connect())(name);
  t.equal(anothers("b", "v0"), true);
  t.equal(anothers("a", "v0"), false);
  t.equal(anothers("b", "lo"), false);
  t.equal(anothers("b", "none"), false);
});

/** A host with bridges of several owners. */
function owned(): Hosts {
  const all = hosts();
  const rtnl = all.host.connect();
  const owners = { b1: owner("a"), b2: owner("b"), b3: owner("a", "other"), b4: undefined };
  for (const [ifName, whose] of Object.entries(owners))
    rtnl.requestAll([addLink({ ifName, linkInfo: { kind: "bridge" } }), ...(whose ? setOwner(ifName, whose) : [])]);
  rtnl.requestAll([addLink({ ifName: "d1", linkInfo: { kind: "dummy" } }), ...setOwner("d1", owner("a"))]);
  all.host.sent.length = 0;
  return all;
}
const namesIn = (all: Hosts) => [...textOf(all).matchAll(/: ([bd]\d) /g)].map(([, name]) => name).join(" ");

t.test("what an owner's DEL and a network's GC delete", async (t) => {
  const valid = (...ids: string[]) => ids.map((id) => owner(id));
  const cases: [string, (all: Hosts) => unknown, string][] = [
    ["DEL", ({ host }) => deleteOwnedLinks(host.connect(), owner("a")), "b2 b3 b4"],
    [
      "DEL of another interface",
      ({ host }) => deleteOwnedLinks(host.connect(), { ...owner("a"), ifName: "eth1" }),
      "b1 b2 b3 b4 d1",
    ],
    [
      "DEL of an owner whose mark is too long",
      ({ host }) => deleteOwnedLinks(host.connect(), owner("a".repeat(300))),
      "b1 b2 b3 b4 d1",
    ],
    ["GC, all valid", ({ host }) => deleteStaleLinks(host.connect(), "podnet", valid("a", "b")), "b1 b2 b3 b4 d1"],
    ["GC, one valid", ({ host }) => deleteStaleLinks(host.connect(), "podnet", valid("b")), "b2 b3 b4"],
    ["GC, none valid", ({ host }) => deleteStaleLinks(host.connect(), "podnet", []), "b3 b4"],
    ["GC of a kind", ({ host }) => deleteStaleLinks(host.connect(), "podnet", [], { kind: "dummy" }), "b1 b2 b3 b4"],
    ["GC of a network without links", ({ host }) => deleteStaleLinks(host.connect(), "none", []), "b1 b2 b3 b4 d1"],
  ];
  for (const [what, work, left] of cases) {
    const all = owned();
    work(all);
    t.equal(namesIn(all), left, what);
  }
});

t.test("GC deletes the others when one is gone already, and reports what the kernel refuses", async (t) => {
  const all = owned();
  all.host.before = ([request]) => {
    if (request?.name !== "RTM_SETLINK") return;
    all.host.before = undefined;
    deleteOwnedLinks(all.host.connect(), owner("b"));
  };
  deleteStaleLinks(all.host.connect(), "podnet", []);
  t.equal(namesIn(all), "b3 b4");

  const refusing = owned();
  refuse(refusing.host, "RTM_DELLINK", "EBUSY");
  t.equal(
    failureBy(() => deleteStaleLinks(refusing.host.connect(), "podnet", [])),
    `999: RTM_DELLINK: EBUSY; ${UNEXPECTED}`,
  );
});
