/**
 * Records which attachment an address belongs to, in a chain that several attachments share. The reference plugins name such a chain after
 * network and container: two attachments of one container to one network share a chain, and so do networks `a` and `ab` with containers
 * `bc` and `c`, since the two names are joined without a separator. Their rules do not name the interface. So each attachment also adds an
 * owner rule for each of its addresses, behind all other rules, that has no effect on packets:
 *
 *   -A CNI-DN-2bbe0c48b91a7d1b8a675 -s 10.22.0.5/32 -m comment --comment "name: \"podnet\" id: \"3f2a\" if: \"eth0\"" -j RETURN
 *
 * The reference plugins' CHECK ignores it, and their DEL removes it with the chain.
 *
 * Rejected: the interface in the comments of the other rules, since the reference plugins would not find them; one chain for all owners, as
 * the firewall plugin has it, since the reference plugins' DEL would leave it behind.
 */

import type { AttachmentId } from "../../cni/attachment-id.ts";
import { decodeResult } from "../../cni/decode-result.ts";
import { CniError } from "../../cni/error.ts";
import { type Address, formatAddress, formatPrefix, networkOf, type Prefix, parsePrefix } from "../../ip/address.ts";
import { attachmentsNamedBy, type CacheEntry, defaultCacheRoot, listCache } from "../../runtime/result-cache.ts";
import { lazy } from "../../sys/lazy.ts";
import { isOwnerCommentOf, ownerComment } from "../upstream-names.ts";
import { commentOf } from "./canonical.ts";
import type { Chain, Rule } from "./rule.ts";
import type { FoundRule, View } from "./ruleset.ts";

/** Returns the rule that records the owner of an address. */
export const ownerRule = (owner: AttachmentId, address: Address): Rule => ({
  source: { address, length: 8 * address.length },
  matches: [{ name: "comment", text: ownerComment(owner) }],
  target: "RETURN",
});

/** An owner rule that is in a chain. */
export interface OwnerRule {
  rule: FoundRule;
  /** The address as `sourceOf` returns it. */
  source: string;
  comment: string;
}

/** A text that every owner comment contains, in either form, and no other comment of a chain that has owner rules. */
const IN_OWNER_COMMENT = " if: ";

export function ownerRulesIn(view: View, chain: Chain): OwnerRule[] {
  return view.rules(chain, IN_OWNER_COMMENT).flatMap((rule): OwnerRule[] => {
    const comment = commentOf(rule.canonicalForm) ?? "";
    const isOwnerRule = comment.includes(IN_OWNER_COMMENT) && rule.canonicalForm?.includes("-j RETURN");
    return isOwnerRule ? [{ rule, source: sourceOf(rule), comment }] : [];
  });
}

/** Returns the source that a rule matches: "10.22.0.5", or "10.22.0.0/16" as old releases of the reference plugins write it; "" for any. */
export function sourceOf({ canonicalForm }: FoundRule): string {
  const source = canonicalForm?.find((part) => part.startsWith("-s "))?.slice("-s ".length);
  const prefix = source === undefined ? undefined : parsePrefix(source);
  return prefix === undefined ? "" : textOf(prefix);
}

const textOf = (prefix: Prefix): string =>
  prefix.length === 8 * prefix.address.length ? formatAddress(prefix.address) : formatPrefix(prefix);

/** Returns the two forms in which rules name an attachment's address as their source. */
const sourcesOf = (prefix: Prefix): string[] => [formatAddress(prefix.address), formatPrefix(networkOf(prefix))];

/** Decides which attachments are removed from a chain that several may share. */
export interface Removal {
  /** Reports whether the attachment with this owner comment is removed. */
  isGone(comment: string): boolean;
  /**
   * Reports whether an address without an owner rule is removed; the reference plugins and earlier builds of twill make no owner rules.
   *
   * @param owners All owner rules of the chain.
   * @param text The comment of the rule that names the address.
   */
  isGoneUnowned(source: string, owners: readonly OwnerRule[], text: string): boolean;
}

/**
 * Reports whether an address is removed: no remaining attachment has it.
 *
 * @param text The comment of the rule that names it, "" where it has none
 */
export function goes(source: string, owners: readonly OwnerRule[], departure: Removal, text = ""): boolean {
  const known = owners.filter((one) => one.source === source && isOfContainer(one.comment, text));
  if (known.length === 0) return departure.isGoneUnowned(source, owners, text);
  return known.every(({ comment }) => departure.isGone(comment));
}

/** Reports whether an owner comment and a rule's comment may belong to the same container and network. */
const isOfContainer = (comment: string, text: string): boolean =>
  text === "" || !comment.startsWith("name: ") || comment.startsWith(`${text}${IN_OWNER_COMMENT}`);

/**
 * Returns the removal of one attachment.
 *
 * @param addresses The addresses in the attachment's result. Where no owner rule says otherwise, these and no others of their family are
 *   the attachment's. Without any, all are that neither an owner rule nor the runtime's result cache gives to another attachment.
 */
export function departureOf(owner: AttachmentId, addresses: readonly Prefix[]): Removal {
  const comment = ownerComment(owner);
  const told = addresses.flatMap(sourcesOf);
  const others = lazy(() => sourcesOfOthers(owner));
  return {
    isGone: (one) => one === comment,
    isGoneUnowned(source, owners) {
      if (told.includes(source)) return true;
      if (source !== "" && told.some((one) => one.includes(":") === source.includes(":"))) return false;
      return (
        owners.every((one) => one.comment !== comment) &&
        !others().some((sources) => source === "" || (sources?.includes(source) ?? true))
      );
    },
  };
}

/** Returns the removal of the network's attachments that are not among the valid ones. */
export function staleOf(
  network: string,
  valid: readonly Omit<AttachmentId, "network">[],
  isGoneUnowned: Removal["isGoneUnowned"],
): Removal {
  const alive = new Set(valid.map((attachment) => ownerComment({ network, ...attachment })));
  return { isGone: (comment) => isOwnerCommentOf(comment, network) && !alive.has(comment), isGoneUnowned };
}

/**
 * Returns the sources of the container's other attachments to the network, a list for each that the runtime's result cache has; undefined
 * for one whose addresses it does not tell. A cache that cannot be read counts as one such attachment.
 */
function sourcesOfOthers({ network, containerId, ifName }: AttachmentId): (string[] | undefined)[] {
  try {
    const { entries, damaged } = listCache(defaultCacheRoot, containerId);
    const named = damaged.flatMap((file) => attachmentsNamedBy(file, network));
    return [
      ...entries.filter((entry) => entry.networkName === network && entry.ifName !== ifName).map(addressesIn),
      ...named.filter((one) => one.containerId === containerId && one.ifName !== ifName).map(() => undefined),
    ];
  } catch (error) {
    if (error instanceof CniError) return [undefined];
    throw error;
  }
}

/** Returns the addresses of a cached result as rules name them; undefined when the entry does not tell them. */
function addressesIn({ result }: CacheEntry): string[] | undefined {
  if (Object.keys(result).length === 0) return undefined;
  try {
    const { ips } = decodeResult(result, "", {
      what: "cached result",
      remedy: "delete the attachment and add it again",
    });
    return ips.flatMap(({ address }) => sourcesOf(parsePrefix(address) as Prefix)); // a result has no others
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}
