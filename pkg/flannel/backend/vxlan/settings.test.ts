import t from "tap";
import { containerMtu, deviceMtu, vxlanConfig } from "./settings.ts";

t.test("what is not given has flannel's defaults", async (t) => {
  t.strictSame(vxlanConfig({ Type: "vxlan" }), {
    vni: 1,
    port: 0,
    mtu: 0,
    gbp: false,
    learning: false,
    directRouting: false,
    txChecksum: "auto",
  });
});

const eth0 = { name: "eth0", mtu: 1500 };
const sizes: { settings: { MTU?: number }; below: number; containers: number; ipv4: number; ipv6: number }[] = [
  { settings: {}, below: 1500, containers: 1450, ipv4: 1450, ipv6: 1430 },
  { settings: { MTU: 1400 }, below: 1500, containers: 1350, ipv4: 1350, ipv6: 1350 },
  { settings: { MTU: 1490 }, below: 1500, containers: 1440, ipv4: 1440, ipv6: 1430 },
  { settings: { MTU: 9000 }, below: 1500, containers: 8950, ipv4: 1450, ipv6: 1430 },
  { settings: {}, below: 9000, containers: 8950, ipv4: 8950, ipv6: 8930 },
];
for (const { settings, below, containers, ...devices } of sizes) {
  t.test(`MTU of ${below} below, configured ${settings.MTU}`, async (t) => {
    const external = { ...eth0, mtu: below };
    const config = vxlanConfig(settings);
    t.equal(containerMtu(config, external), containers);
    t.equal(deviceMtu(config, external, "ipv4"), devices.ipv4);
    t.equal(deviceMtu(config, external, "ipv6"), devices.ipv6);
  });
}

t.test("too little is refused with what would do", async (t) => {
  t.throws(() => deviceMtu(vxlanConfig({}), { name: "eth0", mtu: 1300 }, "ipv6"), {
    message:
      "the network configuration cannot be used: an MTU of 1300 (eth0) leaves 1230 bytes inside the tunnel, IPv6 needs 1280; raise it to 1350 or more",
  });
  t.throws(() => deviceMtu(vxlanConfig({ MTU: 100 }), eth0, "ipv4"), {
    message:
      "the network configuration cannot be used: an MTU of 100 (Backend.MTU) leaves 50 bytes inside the tunnel, IPv4 needs 68; raise it to 118 or more",
  });
});
