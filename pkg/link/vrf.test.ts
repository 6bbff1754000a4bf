// VRFs on a fake kernel.
import t from "tap";
import { FORBIDDEN, failureBy, namespaceWith, refuse } from "./cases.testing.ts";
import { setMaster, setUp } from "./link.ts";
import { listVrfPorts } from "./vrf.ts";

t.test("links are listed with what matters of them for a VRF", async (t) => {
  const host = namespaceWith(
    { ifName: "r0", linkInfo: { kind: "vrf", data: { table: 10 } } },
    { ifName: "v0", linkInfo: { kind: "veth", data: { peer: { ifName: "v1" } } } },
    { ifName: "b0", linkInfo: { kind: "bridge" } },
  );
  const rtnl = host.connect();
  rtnl.requestAll([setMaster(4, 2), setUp(4)]);
  const port = { up: false, hasCarrier: false, master: 0, table: undefined };
  const links = [
    { ...port, index: 1, name: "lo", kind: "" },
    { ...port, index: 2, name: "r0", kind: "vrf", table: 10 },
    { ...port, index: 3, name: "v1", kind: "veth" },
    { ...port, index: 4, name: "v0", kind: "veth", up: true, master: 2 },
    { ...port, index: 5, name: "b0", kind: "bridge" },
  ];
  t.strictSame(listVrfPorts(rtnl), links);
  rtnl.request(setUp(3));
  const carriers = listVrfPorts(rtnl).flatMap(({ name, hasCarrier }) => (hasCarrier ? name : []));
  t.strictSame(carriers, ["v1", "v0"]);
  refuse(host, "RTM_GETLINK", "EPERM");
  t.equal(
    failureBy(() => listVrfPorts(rtnl)),
    `999: RTM_GETLINK: EPERM; ${FORBIDDEN}`,
    "not known is not none",
  );
});
