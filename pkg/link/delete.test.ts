// Which link a DEL deletes, and which it leaves, on a fake kernel.
import t from "tap";
import { type Hosts, hosts, owner } from "./cases.testing.ts";
import { deleteLinkOf } from "./delete.ts";
import { addLink, deleteLink, setAlias } from "./link.ts";
import { aliasOf } from "./owner.ts";

const attachment = { ...owner("a"), netns: "/container" };
const OTHERS = 'belongs to network "podnet" (container b, interface eth0)';
const mark = (id: string) => aliasOf(owner(id)) ?? "";

/** Makes an end in the container with its other end on the host. */
function addPair(
  { host, container }: Hosts,
  ifName: string,
  { outside, alias }: { outside: string; alias: string },
): void {
  const peer = { ifName, netnsFd: container.netns.fd };
  host
    .connect()
    .requestAll([addLink({ ifName: outside, linkInfo: { kind: "veth", data: { peer } } }), setAlias(outside, alias)]);
}

/** Makes a link in the container. */
const addDummy = ({ container }: Hosts, ifName: string, alias: string): void =>
  container.connect().requestAll([addLink({ ifName, linkInfo: { kind: "dummy" } }), setAlias(ifName, alias)]);

/** Performs the DEL. @param markIsOn Where the mark of its link is. @returns its answer, the links that are left, and what it says of them */
function del(all: Hosts, markIsOn: "host" | "container"): [boolean, string, string] {
  let said = "";
  const container = all.container.connect();
  const answer = deleteLinkOf(attachment, {
    container,
    host: () => all.host.connect(),
    marked: () => all[markIsOn].connect(),
    remove: ({ index }) => deleteLink(container, index),
    log: (line) => {
      said += line;
    },
  });
  const names = (side: "host" | "container") => all[side].inOrder().flatMap(({ name }) => (name === "lo" ? [] : name));
  return [answer, [...names("host"), "|", ...names("container")].join(" "), said];
}

t.test("a DEL deletes its own link, and leaves what is somebody else's", async (t) => {
  const cases: [string, (all: Hosts) => void, "host" | "container", boolean, string, string?][] = [
    ["nothing there", () => {}, "container", false, "|"],
    ["its pair", (all) => addPair(all, "eth0", { outside: "v0", alias: mark("a") }), "host", true, "|"],
    ["a pair without a mark", (all) => addPair(all, "eth0", { outside: "v0", alias: "" }), "host", true, "|"],
    [
      "another attachment's pair",
      (all) => addPair(all, "eth0", { outside: "v0", alias: mark("b") }),
      "host",
      true,
      "v0 | eth0",
      OTHERS,
    ],
    [
      "another attachment's pair, and its own under another name",
      (all) => {
        addPair(all, "eth0", { outside: "v0", alias: mark("b") });
        addPair(all, "eth7", { outside: "v7", alias: mark("a") });
      },
      "host",
      true,
      "v0 | eth0",
      OTHERS,
    ],
    [
      "its own under another name only",
      (all) => addPair(all, "eth7", { outside: "v7", alias: mark("a") }),
      "host",
      true,
      "|",
    ],
    ["its link", (all) => addDummy(all, "eth0", mark("a")), "container", true, "|"],
    ["another attachment's link", (all) => addDummy(all, "eth0", mark("b")), "container", true, "| eth0", OTHERS],
    ["its link under another name", (all) => addDummy(all, "eth7", mark("a")), "container", true, "|"],
    [
      "a device of the host, and its link under another name",
      (all) => {
        addDummy(all, "eth0", "ens3");
        addDummy(all, "eth7", mark("a"));
      },
      "container",
      true,
      "| eth0",
      'is "ens3" of the host, which host-device has moved there',
    ],
    [
      "hardware",
      ({ container }) => container.addLink({ name: "eth0", kind: "", mtu: 1500, mac: new Uint8Array(6) }),
      "container",
      true,
      "| eth0",
      "is hardware, or the loopback interface, which no plugin makes",
    ],
  ];
  for (const [what, make, markIsOn, answer, left, whose] of cases) {
    const all = hosts();
    make(all);
    const said = whose === undefined ? "" : `network "podnet": "eth0" in /container ${whose}: it is not removed\n`;
    t.strictSame(del(all, markIsOn), [answer, left, said], what);
  }
});
