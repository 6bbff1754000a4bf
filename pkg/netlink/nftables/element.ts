// `nft add element …`: what is in sets and maps.
import { attribute, type MessageOf, message } from "../message.ts";
import { cstring, nested, numbered, u32be, u64be } from "../wire.ts";
import { data } from "./data.ts";
import { expression, expressions } from "./expression.ts";
import { nfgenmsg } from "./header.ts";
import { elementUserdata } from "./userdata.ts";

export const NFT_MSG_NEWSETELEM = 0x0a0c;
export const NFT_MSG_GETSETELEM = 0x0a0d;
export const NFT_MSG_DELSETELEM = 0x0a0e;
export const NFT_MSG_DESTROYSETELEM = 0x0a1e; // Linux 6.3: content when it is gone

export const NFT_SET_ELEM_INTERVAL_END = 1; // the first value behind an interval
export const NFT_SET_ELEM_CATCHALL = 2;

/** An element of the list. */
export const setElement = message({
  source: "linux/netfilter/nf_tables.h: NFTA_SET_ELEM_*",
  attributes: {
    flags: attribute(3, "NFTA_SET_ELEM_FLAGS", u32be),
    timeoutMs: attribute(4, "NFTA_SET_ELEM_TIMEOUT", u64be),
    expirationMs: attribute(5, "NFTA_SET_ELEM_EXPIRATION", u64be), // what is left of it
    key: attribute(1, "NFTA_SET_ELEM_KEY", data),
    keyEnd: attribute(10, "NFTA_SET_ELEM_KEY_END", data), // of a concatenation with ranges
    data: attribute(2, "NFTA_SET_ELEM_DATA", data), // what a map has for the key
    userdata: attribute(6, "NFTA_SET_ELEM_USERDATA", elementUserdata),
    expression: attribute(7, "NFTA_SET_ELEM_EXPR", expression),
    object: attribute(9, "NFTA_SET_ELEM_OBJREF", cstring),
    expressions: attribute(11, "NFTA_SET_ELEM_EXPRESSIONS", expressions),
  },
});
export type SetElement = MessageOf<typeof setElement>;

/** NFT_MSG_NEWSETELEM, NFT_MSG_GETSETELEM, NFT_MSG_DELSETELEM. The list holds at most 65,535 bytes: more elements are more messages. */
export const elementMessage = message({
  source: "linux/netfilter/nf_tables.h: NFTA_SET_ELEM_LIST_*",
  header: nfgenmsg,
  attributes: {
    table: attribute(1, "NFTA_SET_ELEM_LIST_TABLE", cstring),
    set: attribute(2, "NFTA_SET_ELEM_LIST_SET", cstring),
    setId: attribute(4, "NFTA_SET_ELEM_LIST_SET_ID", u32be),
    // the members are numbered as nft does it; the kernel does not look
    elements: attribute(3, "NFTA_SET_ELEM_LIST_ELEMENTS", nested(numbered("NFTA_LIST_ELEM", nested(setElement)))),
  },
});
export type ElementMessage = MessageOf<typeof elementMessage>;
