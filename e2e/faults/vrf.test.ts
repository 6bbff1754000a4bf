// vrf ADD on a kernel that has VRFs: each change whose answer is lost, and each before which it is killed. All system calls would take
// too long there.
import t from "tap";
import { newHost } from "../host.ts";
import { containerWith, interfaceByHand, resultByHand } from "../interface-by-hand.ts";
import { needsKernel } from "../needs.ts";
import { failedAdds, killedAdds, type Subject, type SystemCall } from "./faults.ts";

const conf = { cniVersion: "1.1.0", name: "net", type: "vrf", vrfname: "blue", prevResult: resultByHand };
const state = `ip -o link show | cut -d: -f2; ip -o -6 address show net1 | sed 's/^[0-9]*://'; ip route show; ip -6 route show`;

function vrf(t: Parameters<typeof newHost>[0]): Subject {
  const node = newHost(t);
  const container = containerWith(node);
  return {
    node,
    plugin: "vrf",
    conf,
    call: { ifName: "net1" },
    look: () => container.sh(state),
    afterDel: () => container.sh(`ip link delete net1\n${interfaceByHand}`),
  };
}

/** As strace shows them. */
const isAnswer = ({ name, text }: SystemCall) => name === "recvfrom" && text.includes("NLMSG_ERROR");
const isChange = ({ name, text }: SystemCall) => name === "sendto" && text.includes("NLM_F_ACK");

t.test("vrf: an ADD in which an answer is lost leaves the interface as it was", needsKernel("vrf"), async (t) => {
  t.strictSame(failedAdds(vrf(t), { only: isAnswer }), []);
});

t.test("vrf: DEL removes the VRF of an ADD killed anywhere", needsKernel("vrf"), async (t) => {
  t.strictSame(killedAdds(vrf(t), { only: isChange }), []);
});
