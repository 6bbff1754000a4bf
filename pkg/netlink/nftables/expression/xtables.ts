// `-m …`, `-j …` of iptables-nft: extensions of xtables inside an nf_tables rule. `info` is the extension's own struct, in the host's order,
// padded to 8 bytes.
import { attribute, message } from "../../message.ts";
import { bytes, cstring, u32be } from "../../wire.ts";

/** NFTA_EXPR_DATA of "match". */
export const match = message({
  source: "linux/netfilter/nf_tables_compat.h: NFTA_MATCH_*",
  attributes: {
    name: attribute(1, "NFTA_MATCH_NAME", cstring),
    revision: attribute(2, "NFTA_MATCH_REV", u32be),
    info: attribute(3, "NFTA_MATCH_INFO", bytes),
  },
});

/** NFTA_EXPR_DATA of "target". */
export const target = message({
  source: "linux/netfilter/nf_tables_compat.h: NFTA_TARGET_*",
  attributes: {
    name: attribute(1, "NFTA_TARGET_NAME", cstring),
    revision: attribute(2, "NFTA_TARGET_REV", u32be),
    info: attribute(3, "NFTA_TARGET_INFO", bytes),
  },
});
