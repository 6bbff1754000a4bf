import t from "tap";
import { type GivenOptions, refuseConflicts, refuseContainerName, runModeOf } from "./run-mode.ts";

t.test("--network names a mode or a network", async (t) => {
  t.strictSame(["none", "host", "container:web", "bridge", "hosts"].map(runModeOf), [
    { kind: "none" },
    { kind: "host" },
    { kind: "container", container: "web" },
    { kind: "network", network: "bridge" },
    { kind: "network", network: "hosts" },
  ]);
  t.throws(() => runModeOf("container:"), { code: 7, msg: "invalid --network container: without a name" });
});

const nothing: GivenOptions = {
  addresses: 0,
  aliases: 0,
  dns: 0,
  exposed: 0,
  hostName: 0,
  links: 0,
  mac: 0,
  published: 0,
};

t.test("options that a mode has not are refused with Docker's texts", async (t) => {
  const rows: [network: string, option: keyof GivenOptions, message: string][] = [
    ["none", "addresses", "user specified IP address is supported on user defined networks only"],
    ["host", "aliases", "network-scoped alias is supported only for containers in user defined networks"],
    [
      "host",
      "links",
      "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    ],
    ["none", "links", "links are of no use without a network"],
    [
      "container:a",
      "links",
      "conflicting options: container type network can't be used with links. This would result in undefined behavior",
    ],
    ["container:a", "mac", "conflicting options: mac-address and the network mode"],
    ["container:a", "hostName", "conflicting options: hostname and the network mode"],
    ["container:a", "dns", "conflicting options: dns and the network mode"],
    ["container:a", "published", "conflicting options: port publishing and the container type network mode"],
    ["container:a", "exposed", "conflicting options: port exposing and the container type network mode"],
  ];
  for (const [network, option, msg] of rows)
    t.throws(
      () => refuseConflicts(runModeOf(network), { ...nothing, [option]: 1 }),
      { code: 7, msg },
      `${network} ${option}`,
    );
  for (const option of Object.keys(nothing))
    t.doesNotThrow(() => refuseConflicts(runModeOf("front"), { ...nothing, [option]: 1 }), option);
});

t.test("a container's name is one of Docker's", async (t) => {
  for (const name of ["web", "db-1", "a.b_c", "12"]) t.doesNotThrow(() => refuseContainerName(name), name);
  for (const name of ["", "w", "-web", "a b", "../x", "a/b", "é1", "x".repeat(129)])
    t.throws(() => refuseContainerName(name), { code: 7, msg: /^Invalid container name/ }, name);
});
