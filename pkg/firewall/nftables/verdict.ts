/** The verdicts that end rules. */

import { encode as encodeParts } from "../../netlink/message.ts";
import { NF_ACCEPT, NF_DROP, NFT_GOTO, NFT_JUMP, NFT_REG_VERDICT, NFT_RETURN } from "../../netlink/nftables/data.ts";
import { type ExpressionRequest, expressions } from "../../netlink/nftables/expression.ts";
import { encode } from "../../sys/text.ts";
import { fill, type Template, template, textHole } from "./template.ts";

const immediate = (code: number, chain?: string): ExpressionRequest => ({
  name: "immediate",
  data: { destination: NFT_REG_VERDICT, data: { verdict: { code, chain } } },
});

export const ACCEPT = template([immediate(NF_ACCEPT)]).bytes;
export const DROP = template([immediate(NF_DROP)]).bytes;
export const RETURN = template([immediate(NFT_RETURN)]).bytes;

/** The longest chain name with a template: iptables' limit (28), which most names keep to. Jumps to longer ones are encoded at run time. */
const TEMPLATE_MAX = 28;

/** The templates by the length of the chain's name. */
const JUMPS: readonly Template[] = Array.from({ length: TEMPLATE_MAX + 1 }, (_, length) => {
  const name = textHole(length);
  return length === 0 ? template([]) : template([immediate(NFT_JUMP, name)], name);
});

export function jumpTo(chain: string): Uint8Array {
  const form = JUMPS[chain.length];
  return form === undefined ? encodeParts(expressions, [immediate(NFT_JUMP, chain)]) : fill(form, encode(chain));
}

export const goTo = (chain: string): Uint8Array => encodeParts(expressions, [immediate(NFT_GOTO, chain)]);
