// `ip saddr`, `tcp dport`, …: bytes of the packet, loaded into a register or written from one.
import { attribute, message } from "../../message.ts";
import { named, u32be } from "../../wire.ts";
import { register } from "../data.ts";

export const NFT_PAYLOAD_LL_HEADER = 0;
export const NFT_PAYLOAD_NETWORK_HEADER = 1;
export const NFT_PAYLOAD_TRANSPORT_HEADER = 2;
export const NFT_PAYLOAD_INNER_HEADER = 3;

const bases = {
  NFT_PAYLOAD_LL_HEADER,
  NFT_PAYLOAD_NETWORK_HEADER,
  NFT_PAYLOAD_TRANSPORT_HEADER,
  NFT_PAYLOAD_INNER_HEADER,
};

/** NFTA_EXPR_DATA of "payload". */
export const payload = message({
  source: "linux/netfilter/nf_tables.h: NFTA_PAYLOAD_*, enum nft_payload_bases",
  attributes: {
    destination: attribute(1, "NFTA_PAYLOAD_DREG", register),
    base: attribute(2, "NFTA_PAYLOAD_BASE", named(u32be, bases)),
    offset: attribute(3, "NFTA_PAYLOAD_OFFSET", u32be),
    length: attribute(4, "NFTA_PAYLOAD_LEN", u32be),
    source: attribute(5, "NFTA_PAYLOAD_SREG", register),
    checksumType: attribute(6, "NFTA_PAYLOAD_CSUM_TYPE", u32be),
    checksumOffset: attribute(7, "NFTA_PAYLOAD_CSUM_OFFSET", u32be),
    checksumFlags: attribute(8, "NFTA_PAYLOAD_CSUM_FLAGS", u32be),
  },
});
