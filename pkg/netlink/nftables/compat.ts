// Whether the kernel has an xtables extension; asking loads its module, outside of any batch.
import { attribute, message } from "../message.ts";
import { cstring, u32be } from "../wire.ts";
import { nfgenmsg } from "./header.ts";

export const NFNL_MSG_COMPAT_GET = 0x0b00;

export const COMPAT_MATCH = 0;
export const COMPAT_TARGET = 1;

/** NFNL_MSG_COMPAT_GET. Answered with ENOENT when there is no such extension, EPROTONOSUPPORT when there is another revision. */
export const compatMessage = message({
  source: "linux/netfilter/nf_tables_compat.h: NFTA_COMPAT_*",
  header: nfgenmsg,
  attributes: {
    name: attribute(1, "NFTA_COMPAT_NAME", cstring),
    revision: attribute(2, "NFTA_COMPAT_REV", u32be),
    type: attribute(3, "NFTA_COMPAT_TYPE", u32be),
  },
});
