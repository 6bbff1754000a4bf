// `nft add set …`, `nft add map …`.
import { attribute, type MessageOf, message } from "../message.ts";
import { cstring, list, nested, u32be, u64be } from "../wire.ts";
import { expression, expressions } from "./expression.ts";
import { nfgenmsg } from "./header.ts";
import { setUserdata } from "./userdata.ts";

export const NFT_MSG_NEWSET = 0x0a09;
export const NFT_MSG_GETSET = 0x0a0a;
export const NFT_MSG_DELSET = 0x0a0b;
export const NFT_MSG_DESTROYSET = 0x0a1d; // Linux 6.3: content when it is gone

export const NFT_SET_ANONYMOUS = 0x1;
export const NFT_SET_CONSTANT = 0x2;
export const NFT_SET_INTERVAL = 0x4;
export const NFT_SET_MAP = 0x8;
export const NFT_SET_TIMEOUT = 0x10;
export const NFT_SET_EVAL = 0x20; // filled by rules
export const NFT_SET_OBJECT = 0x40;
export const NFT_SET_CONCAT = 0x80; // with NFT_SET_INTERVAL: ranges in the fields of a concatenation
export const NFT_SET_EXPR = 0x100;

/** Types of keys and data as nft numbers them, for its own printing; to the kernel only NFT_DATA_VERDICT means something. nftables, datatype.h. */
export const TYPE_IPADDR = 7;
export const TYPE_IP6ADDR = 8;
export const TYPE_ETHERADDR = 9;
export const TYPE_INET_PROTOCOL = 12;
export const TYPE_INET_SERVICE = 13;
export const TYPE_MARK = 19;
export const TYPE_IFNAME = 41;
export const NFT_DATA_VERDICT = 0xffffff00;

/** The type of a concatenation: 6 bits for each field, the first one highest. */
export function concatenationType(types: readonly number[]): number {
  return types.reduce((all, type) => (all << 6) | type, 0);
}

/** Each field fills whole registers of 4 bytes: `length` is its own, the key's the sum of the rounded ones. */
const field = message({
  source: "linux/netfilter/nf_tables.h: NFTA_SET_FIELD_*",
  attributes: { length: attribute(1, "NFTA_SET_FIELD_LEN", u32be) },
});

const description = message({
  source: "linux/netfilter/nf_tables.h: NFTA_SET_DESC_*",
  attributes: {
    size: attribute(1, "NFTA_SET_DESC_SIZE", u32be), // how many elements it can have
    fields: attribute(2, "NFTA_SET_DESC_CONCAT", nested(list(1, "NFTA_LIST_ELEM", nested(field)))),
  },
});

/** NFT_MSG_NEWSET, NFT_MSG_GETSET, NFT_MSG_DELSET. */
export const setMessage = message({
  source: "linux/netfilter/nf_tables.h: NFTA_SET_*",
  header: nfgenmsg,
  attributes: {
    table: attribute(1, "NFTA_SET_TABLE", cstring),
    name: attribute(2, "NFTA_SET_NAME", cstring),
    flags: attribute(3, "NFTA_SET_FLAGS", u32be),
    keyType: attribute(4, "NFTA_SET_KEY_TYPE", u32be),
    keyLength: attribute(5, "NFTA_SET_KEY_LEN", u32be),
    dataType: attribute(6, "NFTA_SET_DATA_TYPE", u32be),
    dataLength: attribute(7, "NFTA_SET_DATA_LEN", u32be),
    policy: attribute(8, "NFTA_SET_POLICY", u32be),
    description: attribute(9, "NFTA_SET_DESC", nested(description)),
    id: attribute(10, "NFTA_SET_ID", u32be), // by which messages of the same batch refer to it
    timeoutMs: attribute(11, "NFTA_SET_TIMEOUT", u64be),
    gcIntervalMs: attribute(12, "NFTA_SET_GC_INTERVAL", u32be),
    userdata: attribute(13, "NFTA_SET_USERDATA", setUserdata),
    objectType: attribute(15, "NFTA_SET_OBJ_TYPE", u32be),
    handle: attribute(16, "NFTA_SET_HANDLE", u64be),
    expression: attribute(17, "NFTA_SET_EXPR", expression),
    expressions: attribute(18, "NFTA_SET_EXPRESSIONS", expressions),
    implementation: attribute(19, "NFTA_SET_TYPE", cstring),
    count: attribute(20, "NFTA_SET_COUNT", u32be), // of the elements in it
  },
});
export type SetMessage = MessageOf<typeof setMessage>;
