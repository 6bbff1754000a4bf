/** leftover-links: a link on the host is marked for an attachment that no runtime remembers, or that is dead. */
import type { AttachmentId } from "../../../pkg/cni/attachment-id.ts";
import { ownerOf } from "../../../pkg/link/owner.ts";
import { attachmentsNamedBy } from "../../../pkg/runtime/result-cache.ts";
import type { Check, Node } from "./finding.ts";

export const leftoverLinks: Check = {
  id: "leftover-links",
  find(node) {
    const left = node.links.flatMap((link) => {
      const owner = ownerOf(link);
      return owner === undefined || mayBeAlive(owner, node) ? [] : [{ link, owner }];
    });
    if (left.length === 0) return [];
    const networks = [...new Set(left.map(({ owner }) => owner.network))];
    return [
      {
        id: "leftover-links",
        severity: "warning",
        text: `${left.length} links belong to containers that no runtime of this node remembers`,
        evidence: left.map(({ link, owner }) => `${link.name}: ${owner.network} ${owner.containerId} ${owner.ifName}`),
        remedy: `if these containers are gone, delete the links: ip link delete NAME; cnitool gc --dead ${networks.join(", then ")} does it for networks of version 1.1.0`,
      },
    ];
  },
};

/** A runtime may keep its cache elsewhere, so nobody but its owner can say that such a link is dead. */
function mayBeAlive({ network, containerId, ifName }: AttachmentId, { attachments, damaged }: Node): boolean {
  const isSame = (one: Omit<AttachmentId, "network">) => one.containerId === containerId && one.ifName === ifName;
  return (
    attachments.some(({ entry, state }) => state !== "dead" && entry.networkName === network && isSame(entry)) ||
    damaged.some((file) => attachmentsNamedBy(file, network).some(isSame))
  );
}
