// The container's end on a fake kernel: what is sent in which order, the wait for duplicate address detection, and what is said of refusals.
import t from "tap";
import type { Result } from "../cni/result.ts";
import { IFA_F_DADFAILED, IFA_F_TENTATIVE } from "../netlink/rtnetlink/address.ts";
import type { ErrnoName } from "../sys/errno.ts";
import { failureBy, namespaceWith, outcomeOf, prefix } from "./cases.testing.ts";
import {
  addressOf,
  addressTask,
  type ConfigTask,
  type DuplicateDetection,
  performTasks,
  prefixesOf,
  sendConfiguration,
} from "./configure.ts";
import { needLink, setUp } from "./link.ts";
import { addRoute } from "./route.ts";

type What = Pick<Result, "ips" | "routes">;
const none: What = { ips: [], routes: [] };
const ipv4: What = { ips: [{ address: "10.22.0.5/16", gateway: "10.22.0.1" }], routes: [] };
const ipv6: What = { ips: [{ address: "fd00::5/64", gateway: "fd00::1" }], routes: [{ dst: "::/0" }] };

/** A namespace with eth0, index 2. */
function withLink(mac = Uint8Array.of(2, 0, 0, 0, 0, 9)) {
  const container = namespaceWith({ ifName: "eth0", address: mac, linkInfo: { kind: "dummy" } });
  const rtnl = container.connect();
  return { container, rtnl, link: needLink(rtnl, "eth0") };
}

t.test("addresses, state and routes, each with what the result says of it", async (t) => {
  const isUp = ["- 2: eth0 dummy down mtu 1500", "+ 2: eth0 dummy up mtu 1500"];
  const [down, up] = isUp as [string, string];
  const ours = ["+ address 10.22.0.5/16", "+ route 10.22.0.0/16 dev eth0 scope link src 10.22.0.5"];
  const cases: [string, What, string[]][] = [
    ["nothing but up", none, isUp],
    ["an address", ipv4, [down, up, ...ours]],
    [
      "a route without gateway: the first of its family",
      { ips: [...ipv6.ips, ...ipv4.ips], routes: [{ dst: "10.9.0.0/16" }, { dst: "fd09::/64" }] },
      [
        down,
        up,
        "+ address fd00::5/64",
        "+ address 10.22.0.5/16",
        "+ route fd00::/64 dev eth0 metric 256",
        "+ route 10.22.0.0/16 dev eth0 scope link src 10.22.0.5",
        "+ route 10.9.0.0/16 via 10.22.0.1 dev eth0",
        "+ route fd09::/64 via fd00::1 dev eth0 metric 1024",
      ],
    ],
    [
      "a route with a gateway of its own",
      { ...ipv4, routes: [{ dst: "10.9.0.0/16", gw: "10.22.0.7" }] },
      [down, up, ...ours, "+ route 10.9.0.0/16 via 10.22.0.7 dev eth0"],
    ],
    [
      "no gateway: the route is to the link",
      { ips: [{ address: "10.22.0.5/16" }], routes: [{ dst: "10.9.0.0/16" }] },
      [down, up, ...ours, "+ route 10.9.0.0/16 dev eth0"],
    ],
    [
      "metric, table, scope",
      {
        ...ipv4,
        routes: [
          { dst: "10.9.0.0/16", priority: 7 },
          { dst: "10.8.0.0/16", table: 100 },
          { dst: "10.7.0.0/16", gw: "0.0.0.0", scope: 253 },
        ],
      },
      [
        down,
        up,
        ...ours,
        "+ route 10.9.0.0/16 via 10.22.0.1 dev eth0 metric 7",
        "+ route 10.8.0.0/16 via 10.22.0.1 dev eth0 table 100",
        "+ route 10.7.0.0/16 dev eth0 scope link",
      ],
    ],
  ];
  for (const [what, result, outcome] of cases) {
    const { container, rtnl, link } = withLink();
    t.strictSame(
      outcomeOf(container, () => sendConfiguration({ rtnl, link }, result)),
      outcome,
      what,
    );
  }
});

t.test("one send, in the order that the kernel needs, unless IPv6 addresses have to be waited for", async (t) => {
  const task = (what: string, octet: number): ConfigTask => ({
    what,
    request: addRoute(2, { destination: prefix(`10.${octet}.0.0/16`) }),
  });
  const more = { beforeRoutes: [task("before", 1)], afterRoutes: [task("after", 2)] };
  const [address, up, route, look] = ["RTM_NEWADDR", "RTM_SETLINK", "RTM_NEWROUTE", "RTM_GETADDR"] as const;
  const cases: [What, DuplicateDetection, string[][]][] = [
    [{ ...ipv4, routes: [{ dst: "10.9.0.0/16" }] }, "awaited", [[address, up, route, route, route]]],
    [ipv6, "awaited", [[address, up], [look], [route, route, route]]],
    [{ ...ipv6, ips: [{ address: "fd00::5/64" }] }, "awaited", [[address, up, route, route, route]]],
    [ipv6, "none", [[address, up, route, route, route]]],
    [ipv6, "later", [[address, up, route, route, route]]],
  ];
  for (const [result, duplicates, sends] of cases) {
    const { container, rtnl, link } = withLink();
    const seen: string[][] = [];
    container.before = (requests) => seen.push(requests.map(({ name }) => name));
    sendConfiguration({ rtnl, link, duplicates }, result, more);
    t.strictSame(seen, sends, `${duplicates} ${result.ips[0]?.address} ${result.ips[0]?.gateway}`);
  }
});

