// The ways of a multipath route. In front of each stands its own length, as in no other part of rtnetlink, so it is a wire type with code.
// Source: linux/rtnetlink.h: struct rtnexthop (rtnh_len, rtnh_flags, rtnh_hops, rtnh_ifindex), RTNH_F_*.
import { attribute, type MessageOf, message, type RequestOf } from "../message.ts";
import { bytes, hostIsLittle, ip, u8, u16, u32, type Wire, WireError } from "../wire.ts";

export const RTNH_F_DEAD = 1;
export const RTNH_F_PERVASIVE = 2;
export const RTNH_F_ONLINK = 4; // the gateway is on the link, whatever its address says
export const RTNH_F_LINKDOWN = 16;

const nexthop = message({
  source: "linux/rtnetlink.h: struct rtnexthop, RTA_*",
  header: { length: u16, flags: u8, weight: u8, index: u32 }, // weight: 0 for 1
  attributes: {
    gateway: attribute(5, "RTA_GATEWAY", ip),
    via: attribute(18, "RTA_VIA", bytes),
    flow: attribute(11, "RTA_FLOW", u32),
    encapsulationType: attribute(21, "RTA_ENCAP_TYPE", u16),
    encapsulation: attribute(22, "RTA_ENCAP", bytes),
  },
});

/** `length` is for the wire: it is set when encoding, and left out of what is decoded. */
export type Nexthop = Omit<MessageOf<typeof nexthop>, "length">;
type NexthopRequest = Omit<RequestOf<typeof nexthop>, "length">;

export const nexthops: Wire<Nexthop[], readonly NexthopRequest[]> = {
  write(out, value) {
    for (const item of value) {
      out.room(nexthop.header.size);
      const start = out.at;
      nexthop.write(out, item, {});
      out.view.setUint16(start, out.at - start, hostIsLittle);
    }
  },
  read(input, from, to) {
    const found: Nexthop[] = [];
    for (let at = from; to - at >= nexthop.header.size; ) {
      const end = nexthopEnd(input.view, at, to);
      const { length: _, ...item } = nexthop.read(input, at, end, {});
      found.push(item);
      at = (end + 3) & ~3;
    }
    return found;
  },
  text: (value) => `[${value.map((item) => nexthop.text({ length: 0, ...item }, {})).join(", ")}]`,
  locate(input, from, to, offset) {
    for (let at = from; to - at >= nexthop.header.size; ) {
      const end = nexthopEnd(input.view, at, to);
      if (offset >= at && offset < end) return nexthop.locate?.(input, at, end, offset, {}) ?? [];
      at = (end + 3) & ~3;
    }
    return [];
  },
};

function nexthopEnd(view: DataView, at: number, to: number): number {
  const length = view.getUint16(at, hostIsLittle);
  if (length < nexthop.header.size || at + length > to) {
    throw new WireError(`a nexthop of ${length} bytes where ${to - at} are left`);
  }
  return at + length;
}
