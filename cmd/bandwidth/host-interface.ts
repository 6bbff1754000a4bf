/** The host end of the container's veth pair, where both directions can be limited. */
import { CniError, ErrorCode, invalidConf } from "../../pkg/cni/error.ts";
import type { Attachment } from "../../pkg/cni/plugin.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { findLink, type Link, openRtnetlink } from "../../pkg/link/link.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { openNamespace } from "../../pkg/sys/namespace.ts";

const behindVeth = `name bandwidth behind a plugin that makes a veth pair, as bridge or ptp`;

/** Returns the host end. @throws CniError 7: no interfaces, or the container's is no veth. 999: its peer is not on the host */
export function needHostInterface(
  host: Connection,
  { netns = "", ifName }: Attachment<unknown>,
  { interfaces }: Result,
): Link {
  if (interfaces.length === 0) throw invalidConf("prevResult cannot be used: no interfaces provided", behindVeth);
  const inside = findLink(openRtnetlink(openNamespace(netns)), ifName);
  if (inside?.kind !== "veth") {
    const why = inside === undefined ? "it does not exist" : `it is of kind "${inside.kind}"`;
    throw invalidConf(`container interface ${ifName} has no veth peer: ${why}`, behindVeth);
  }
  const outside = findLink(host, inside.parent);
  if (outside?.kind !== "veth" || outside.parent !== inside.index)
    throw elsewhere(`veth peer with index ${inside.parent} is not in host ns`);
  if (!interfaces.some(({ name, sandbox }) => !sandbox && name === outside.name)) {
    const listed = interfaces.filter(({ sandbox }) => !sandbox).map(({ name }) => `"${name}"`);
    throw elsewhere(
      `no veth peer of container interface found in host ns: "${outside.name}" is not among prevResult's, ${listed.join(", ") || "which are all in containers"}`,
    );
  }
  return outside;
}

function elsewhere(msg: string): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg,
    remedy:
      "check that the runtime passes the result of the plugin that made the interface, and runs bandwidth in the same namespace as that plugin",
  });
}
