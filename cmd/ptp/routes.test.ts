import t from "tap";
import { gatewayAddresses, hostEndTasks, routesToGateways, routesToSubnets } from "./routes.ts";

const what = (tasks: readonly { what: string }[]) => tasks.map((task) => task.what);

const cases: { claim: string; ips: [address: string, gateway: string][]; container: string[]; host: string[] }[] = [
  {
    claim: "a subnet is reached through its gateway",
    ips: [["10.1.0.5/24", "10.1.0.1"]],
    container: ["route 10.1.0.1/32", "deleting route 10.1.0.0/24", "route 10.1.0.0/24 via 10.1.0.1"],
    host: ["address 10.1.0.1/32", "route 10.1.0.5/32"],
  },
  {
    claim: "an address that is all of its subnet has no route to that",
    ips: [
      ["10.1.0.5/32", "169.254.1.1"],
      ["fd00:1::5/128", "fd00:1::1"],
    ],
    container: ["route 169.254.1.1/32", "route fd00:1::1/128"],
    host: ["address 169.254.1.1/32", "address fd00:1::1/128", "route 10.1.0.5/32", "route fd00:1::5/128"],
  },
  {
    claim: "addresses of one subnet share its route and its gateway",
    ips: [
      ["10.1.0.5/24", "10.1.0.1"],
      ["10.1.0.6/24", "10.1.0.1"],
    ],
    container: ["route 10.1.0.1/32", "deleting route 10.1.0.0/24", "route 10.1.0.0/24 via 10.1.0.1"],
    host: ["address 10.1.0.1/32", "route 10.1.0.5/32", "route 10.1.0.6/32"],
  },
  {
    claim: "a subnet with two gateways goes through the first",
    ips: [
      ["10.1.0.5/24", "10.1.0.1"],
      ["10.1.0.6/24", "10.1.0.2"],
    ],
    container: [
      "route 10.1.0.1/32",
      "route 10.1.0.2/32",
      "deleting route 10.1.0.0/24",
      "route 10.1.0.0/24 via 10.1.0.1",
    ],
    host: ["address 10.1.0.1/32", "address 10.1.0.2/32", "route 10.1.0.5/32", "route 10.1.0.6/32"],
  },
];

for (const { claim, ips, container, host } of cases) {
  t.test(claim, async (t) => {
    const entries = gatewayAddresses(ips.map(([address, gateway]) => ({ address, gateway })));
    t.strictSame(what([...routesToGateways(7, entries), ...routesToSubnets(7, entries)]), container);
    t.strictSame(what(hostEndTasks(3, entries)), host);
  });
}

t.test("an address without gateway is refused", async (t) => {
  t.throws(() => gatewayAddresses([{ address: "10.1.0.5/24" }]), {
    code: 999,
    msg: "address 10.1.0.5/24 of the IPAM plugin has no gateway, which is the address of the host's end",
    details: `To fix: add a "gateway" to the address in "ipam": any unused address, usually the first one of the subnet`,
  });
});
