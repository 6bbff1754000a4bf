/** Creates the backend that the network configuration names. */
import { nearest } from "../../config/edit-distance.ts";
import { alloc } from "./alloc.ts";
import type { Backend, BackendContext } from "./backend.ts";
import { hostGw } from "./host-gw.ts";
import { vxlan } from "./vxlan/vxlan.ts";

const backends: Readonly<Record<string, (context: BackendContext) => Backend>> = { vxlan, "host-gw": hostGw, alloc };

/** flannel's other backends; it removed the last three, but pages of cloud providers still name them. */
const flannels = ["wireguard", "ipip", "ipsec", "udp", "extension", "tencent-vpc", "aws-vpc", "gce", "ali-vpc"];

/** @throws Error there is none of that type, or it cannot work here */
export function createBackend(context: BackendContext): Backend {
  const { type } = context.network.backend;
  const create = Object.hasOwn(backends, type) ? backends[type] : undefined;
  if (create !== undefined) return create(context);
  const known = Object.keys(backends);
  const list = `choose one of: ${known.join(", ")}`;
  if (flannels.includes(type)) throw new Error(`backend "${type}" is not implemented by this daemon yet; ${list}`);
  const guess = nearest(type, [...known, ...flannels]);
  throw new Error(`backend "${type}" is unknown${guess === undefined ? "" : `, did you mean "${guess}"?`}; ${list}`);
}
