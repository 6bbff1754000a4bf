// The number of the ruleset, which every change in the namespace increases.
import { attribute, message } from "../message.ts";
import { cstring, u32be } from "../wire.ts";
import { nfgenmsg } from "./header.ts";

export const NFT_MSG_NEWGEN = 0x0a0f;
export const NFT_MSG_GETGEN = 0x0a10;

/** NFT_MSG_GETGEN and its answer NFT_MSG_NEWGEN. */
export const generationMessage = message({
  source: "linux/netfilter/nf_tables.h: NFTA_GEN_*",
  header: nfgenmsg,
  attributes: {
    id: attribute(1, "NFTA_GEN_ID", u32be),
    processId: attribute(2, "NFTA_GEN_PROC_PID", u32be), // of whom made the change that one is told of
    processName: attribute(3, "NFTA_GEN_PROC_NAME", cstring),
  },
});
