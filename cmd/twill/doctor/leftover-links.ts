/**
 * leftover-links: a link on the host is marked for an attachment that no runtime remembers, or that is dead. A runtime may keep its cache elsewhere, so
 * nobody but its owner can say that such a link is dead: there is no fix.
 */
import type { AttachmentId } from "../../../pkg/cni/attachment-id.ts";
import { ownerOf } from "../../../pkg/link/owner.ts";
import { attachmentsNamedBy } from "../../../pkg/runtime/result-cache.ts";
import type { Check, Node } from "./finding.ts";

export const leftoverLinks: Check = {
  id: "leftover-links",
  find(node) {
    const remembered = new Set(
      node.attachments.filter(({ state }) => state !== "dead").map(({ entry }) => keyOf(entry.networkName, entry)),
    );
    const left = node.links.flatMap((link) => {
      const owner = ownerOf(link);
      if (owner === undefined || remembered.has(keyOf(owner.network, owner))) return [];
      return isInDamagedFile(owner, node) ? [] : [{ link, owner }];
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

const keyOf = (network: string, { containerId, ifName }: Omit<AttachmentId, "network">): string =>
  JSON.stringify([network, containerId, ifName]);

/** Reports whether a file of the cache that cannot be read may be the owner's: then its container may be alive. */
const isInDamagedFile = ({ network, containerId, ifName }: AttachmentId, { damaged }: Node): boolean =>
  damaged.some((file) =>
    attachmentsNamedBy(file, network).some((one) => one.containerId === containerId && one.ifName === ifName),
  );
