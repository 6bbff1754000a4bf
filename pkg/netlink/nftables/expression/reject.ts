// `reject`.
import { attribute, message } from "../../message.ts";
import { named, u8, u32be } from "../../wire.ts";

export const NFT_REJECT_ICMP_UNREACH = 0;
export const NFT_REJECT_TCP_RST = 1;
export const NFT_REJECT_ICMPX_UNREACH = 2;

const types = { NFT_REJECT_ICMP_UNREACH, NFT_REJECT_TCP_RST, NFT_REJECT_ICMPX_UNREACH };

/** NFTA_EXPR_DATA of "reject". */
export const reject = message({
  source: "linux/netfilter/nf_tables.h: NFTA_REJECT_*",
  attributes: {
    type: attribute(1, "NFTA_REJECT_TYPE", named(u32be, types)),
    icmpCode: attribute(2, "NFTA_REJECT_ICMP_CODE", u8),
  },
});
