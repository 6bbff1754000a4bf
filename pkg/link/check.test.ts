// CHECK on a fake kernel: what differs from the result of ADD is told, what others may have changed is not.
import t from "tap";
import type { Result } from "../cni/result.ts";
import type { Request } from "../netlink/connection.ts";
import { ip } from "../netlink/golden.testing.ts";
import { AF_INET } from "../netlink/rtnetlink/family.ts";
import { addAddress, deleteAddress } from "./address.ts";
import { failureBy, hosts, owner, prefix } from "./cases.testing.ts";
import { checkConfiguration, needHostsEnd, needSameLink } from "./check.ts";
import { sendConfiguration } from "./configure.ts";
import { addLink, deleteLink, needLink, setDown, setMac, setUp } from "./link.ts";
import { addRoute, appendListed, deleteListed, deleteRoute, listRoutes } from "./route.ts";
import { createVeth } from "./veth.ts";

const FOUND =
  "found by CHECK. To fix: delete the attachment and add it again (DEL, then ADD with the same container ID and interface name)";

/** A container with eth0 as the result says. */
function attached(result: Result) {
  const { host, container } = hosts();
  const rtnl = container.connect();
  const { inside, outside } = createVeth(host.connect(), {
    netns: container.netns,
    container: rtnl,
    ifName: "eth0",
    mtu: 0,
    owner: owner("a"),
  });
  sendConfiguration({ rtnl, link: inside }, result);
  return { host: host.connect(), container: rtnl, inside, outside };
}

const result: Result = {
  interfaces: [{ name: "vethX" }, { name: "eth0", sandbox: "/container" }, { name: "eth1", sandbox: "/container" }],
  ips: [
    { address: "10.22.0.5/16", gateway: "10.22.0.1", interface: 1 },
    { address: "10.9.9.9/32", interface: 1 },
  ],
  routes: [
    { dst: "0.0.0.0/0", gw: "10.22.0.1" },
    { dst: "10.99.0.0/16", gw: "10.22.0.2" },
    { dst: "10.98.0.0/16", gw: "10.22.0.2", table: 100 },
  ],
  dns: {},
};

t.test("addresses and routes of the container", async (t) => {
  const moveTo = (table: number, length: number) => (index: number, all: ReturnType<typeof listRoutes>) => {
    const moved = all.filter((route) => route.destinationLength === length && route.outputIndex === index);
    return [...moved.map((route) => appendListed(route, table)), ...moved.map((route) => deleteListed(route))];
  };
  const cases: [string, (index: number, routes: ReturnType<typeof listRoutes>) => Request[], string | undefined][] = [
    ["as ADD made it", () => [], undefined],
    ["one more address and route", (index) => [addAddress(index, prefix("10.7.0.5/24"))], undefined],
    ["down", (index) => [setDown(index)], `999: interface "eth0" in /container is down, must be up; ${FOUND}`],
    [
      "the address is gone",
      (index) => [deleteAddress(index, prefix("10.22.0.5/16"))],
      `999: address 10.22.0.5/16 is not on "eth0", only 10.9.9.9/32; ${FOUND}`,
    ],
    [
      "both addresses are gone",
      (index) => [deleteAddress(index, prefix("10.22.0.5/16")), deleteAddress(index, prefix("10.9.9.9/32"))],
      `999: address 10.22.0.5/16 is not on "eth0", only none; ${FOUND}`,
    ],
    [
      "the address has another prefix length",
      (index) => [deleteAddress(index, prefix("10.22.0.5/16")), addAddress(index, prefix("10.22.0.5/24"))],
      `999: address 10.22.0.5/16 is not on "eth0", only 10.9.9.9/32, 10.22.0.5/24; ${FOUND}`,
    ],
    [
      "the subnet's route is gone",
      (index) => [deleteRoute(index, { destination: prefix("10.22.0.0/16") })],
      `999: the route to 10.22.0.0/16, the subnet of 10.22.0.5/16, is missing; ${FOUND}`,
    ],
    [
      "a route is gone",
      (index) => [deleteRoute(index, { destination: prefix("10.99.0.0/16") })],
      `999: route 10.99.0.0/16 via 10.22.0.2 is missing; ${FOUND}`,
    ],
    [
      "a route has another gateway",
      (index) => [
        deleteRoute(index, { destination: prefix("10.99.0.0/16") }),
        addRoute(index, { destination: prefix("10.99.0.0/16"), gateway: ip("10.22.0.3") }),
      ],
      `999: route 10.99.0.0/16 via 10.22.0.2 is missing; ${FOUND}`,
    ],
    [
      "the default route is gone",
      (index) => [deleteRoute(index, { destination: prefix("0.0.0.0/0") })],
      `999: route 0.0.0.0/0 via 10.22.0.1 is missing; ${FOUND}`,
    ],
    [
      "the default route has another gateway",
      (index) => [
        deleteRoute(index, { destination: prefix("0.0.0.0/0") }),
        addRoute(index, { destination: prefix("0.0.0.0/0"), gateway: ip("10.22.0.3") }),
      ],
      undefined,
    ],
    ["a later plugin moved the default route into another table", moveTo(1000, 0), undefined],
    ["a later plugin moved the other routes into another table", moveTo(1000, 16), undefined],
    [
      "a route that has a table is in another one",
      (index) => [
        deleteRoute(index, { destination: prefix("10.98.0.0/16"), table: 100 }),
        addRoute(index, { destination: prefix("10.98.0.0/16"), gateway: ip("10.22.0.2") }),
      ],
      `999: route 10.98.0.0/16 via 10.22.0.2 is missing in table 100; ${FOUND}`,
    ],
  ];
  for (const [what, change, failure] of cases) {
    const { container, inside } = attached(result);
    container.requestAll(change(inside.index, listRoutes(container, AF_INET)));
    const link = needLink(container, "eth0");
    t.equal(
      failureBy(() => checkConfiguration({ result, container, link }, "/container")),
      failure,
      what,
    );
  }
});

