// Options of a connection: no root, no files. What they do is in e2e/network.test.ts.
import t from "tap";
import { thrownBy } from "../firewall/cases.testing.ts";
import { parseEndpointOptions } from "./endpoint-options.ts";

const seen = (...given: string[]) => {
  const { sysctls, ifName } = parseEndpointOptions(given);
  return [ifName, ...sysctls.map(({ key, pathFor, value }) => `${key}: ${pathFor("eth1.5")} = ${value}`)];
};

t.test("options of a connection, under Docker's names and shorter ones", async (t) => {
  t.strictSame(seen(), [undefined]);
  t.strictSame(seen("com.docker.network.endpoint.ifname=net0"), ["net0"]);
  const both =
    "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.neigh.IFNAME.retrans_time_ms=9";
  const paths = [
    "net.ipv4.conf.IFNAME.log_martians: ipv4/conf/eth1.5/log_martians = 1",
    "net.ipv6.neigh.IFNAME.retrans_time_ms: ipv6/neigh/eth1.5/retrans_time_ms = 9",
  ];
  t.strictSame(seen(both, "ifname=net0"), ["net0", ...paths]);
  t.strictSame(seen(`"${both}"`), [undefined, ...paths], "in the quotes that Docker's users write");
});

t.test("an option that is unknown or wrong is refused by name", async (t) => {
  const rows: [given: string, message: string][] = [
    ["mtu", 'invalid driver option "mtu"; To fix: write --driver-opt KEY=VALUE'],
    [
      "com.docker.network.endpoint.sysctl=x",
      'a connection has no driver option "com.docker.network.endpoint.sysctl"; To fix: did you mean com.docker.network.endpoint.sysctls?',
    ],
    [
      "foo=bar",
      'a connection has no driver option "foo"; To fix: use one of com.docker.network.endpoint.sysctls, com.docker.network.endpoint.ifname, sysctls, ifname',
    ],
    ...[
      "net.ipv4.ip_forward=1",
      "kernel.x.IFNAME.y=1",
      "net.ipv4.conf.eth0.x=1",
      "net.ipv4.conf.IFNAME.x",
      "net.ipv4.conf.IFNAME.../x=1",
    ].map((sysctl): [string, string] => [
      `sysctls=${sysctl}`,
      `invalid sysctl "${sysctl}"; To fix: write it as net.ipv4.conf.IFNAME.log_martians=1: of net.ipv4, net.ipv6 or net.mpls, with IFNAME for the interface`,
    ]),
  ];
  for (const [given, message] of rows)
    t.equal(
      thrownBy(() => parseEndpointOptions([given])),
      message,
      given,
    );
});
