import t from "tap";
import { formatAddress } from "../../../pkg/ip/address.ts";
import { Errno } from "../../../pkg/sys/errno.ts";
import { sendProbes } from "./probe.ts";
import { type Failure, GONE, reasonOf } from "./reason.ts";
import { parseTarget } from "./target.ts";

t.test("targets, as people write them", async (t) => {
  for (const [text, address, port] of [
    ["10.0.0.1", "10.0.0.1", undefined],
    ["10.0.0.1:80", "10.0.0.1", 80],
    ["fd00::1", "fd00::1", undefined],
    ["[fd00::1]:443", "fd00::1", 443],
    ["[fd00::1]", "fd00::1", undefined],
  ] as const) {
    const target = parseTarget(text);
    t.strictSame([formatAddress(target.address), target.port], [address, port], text);
  }
  for (const text of ["", "web", "web:80", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:http", "10.0.0", "[fd00::1]:"])
    t.throws(() => parseTarget(text), { code: 4, msg: /is no address to reach/ }, text);
});

t.test("the reason that is told is the nearest one", async (t) => {
  const failure: Failure = {
    errno: undefined,
    protocol: "icmp",
    hasRoute: true,
    isResolved: true,
    nextHop: "10.0.0.1",
  };
  const cases: [Partial<Failure>, RegExp][] = [
    [{}, /^no answer/],
    [{ errno: Errno.ECONNREFUSED }, /^refused/],
    [{ errno: Errno.ENETUNREACH, hasRoute: false }, /^no route/],
    [{ hasRoute: false }, /^no route/],
    [{ errno: Errno.ENETUNREACH }, /^a router on the way has no route/],
    [{ isResolved: false }, /^10\.0\.0\.1 does not answer ARP/],
    [{ errno: Errno.EHOSTUNREACH, isResolved: false }, /^10\.0\.0\.1 does not answer ARP/],
    [{ errno: Errno.EHOSTUNREACH }, /^a host or router on the way/],
    [{ errno: Errno.EPERM }, /^forbidden/],
  ];
  for (const [more, reason] of cases) t.match(reasonOf({ ...failure, ...more }).reason, reason);
});

t.test("a probe from a namespace that is gone, or no namespace any more, fails", async (t) => {
  const address = Uint8Array.of(127, 0, 0, 1);
  const probes = ["/run/netns/nowhere", import.meta.filename].map((netns) => ({ netns, address }));
  t.strictSame(
    sendProbes(probes, 1000),
    probes.map(() => ({ ms: undefined, failure: GONE })),
  );
});
