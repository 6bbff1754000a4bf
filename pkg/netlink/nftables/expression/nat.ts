// `snat to …`, `dnat to …`, `addMasquerade`, `redirect to …`: new addresses and ports, from registers.
import { attribute, message } from "../../message.ts";
import { named, u32be } from "../../wire.ts";
import { register } from "../data.ts";
import { protocolFamilies } from "../header.ts";

export const NFT_NAT_SNAT = 0;
export const NFT_NAT_DNAT = 1;

export const NF_NAT_RANGE_MAP_IPS = 0x01;
export const NF_NAT_RANGE_PROTO_SPECIFIED = 0x02;
export const NF_NAT_RANGE_PROTO_RANDOM = 0x04;
export const NF_NAT_RANGE_PERSISTENT = 0x08;
export const NF_NAT_RANGE_PROTO_RANDOM_FULLY = 0x10;

/** NFTA_EXPR_DATA of "nat". Without the maximal registers the range is one address, one port. */
export const nat = message({
  source: "linux/netfilter/nf_tables.h: NFTA_NAT_*; linux/netfilter/nf_nat.h: NF_NAT_RANGE_*",
  attributes: {
    type: attribute(1, "NFTA_NAT_TYPE", named(u32be, { NFT_NAT_SNAT, NFT_NAT_DNAT })),
    family: attribute(2, "NFTA_NAT_FAMILY", named(u32be, protocolFamilies)),
    addressMin: attribute(3, "NFTA_NAT_REG_ADDR_MIN", register),
    addressMax: attribute(4, "NFTA_NAT_REG_ADDR_MAX", register),
    portMin: attribute(5, "NFTA_NAT_REG_PROTO_MIN", register),
    portMax: attribute(6, "NFTA_NAT_REG_PROTO_MAX", register),
    flags: attribute(7, "NFTA_NAT_FLAGS", u32be),
  },
});

/** NFTA_EXPR_DATA of "masq". */
export const masq = message({
  source: "linux/netfilter/nf_tables.h: NFTA_MASQ_*; linux/netfilter/nf_nat.h: NF_NAT_RANGE_*",
  attributes: {
    flags: attribute(1, "NFTA_MASQ_FLAGS", u32be),
    portMin: attribute(2, "NFTA_MASQ_REG_PROTO_MIN", register),
    portMax: attribute(3, "NFTA_MASQ_REG_PROTO_MAX", register),
  },
});

/** NFTA_EXPR_DATA of "redir". */
export const redir = message({
  source: "linux/netfilter/nf_tables.h: NFTA_REDIR_*; linux/netfilter/nf_nat.h: NF_NAT_RANGE_*",
  attributes: {
    portMin: attribute(1, "NFTA_REDIR_REG_PROTO_MIN", register),
    portMax: attribute(2, "NFTA_REDIR_REG_PROTO_MAX", register),
    flags: attribute(3, "NFTA_REDIR_FLAGS", u32be),
  },
});
