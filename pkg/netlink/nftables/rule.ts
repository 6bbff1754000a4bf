// `nft add rule …`, and every rule of iptables-nft.
import { attribute, type MessageOf, message } from "../message.ts";
import { cstring, nested, u32be, u64be } from "../wire.ts";
import { expressions } from "./expression.ts";
import { nfgenmsg } from "./header.ts";
import { ruleUserdata } from "./userdata.ts";

export const NFT_MSG_NEWRULE = 0x0a06;
export const NFT_MSG_GETRULE = 0x0a07;
export const NFT_MSG_DELRULE = 0x0a08;
export const NFT_MSG_DESTROYRULE = 0x0a1c; // Linux 6.3: content when it is gone

export const NFT_RULE_COMPAT_F_INV = 2;

/** What extensions of xtables check the rule's protocol with. Never dumped. */
const compat = message({
  source: "linux/netfilter/nf_tables.h: NFTA_RULE_COMPAT_*",
  attributes: {
    protocol: attribute(1, "NFTA_RULE_COMPAT_PROTO", u32be),
    flags: attribute(2, "NFTA_RULE_COMPAT_FLAGS", u32be),
  },
});

/** NFT_MSG_NEWRULE, NFT_MSG_GETRULE, NFT_MSG_DELRULE. */
export const ruleMessage = message({
  source: "linux/netfilter/nf_tables.h: NFTA_RULE_*",
  header: nfgenmsg,
  attributes: {
    table: attribute(1, "NFTA_RULE_TABLE", cstring),
    chain: attribute(2, "NFTA_RULE_CHAIN", cstring),
    handle: attribute(3, "NFTA_RULE_HANDLE", u64be),
    position: attribute(6, "NFTA_RULE_POSITION", u64be), // handle of the rule to stand before, or with NLM_F_APPEND behind
    expressions: attribute(4, "NFTA_RULE_EXPRESSIONS", expressions),
    compat: attribute(5, "NFTA_RULE_COMPAT", nested(compat)),
    userdata: attribute(7, "NFTA_RULE_USERDATA", ruleUserdata),
    id: attribute(9, "NFTA_RULE_ID", u32be),
    positionId: attribute(10, "NFTA_RULE_POSITION_ID", u32be),
    chainId: attribute(11, "NFTA_RULE_CHAIN_ID", u32be),
  },
});
export type RuleMessage = MessageOf<typeof ruleMessage>;
