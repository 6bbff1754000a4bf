import { leftoverLinks as linksOfNobody } from "../node/leftovers.ts";
import type { Check } from "./finding.ts";

/** A runtime may keep its cache elsewhere, so nobody but its owner can say that such a link is dead: there is no fix. */
export const leftoverLinks: Check = {
  id: "leftover-links",
  about: "links on the host, ifb devices among them, that are marked for attachments that no runtime remembers",
  severity: "warning",
  find({ links, remembered }) {
    const left = linksOfNobody(links, remembered);
    if (left.length === 0) return [];
    return [
      {
        text: `${left.length} links belong to containers that no runtime of this node remembers`,
        evidence: left.map(
          ({ link, owner }) =>
            `${link.name}${link.kind === "ifb" ? " (ifb)" : ""}: ${owner.network} ${owner.containerId} ${owner.ifName}`,
        ),
        remedy:
          "whether they run is known to who started them: if they are gone, ip link delete NAME, then twill gc, which takes a container that has a link for alive",
      },
    ];
  },
};
