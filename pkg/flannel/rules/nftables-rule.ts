// Encodes rules as nft does, so that `nft list table` prints `ip saddr 10.5.1.0/24 ip daddr 10.5.0.0/16 return`.

import { concat } from "../../bytes/concat.ts";
import type { Rule, Target } from "../../firewall/iptables/rule.ts";
import type { Match } from "../../firewall/iptables/xtables.ts";
import { compare, encodeAddress } from "../../firewall/nftables/match.ts";
import { ACCEPT, RETURN } from "../../firewall/nftables/verdict.ts";
import { encode } from "../../netlink/message.ts";
import { NFT_REG_1 } from "../../netlink/nftables/data.ts";
import { NFT_CMP_EQ } from "../../netlink/nftables/expression/cmp.ts";
import { NFT_META_MARK } from "../../netlink/nftables/expression/meta.ts";
import { expressions } from "../../netlink/nftables/expression.ts";
import { u32 } from "../../netlink/wire.ts";

/** Encodes a rule for NFTA_RULE_EXPRESSIONS. @throws RangeError for a match or target that flannel's rules do not use */
export function encodeRule({ source, destination, matches = [], target }: Rule): Uint8Array {
  return concat([
    ...matches.map(encodeMatch),
    ...(source === undefined ? [] : [encodeAddress("source", source)]),
    ...(destination === undefined ? [] : [encodeAddress("destination", destination)]),
    encodeTarget(target),
  ]);
}

/** Encodes `meta mark 0x4000`. */
function encodeMatch(match: Match): Uint8Array {
  if (match.name !== "mark" || match.mask !== 0xffffffff) throw new RangeError(`no rule of ours says -m ${match.name}`);
  return encode(expressions, [
    { name: "meta", data: { key: NFT_META_MARK, destination: NFT_REG_1 } },
    compare(NFT_CMP_EQ, encode(u32, match.value ?? 0)),
  ]);
}

function encodeTarget(target: Target): Uint8Array {
  if (target === "ACCEPT") return ACCEPT;
  if (target === "RETURN") return RETURN;
  if (typeof target === "object" && "name" in target && target.name === "MASQUERADE")
    return encode(expressions, [{ name: "masq", data: { flags: target.flags } }]);
  throw new RangeError(`no rule of ours ends with ${JSON.stringify(target)}`);
}
