// `conntrack -L`, `conntrack -D`: connections that the kernel keeps in mind, with their addresses before and after translation.
import { attribute, type MessageOf, message } from "../message.ts";
import { nfgenmsg } from "../nftables/header.ts";
import { bytes, named, nested, u8, u16be, u32, u32be } from "../wire.ts";

export const NFNL_SUBSYS_CTNETLINK = 1;

export const IPCTNL_MSG_CT_NEW = 0x0100;
export const IPCTNL_MSG_CT_GET = 0x0101;
export const IPCTNL_MSG_CT_DELETE = 0x0102;

/** Bits of `originalFlags`, which fields of `original` a dump is to be of: net/netfilter/nf_internals.h, CTA_FILTER_FLAG. */
export const FILTER_IP_DST = 1 << 1;
export const FILTER_PROTO_NUM = 1 << 3;
export const FILTER_PROTO_DST_PORT = 1 << 5;

const IPPROTO = { IPPROTO_TCP: 6, IPPROTO_UDP: 17, IPPROTO_SCTP: 132 };

const addresses = message({
  source: "linux/netfilter/nfnetlink_conntrack.h: CTA_IP_*",
  attributes: {
    source4: attribute(1, "CTA_IP_V4_SRC", bytes),
    destination4: attribute(2, "CTA_IP_V4_DST", bytes),
    source6: attribute(3, "CTA_IP_V6_SRC", bytes),
    destination6: attribute(4, "CTA_IP_V6_DST", bytes),
  },
});

const ports = message({
  source: "linux/netfilter/nfnetlink_conntrack.h: CTA_PROTO_*",
  attributes: {
    number: attribute(1, "CTA_PROTO_NUM", named(u8, IPPROTO)),
    sourcePort: attribute(2, "CTA_PROTO_SRC_PORT", u16be),
    destinationPort: attribute(3, "CTA_PROTO_DST_PORT", u16be),
  },
});

/** One direction. */
const tuple = nested(
  message({
    source: "linux/netfilter/nfnetlink_conntrack.h: CTA_TUPLE_*",
    attributes: {
      ip: attribute(1, "CTA_TUPLE_IP", nested(addresses)),
      protocol: attribute(2, "CTA_TUPLE_PROTO", nested(ports)),
      zone: attribute(3, "CTA_TUPLE_ZONE", u16be),
    },
  }),
);

const filter = message({
  source: "linux/netfilter/nfnetlink_conntrack.h: CTA_FILTER_*",
  attributes: {
    originalFlags: attribute(1, "CTA_FILTER_ORIG_FLAGS", u32), // FILTER_*
    replyFlags: attribute(2, "CTA_FILTER_REPLY_FLAGS", u32),
  },
});

/** IPCTNL_MSG_CT_NEW, IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE. */
export const flowMessage = message({
  source: "linux/netfilter/nfnetlink_conntrack.h: CTA_*",
  header: nfgenmsg,
  attributes: {
    original: attribute(1, "CTA_TUPLE_ORIG", tuple), // as the first packet had it
    reply: attribute(2, "CTA_TUPLE_REPLY", tuple), // as answers come: its source is where the first packet really went
    status: attribute(3, "CTA_STATUS", u32be), // IPS_*
    timeoutS: attribute(7, "CTA_TIMEOUT", u32be),
    mark: attribute(8, "CTA_MARK", u32be),
    uses: attribute(11, "CTA_USE", u32be),
    id: attribute(12, "CTA_ID", u32be),
    zone: attribute(18, "CTA_ZONE", u16be),
    filter: attribute(25, "CTA_FILTER", nested(filter)), // Linux 5.8; before, a dump is of all
  },
});
export type FlowMessage = MessageOf<typeof flowMessage>;
