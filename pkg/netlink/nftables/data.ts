// Values and verdicts: what stands in registers, in comparisons and in the elements of maps.
import { attribute, type MessageOf, message } from "../message.ts";
import { bytes, cstring, named, nested, s32be, u32be } from "../wire.ts";

export const NFT_REG_VERDICT = 0;
export const NFT_REG_1 = 1; // 16 bytes each
export const NFT_REG_2 = 2;
export const NFT_REG_3 = 3;
export const NFT_REG_4 = 4;
export const NFT_REG32_00 = 8; // 4 bytes each, the same memory: the second field of a concatenation at NFT_REG_1 is NFT_REG32_01
export const NFT_REG32_01 = 9;
export const NFT_REG32_02 = 10;
export const NFT_REG32_03 = 11;
export const NFT_REG32_09 = 17; // behind NFT_REG_3's first 4 bytes

const registers = {
  NFT_REG_VERDICT,
  NFT_REG_1,
  NFT_REG_2,
  NFT_REG_3,
  NFT_REG_4,
  NFT_REG32_00,
  NFT_REG32_01,
  NFT_REG32_02,
  NFT_REG32_03,
  NFT_REG32_09,
};

export const register = named(u32be, registers);

export const NF_DROP = 0;
export const NF_ACCEPT = 1;
export const NFT_CONTINUE = -1;
export const NFT_BREAK = -2;
export const NFT_JUMP = -3;
export const NFT_GOTO = -4;
export const NFT_RETURN = -5;

const verdicts = { NF_DROP, NF_ACCEPT, NFT_CONTINUE, NFT_BREAK, NFT_JUMP, NFT_GOTO, NFT_RETURN };

const verdict = message({
  source: "linux/netfilter/nf_tables.h: NFTA_VERDICT_*",
  attributes: {
    code: attribute(1, "NFTA_VERDICT_CODE", named(s32be, verdicts)),
    chain: attribute(2, "NFTA_VERDICT_CHAIN", cstring), // where to, with NFT_JUMP and NFT_GOTO
    chainId: attribute(3, "NFTA_VERDICT_CHAIN_ID", u32be),
  },
});

/** One or the other. Values are bytes as they lie in the packet, or in the host's order where meta and ct give numbers. */
export const data = nested(
  message({
    source: "linux/netfilter/nf_tables.h: NFTA_DATA_*",
    attributes: {
      value: attribute(1, "NFTA_DATA_VALUE", bytes),
      verdict: attribute(2, "NFTA_DATA_VERDICT", nested(verdict)),
    },
  }),
);
export type NftData = MessageOf<typeof data>;
