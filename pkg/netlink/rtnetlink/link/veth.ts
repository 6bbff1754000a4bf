// `ip link add type veth peer name …`: a pair of links, made in one message.
import { attribute, message } from "../../message.ts";
import { interfaceMessage } from "./interface.ts";

/** IFLA_INFO_DATA of kind "veth": the other end, which may be born in another namespace (`netnsFd`). Never dumped. */
export const veth = message({
  source: "linux/veth.h: VETH_INFO_*",
  attributes: {
    peer: attribute(1, "VETH_INFO_PEER", interfaceMessage),
  },
});