t.test("what of a result is not this interface's, or cannot be read", async (t) => {
  const cases: [string, Partial<Result>, string | undefined][] = [
    ["an address of another interface", { ips: [...result.ips, { address: "10.1.0.5/24", interface: 2 }] }, undefined],
    [
      "an address without an interface",
      { ips: [...result.ips, { address: "10.1.0.5/24" }] },
      `999: address 10.1.0.5/24 is not on "eth0", only 10.22.0.5/16, 10.9.9.9/32; ${FOUND}`,
    ],
    [
      "no address",
      { ips: [{ address: "nonsense" }] },
      `999: prevResult has "nonsense", which is not an IP address with prefix length; ${FOUND}`,
    ],
    [
      "no subnet",
      { routes: [{ dst: "nonsense" }] },
      `999: prevResult has a route to "nonsense", which is not a subnet; ${FOUND}`,
    ],
  ];
  for (const [what, changed, failure] of cases) {
    const { container, inside } = attached(result);
    const link = { ...inside, up: true };
    t.equal(
      failureBy(() => checkConfiguration({ result: { ...result, ...changed }, container, link }, "/container")),
      failure,
      what,
    );
  }
});

t.test("the interface is the one of the result", async (t) => {
  const { container, inside } = attached(result);
  const cases: [string, { name: string; mac?: string }, string | undefined, string | undefined][] = [
    ["the same", { name: "eth0", mac: inside.mac.toUpperCase() }, "veth", undefined],
    ["without a MAC", { name: "eth0", mac: "" }, undefined, undefined],
    ["missing", { name: "eth1" }, undefined, `999: interface "eth1" is missing in /container; ${FOUND}`],
    [
      "of another kind",
      { name: "eth0" },
      "macvlan",
      `999: interface "eth0" in /container is of kind "veth", not "macvlan"; ${FOUND}`,
    ],
    [
      "with another MAC",
      { name: "eth0", mac: "02:00:00:00:ff:ff" },
      "veth",
      `999: interface "eth0" in /container has MAC ${inside.mac}, not 02:00:00:00:ff:ff; ${FOUND}`,
    ],
  ];
  for (const [what, entry, kind, failure] of cases) {
    t.equal(
      failureBy(() => needSameLink(container, entry, kind, "in /container")),
      failure,
      what,
    );
  }
});

t.test("the host's end is the other end of the container's veth, and in the result", async (t) => {
  const missing = `999: the host end of "eth0" is missing; ${FOUND}`;
  const { host, inside, outside } = attached(result);
  host.requestAll([
    addLink({ ifName: "other", linkInfo: { kind: "veth", data: { peer: { ifName: "other1" } } } }),
    setUp(outside.index),
    setMac(outside.index, Uint8Array.of(2, 0, 0, 0, 0, 9)),
  ]);
  const end = (...names: string[]) =>
    failureBy(() => needHostsEnd(host, inside, { ...result, interfaces: names.map((name) => ({ name })) }));
  t.equal(end(outside.name), undefined);
  t.equal(end("lo", "other", outside.name), undefined);
  t.equal(end("other"), missing);
  t.equal(end("none"), missing);
  const inContainer = { name: outside.name, sandbox: "/container" };
  t.equal(
    failureBy(() => needHostsEnd(host, inside, { ...result, interfaces: [inContainer] })),
    missing,
  );
  deleteLink(host, outside.index);
  t.equal(end(outside.name), missing);
});
