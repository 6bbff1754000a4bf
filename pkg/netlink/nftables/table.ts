// `nft add table …`.
import { attribute, type MessageOf, message } from "../message.ts";
import { cstring, u32be, u64be } from "../wire.ts";
import { nfgenmsg } from "./header.ts";
import { tableUserdata } from "./userdata.ts";

export const NFT_MSG_NEWTABLE = 0x0a00;
export const NFT_MSG_GETTABLE = 0x0a01;
export const NFT_MSG_DELTABLE = 0x0a02;
export const NFT_MSG_DESTROYTABLE = 0x0a1a; // Linux 6.3: content when it is gone

export const NFT_TABLE_F_DORMANT = 1;
export const NFT_TABLE_F_OWNER = 2;

/** NFT_MSG_NEWTABLE, NFT_MSG_GETTABLE, NFT_MSG_DELTABLE. */
export const tableMessage = message({
  source: "linux/netfilter/nf_tables.h: NFTA_TABLE_*",
  header: nfgenmsg,
  attributes: {
    name: attribute(1, "NFTA_TABLE_NAME", cstring),
    flags: attribute(2, "NFTA_TABLE_FLAGS", u32be),
    uses: attribute(3, "NFTA_TABLE_USE", u32be), // chains, sets and the like in it
    handle: attribute(4, "NFTA_TABLE_HANDLE", u64be),
    userdata: attribute(6, "NFTA_TABLE_USERDATA", tableUserdata),
    owner: attribute(7, "NFTA_TABLE_OWNER", u32be),
  },
});
export type TableMessage = MessageOf<typeof tableMessage>;
