/**
 * Whose address it is, in a chain that several attachments share. The reference plugins name such chains after network and container, so that a network
 * attached twice to one container has one chain; and so have networks `a` and `ab` with containers `bc` and `c`, since the two names are joined. Their rules do
 * not name the interface. So each attachment also leaves an owner rule for each of its addresses, behind all others, which no packet is changed by:
 *
 *   -A CNI-DN-2bbe0c48b91a7d1b8a675 -s 10.22.0.5/32 -m comment --comment "name: \"podnet\" id: \"3f2a\" if: \"eth0\"" -j RETURN
 *
 * The reference plugins' CHECK does not mind it, and their DEL removes it with the chain.
 *
 * Rejected: the interface in the rules' own comments, without which the reference plugins do not find them; a chain for all owners, as the firewall
 * plugin has it, which the reference plugins' DEL would leave behind.
 */

import { CniError } from "../../cni/error.ts";
import { parseResult } from "../../cni/result.ts";
import { type Address, formatAddress, formatPrefix, networkOf, type Prefix, parsePrefix } from "../../ip/address.ts";
import { attachmentsNamedBy, type CacheEntry, defaultCacheRoot, listCache } from "../../runtime/result-cache.ts";
import { lazy } from "../../sys/lazy.ts";
import { isOwnerCommentOf, type Owner, ownerComment } from "../upstream-names.ts";
import { commentOf } from "./canonical.ts";
import type { Chain, Rule } from "./rule.ts";
import type { FoundRule, View } from "./ruleset.ts";

/** Says that the address is the owner's. */
export const ownerRule = (owner: Owner, address: Address): Rule => ({
  source: { address, length: 8 * address.length },
  matches: [{ name: "comment", text: ownerComment(owner) }],
  target: "RETURN",
});

/** An owner rule as it was found. */
export interface OwnerRule {
  rule: FoundRule;
  /** As `sourceOf` has it. */
  source: string;
  comment: string;
}

/** Stands in every owner comment, of either form, and in no other comment of a chain that has some. */
const IN_OWNER_COMMENT = " if: ";

export function ownerRulesIn(view: View, chain: Chain): OwnerRule[] {
  return view.rules(chain, IN_OWNER_COMMENT).flatMap((rule): OwnerRule[] => {
    const comment = commentOf(rule.canonicalForm) ?? "";
    const isOwnerRule = comment.includes(IN_OWNER_COMMENT) && rule.canonicalForm?.includes("-j RETURN");
    return isOwnerRule ? [{ rule, source: sourceOf(rule), comment }] : [];
  });
}

/** What a rule is about: "10.22.0.5", or "10.22.0.0/16" in the form of old releases of the reference plugins; "" for everything. */
export function sourceOf({ canonicalForm }: FoundRule): string {
  const source = canonicalForm?.find((part) => part.startsWith("-s "))?.slice("-s ".length);
  const prefix = source === undefined ? undefined : parsePrefix(source);
  return prefix === undefined ? "" : textOf(prefix);
}

const textOf = (prefix: Prefix): string =>
  prefix.length === 8 * prefix.address.length ? formatAddress(prefix.address) : formatPrefix(prefix);

/** An attachment's address as rules name it as their source. */
const sourcesOf = (prefix: Prefix): string[] => [formatAddress(prefix.address), formatPrefix(networkOf(prefix))];

/** Who is to go from a chain that several attachments may share. */
export interface Removal {
  /** By owner comment. */
  isGone(comment: string): boolean;
  /**
   * Of an address without an owner rule, as the reference plugins and earlier builds of twill leave them.
   *
   * @param owners All owner rules of the chain.
   * @param text The comment of the rule about it.
   */
  isGoneUnowned(source: string, owners: readonly OwnerRule[], text: string): boolean;
}

/** Whether an address goes: nobody who stays has it. @param text The comment of the rule about it, "" where it has none */
export function goes(source: string, owners: readonly OwnerRule[], departure: Removal, text = ""): boolean {
  const known = owners.filter((one) => one.source === source && isOfContainer(one.comment, text));
  if (known.length === 0) return departure.isGoneUnowned(source, owners, text);
  return known.every(({ comment }) => departure.isGone(comment));
}

/** Whether an owner comment and a rule's comment may be of one container and network. */
const isOfContainer = (comment: string, text: string): boolean =>
  text === "" || !comment.startsWith("name: ") || comment.startsWith(`${text}${IN_OWNER_COMMENT}`);

/**
 * The departure of one attachment.
 *
 * @param addresses Of the attachment, as its result tells them: they are its own where no owner rule says otherwise, and no others of their family
 *   are. Without any, all are that are not another's by owner rules or by the runtime's cache of results.
 */
export function departureOf(owner: Owner, addresses: readonly Prefix[]): Removal {
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

/** The departure of the network's attachments that are not among the valid ones. */
export function staleOf(
  network: string,
  valid: readonly Omit<Owner, "network">[],
  isGoneUnowned: Removal["isGoneUnowned"],
): Removal {
  const alive = new Set(valid.map((attachment) => ownerComment({ network, ...attachment })));
  return { isGone: (comment) => isOwnerCommentOf(comment, network) && !alive.has(comment), isGoneUnowned };
}

/**
 * The sources of the container's other attachments to the network, for each that the runtime's cache knows; undefined where it does not tell them. A
 * cache that cannot be read may hold one.
 */
function sourcesOfOthers({ network, containerId, ifName }: Owner): (string[] | undefined)[] {
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

/** As rules name them. undefined when they cannot be told. */
function addressesIn({ result }: CacheEntry): string[] | undefined {
  if (Object.keys(result).length === 0) return undefined;
  try {
    const { ips } = parseResult(result, "", {
      what: "cached result",
      remedy: "delete the attachment and add it again",
    });
    return ips.flatMap(({ address }) => sourcesOf(parsePrefix(address) as Prefix)); // a result has no others
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}