t.test("the wait ends when no address is tentative, or when one is somebody else's", async (t) => {
  const cases: [string, number[], string | undefined, number][] = [
    ["at once", [0], undefined, 1],
    ["tentative at first", [IFA_F_TENTATIVE, IFA_F_TENTATIVE, 0], undefined, 3],
    [
      "in use",
      [IFA_F_TENTATIVE, IFA_F_TENTATIVE | IFA_F_DADFAILED],
      '999: address fd00::5/64 of "eth0" is used by another host on the link; duplicate address detection failed. To fix: find the other host (tcpdump shows its neighbour advertisements), or exclude the address from the range',
      2,
    ],
  ];
  for (const [what, states, failure, expected] of cases) {
    const { container, rtnl, link } = withLink();
    let looks = 0;
    container.before = ([request]) => {
      if (request?.name !== "RTM_GETADDR") return;
      const flags = states[Math.min(looks++, states.length - 1)] ?? 0;
      for (const one of container.links)
        one.addresses = one.addresses.map((address) => ({ ...address, longFlags: flags }));
    };
    t.equal(
      failureBy(() => sendConfiguration({ rtnl, link }, ipv6)),
      failure,
      what,
    );
    t.equal(looks, expected, `${what}: looks`);
    t.equal(container.text().includes("route default"), failure === undefined, `${what}: routes`);
  }
});

t.test("what is said of a task that the kernel refuses", async (t) => {
  const task = { what: "route 10.9.0.0/16", request: addRoute(2, { destination: prefix("10.9.0.0/16") }) };
  const own = { whenExists: { msg: "it is there", remedy: "leave it" } };
  const refused = (errno: string) =>
    `999: the kernel refuses route 10.9.0.0/16 on "eth0"; RTM_NEWROUTE: ${errno}. To fix:`;
  const state = "see the interface's state: ip address show dev eth0";
  const cases: [ErrnoName, ConfigTask, string][] = [
    ["EEXIST", task, `${refused("EEXIST")} remove the duplicate from the IPAM plugin's result`],
    ["EEXIST", { ...task, ...own }, "999: it is there; RTM_NEWROUTE: EEXIST. To fix: leave it"],
    ["EPERM", { ...task, ...own }, `${refused("EPERM")} ${state}`],
    [
      "ENETUNREACH",
      task,
      `${refused("ENETUNREACH")} set a gateway that lies in one of the interface's subnets, or a route of scope link (253) to it first`,
    ],
    [
      "EINVAL",
      task,
      `${refused("EINVAL")} check destination and gateway: both must have the same family, and the destination no host bits`,
    ],
    ["ENODEV", task, `${refused("ENODEV")} ${state}`],
    ["EBUSY", task, `${refused("EBUSY")} ${state}`],
    ["EOPNOTSUPP", task, `${refused("EOPNOTSUPP")} ${state}`],
    ["EADDRINUSE", task, `${refused("EADDRINUSE")} ${state}`],
  ];
  for (const [errno, one, failure] of cases) {
    const { container, rtnl, link } = withLink();
    container.refuse = () => errno;
    t.equal(
      failureBy(() => performTasks(rtnl, link, [one])),
      failure,
      errno,
    );
  }
});

t.test("a macvlan that cannot be set up since its MAC is in use: who has it is looked for", async (t) => {
  const mac = Uint8Array.of(2, 0xfe, 0xed, 0, 0, 9); // of no link of any machine
  const { container, rtnl, link } = withLink(mac);
  container.refuse = () => "EADDRINUSE";
  t.match(
    failureBy(() => performTasks(rtnl, { ...link, kind: "macvlan" }, [{ what: "state up", request: setUp(2) }])),
    /^999: MAC 02:fe:ed:00:00:09 of "eth0" is in use on its master; RTM_SETLINK: EADDRINUSE. To fix: a master carries each MAC once, its own included: look who has it/,
  );
});

t.test("the first refusal is told, and the later tasks are performed all the same", async (t) => {
  const { container, rtnl, link } = withLink();
  const twice = addressTask(2, prefix("10.22.0.5/16"), { withoutDetection: false });
  const first = failureBy(() => performTasks(rtnl, link, [twice, twice, { what: "up", request: setUp(2) }]));
  t.match(first, /^999: the kernel refuses address 10\.22\.0\.5\/16 on "eth0"; RTM_NEWADDR: EEXIST/);
  t.match(container.text(), /eth0 dummy up/);
});

t.test("a result that cannot be read", async (t) => {
  const unreadable = (what: string) =>
    `6: ${what} of the IPAM plugin's result is not an IP address; To fix: report it to the authors of the IPAM plugin`;
  const cases: [What, string][] = [
    [{ ips: [{ address: "10.22.0.5" }], routes: [] }, unreadable('address "10.22.0.5"')],
    [{ ips: [{ address: "10.22.0.5/16", gateway: "x" }], routes: [] }, unreadable('gateway "x"')],
    [{ ...none, routes: [{ dst: "x" }] }, unreadable('route destination "x"')],
    [{ ...none, routes: [{ dst: "10.9.0.0/16", gw: "x" }] }, unreadable('route gateway "x"')],
  ];
  for (const [result, failure] of cases) {
    const { container, rtnl, link } = withLink();
    t.equal(
      outcomeOf(container, () => sendConfiguration({ rtnl, link }, result)),
      failure,
    );
  }
  t.equal(addressOf({ address: "10.22.0.5/16", gateway: "" }).gateway, undefined, "an empty gateway is none");
  t.strictSame(prefixesOf(ipv4), [prefix("10.22.0.5/16")]);
});
