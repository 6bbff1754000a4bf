// vrf behind an interface that `ip` made. Looking at a node takes seconds on the kernel that has VRFs, so the rows are few.
import { interfaceByHand, resultByHand } from "../lab/interface-by-hand.ts";
import { asRelease191, intended, type Json, type Row } from "./row.ts";

const inContainer = (script: string) => `ip netns exec $C0 sh -e <<END${script}\nEND\n`;
const withoutRoutes = interfaceByHand.replaceAll(/^ip route.*$/gm, "");
const prevResult = { ...resultByHand, cniVersion: "1.0.0", routes: [] };

function vrf(claim: string, keys: Json, more: Partial<Row>): Row {
  return {
    name: `vrf: ${claim}`,
    plugin: "vrf",
    conf: { cniVersion: "1.0.0", name: "net", type: "vrf", vrfname: "blue", prevResult, ...keys },
    call: { ifName: "net1" },
    prepare: inContainer(withoutRoutes),
    needs: ["vrf"],
    ...more,
  };
}

export const vrfRows: Row[] = [
  vrf("an address of each family", {}, { steps: ["ADD", "CHECK", "DEL"] }),
  vrf(
    "routes",
    { prevResult: { ...prevResult, routes: resultByHand.routes } },
    {
      prepare: inContainer(interfaceByHand),
      steps: ["ADD", "DEL"],
      deviations: [
        intended("The result says where the routes are", { ours: /: routes\.\d\.table 1$/ }),
        asRelease191("routes come along", {
          ours: /1 ADD: c0 route type unicast dst \S+ gateway \S+ dev net1 table 1 /,
        }),
      ],
    },
  ),
  vrf(
    "a VRF of another table",
    { table: 7 },
    {
      prepare: inContainer(`${withoutRoutes}\nip link add blue type vrf table 8`),
      steps: [{ verb: "ADD", says: "already exist with different routing table" }],
    },
  ),
  vrf(
    "DEL of an interface that is gone",
    {},
    {
      steps: ["ADD", { verb: "DEL", before: "ip -n $C0 link delete net1" }],
      deviations: [
        intended("DEL succeeds without the interface", { go: /^2 DEL: /, ours: [/^2 DEL: exit 0$/, /^2 DEL: {2}$/] }),
      ],
    },
  ),
];
