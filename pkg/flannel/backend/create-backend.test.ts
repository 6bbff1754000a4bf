import t from "tap";
import { storeRemedies } from "../../cluster/lease/store-manager.ts";
import { logOf } from "../../cluster/log/log.ts";
import { Connection } from "../../netlink/connection.ts";
import { createBackend } from "./create-backend.ts";

const route = new Connection({
  fd: -1,
  send: () => {},
  receive: () => new Uint8Array(),
  receiveArrived: () => undefined,
  close: () => {},
});

const create = (type: string) =>
  createBackend({
    route,
    external: { index: 2, name: "eth0", mtu: 1500 },
    network: { nftables: false, noMasquerade: [], backend: { type, settings: {} } },
    published: undefined,
    remedies: storeRemedies,
    log: logOf(() => {}),
  });

for (const [type, message] of [
  ["wireguard", 'backend "wireguard" is not implemented by this daemon yet; choose one of: vxlan, host-gw, alloc'],
  ["vxlna", 'backend "vxlna" is unknown, did you mean "vxlan"?; choose one of: vxlan, host-gw, alloc'],
  ["hostgw", 'backend "hostgw" is unknown, did you mean "host-gw"?; choose one of: vxlan, host-gw, alloc'],
  ["constructor", 'backend "constructor" is unknown; choose one of: vxlan, host-gw, alloc'],
] as const) {
  t.test(`a type that there is not: ${type}`, async (t) => {
    t.throws(() => create(type), { message });
  });
}

t.test("nothing is asked of the kernel before it is used", async (t) => {
  for (const type of ["vxlan", "host-gw", "alloc"]) t.equal(typeof create(type).repair, "function");
});
