import t from "tap";
import { formatPrefix } from "../../pkg/ip/address.ts";
import { gatewayPrefixes, withDefaultRoutes, withGateways } from "./gateway.ts";

t.test("an address without gateway gets its network's first address", async (t) => {
  const ips = [
    { address: "10.1.2.3/24" },
    { address: "fd00::5/64" },
    { address: "10.9.0.2/16", gateway: "10.9.255.254" },
  ];
  t.strictSame(
    withGateways(ips).map(({ gateway }) => gateway),
    ["10.1.2.1", "fd00::1", "10.9.255.254"],
  );
});

const ips = [
  { address: "10.1.2.3/24", gateway: "10.1.2.1" },
  { address: "10.5.0.3/24", gateway: "10.5.0.1" },
  { address: "fd00::5/64", gateway: "fd00::1" },
];

t.test("each family gets one default route, through its first gateway", async (t) => {
  t.strictSame(withDefaultRoutes({ ips, routes: [{ dst: "192.168.0.0/16" }] }), [
    { dst: "192.168.0.0/16" },
    { dst: "0.0.0.0/0", gw: "10.1.2.1" },
    { dst: "::/0", gw: "fd00::1" },
  ]);
});

t.test("a default route of IPAM's that has a gateway is enough; one without is not", async (t) => {
  const [, , v6] = withDefaultRoutes({ ips, routes: [{ dst: "0.0.0.0/0" }] });
  t.strictSame(v6, { dst: "::/0", gw: "fd00::1" });
  t.strictSame(
    withDefaultRoutes({ ips, routes: [{ dst: "0.0.0.0/0", gw: "10.1.2.9" }] }).filter(({ dst }) => dst === "0.0.0.0/0"),
    [{ dst: "0.0.0.0/0", gw: "10.1.2.9" }],
  );
});

t.test("the bridge gets the gateway's address with the subnet's length", async (t) => {
  t.strictSame(gatewayPrefixes(ips).map(formatPrefix), ["10.1.2.1/24", "10.5.0.1/24", "fd00::1/64"]);
  t.strictSame(gatewayPrefixes([{ address: "10.1.2.3/24" }]), []);
});
