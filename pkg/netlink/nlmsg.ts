// The framing of netlink messages: nlmsghdr, and the kernel's control messages NLMSG_ERROR and NLMSG_DONE with their extended ack.
// Source: linux/netlink.h (struct nlmsghdr, nlmsgerr, NLM_F_*, NLMSGERR_ATTR_*).
import { attribute, decode, message } from "./message.ts";
import { bytes, cstring, hostIsLittle, Input, s32, struct, u16, u32, WireError, type Writer } from "./wire.ts";

export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_ACK = 0x4;
export const NLM_F_ECHO = 0x8;
/** The dump was interrupted by a change: it may be inconsistent and has to be repeated. */
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP_FILTERED = 0x20;
export const NLM_F_ROOT = 0x100;
export const NLM_F_MATCH = 0x200;
export const NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
/** With RTM_DEL*: objects that have children are not deleted. */
export const NLM_F_NONREC = 0x100;
/** In an NLMSG_ERROR or NLMSG_DONE: only the header of the request is repeated. */
const NLM_F_CAPPED = 0x100;
/** In an NLMSG_ERROR or NLMSG_DONE: attributes of the extended ack follow. */
const NLM_F_ACK_TLVS = 0x200;

const nlmsgHeader = struct({ length: u32, type: u16, flags: u16, sequence: u32, port: u32 });
export const NLMSG_HDRLEN = nlmsgHeader.size;

/** A message with its header decoded; the body is a view of the receive buffer. */
export interface Nlmsg {
  type: number;
  flags: number;
  sequence: number;
  /** The sender's port: 0 is the kernel. */
  port: number;
  body: Uint8Array;
}

/** Returns a body with an nlmsghdr before it and padding to 4 bytes, so that messages can be joined to a batch. */
export function encodeNlmsg(header: { type: number; flags: number; sequence: number }, body: Uint8Array): Uint8Array {
  const length = NLMSG_HDRLEN + body.length;
  const encoded = new Uint8Array((length + 3) & ~3);
  const view = new DataView(encoded.buffer);
  encoded.set(body, NLMSG_HDRLEN);
  view.setUint32(0, length, hostIsLittle);
  view.setUint16(4, header.type, hostIsLittle);
  view.setUint16(6, header.flags, hostIsLittle);
  view.setUint32(8, header.sequence, hostIsLittle);
  return encoded;
}

/** Appends the header of a message to a batch; its length is written by `endNlmsg`. @returns the offset where it begins */
export function beginNlmsg(out: Writer, type: number, flags: number, sequence: number): number {
  const start = (out.at + 3) & ~3;
  out.at = start;
  out.room(NLMSG_HDRLEN);
  const { view } = out;
  view.setUint16(start + 4, type, hostIsLittle);
  view.setUint16(start + 6, flags, hostIsLittle);
  view.setUint32(start + 8, sequence, hostIsLittle);
  out.at = start + NLMSG_HDRLEN;
  return start;
}

/** Ends the message that begins at `start`. */
export function endNlmsg(out: Writer, start: number): void {
  out.view.setUint32(start, out.at - start, hostIsLittle);
}

/**
 * Splits a received datagram into messages.
 *
 * @throws WireError A message is longer than what was received, or shorter than its own header.
 */
export function decodeNlmsgs(datagram: Uint8Array): Nlmsg[] {
  const { view } = new Input(datagram);
  const found: Nlmsg[] = [];
  for (let at = 0; datagram.length - at >= NLMSG_HDRLEN; ) {
    const length = view.getUint32(at, hostIsLittle);
    if (length < NLMSG_HDRLEN || at + length > datagram.length) {
      throw new WireError(`a message of ${length} bytes where ${datagram.length - at} are left`);
    }
    found.push({
      type: view.getUint16(at + 4, hostIsLittle),
      flags: view.getUint16(at + 6, hostIsLittle),
      sequence: view.getUint32(at + 8, hostIsLittle),
      port: view.getUint32(at + 12, hostIsLittle),
      body: datagram.subarray(at + NLMSG_HDRLEN, at + length),
    });
    at += (length + 3) & ~3;
  }
  return found;
}

/** The kernel's answer to a request, or the end of a dump. */
export interface Answer {
  /** 0: success. Otherwise the errno as a positive number. */
  errno: number;
  /** The kernel's text. With errno 0 it is a warning. */
  message?: string;
  /** The offset of the error in the request, counted from its nlmsghdr. `attributeAt` returns the attribute's name. */
  offset?: number;
  /** The type of an attribute that the request lacks. */
  missingType?: number;
  /** The offset of the nest that lacks it; absent at the top level. */
  missingNest?: number;
  /** Identifies the object that was created, for the few kinds that have one. */
  cookie?: Uint8Array;
}

const extendedAck = message({
  source: "linux/netlink.h: NLMSGERR_ATTR_*",
  attributes: {
    message: attribute(1, "NLMSGERR_ATTR_MSG", cstring),
    offset: attribute(2, "NLMSGERR_ATTR_OFFS", u32),
    cookie: attribute(3, "NLMSGERR_ATTR_COOKIE", bytes),
    policy: attribute(4, "NLMSGERR_ATTR_POLICY", bytes),
    missingType: attribute(5, "NLMSGERR_ATTR_MISS_TYPE", u32),
    missingNest: attribute(6, "NLMSGERR_ATTR_MISS_NEST", u32),
  },
});

/**
 * Decodes an NLMSG_ERROR (an acknowledgement is one with errno 0) or an NLMSG_DONE.
 *
 * @throws WireError It is shorter than it says.
 */
export function decodeAnswer({ type, flags, body }: Pick<Nlmsg, "type" | "flags" | "body">): Answer {
  if (type === NLMSG_DONE && body.length < s32.size) return { errno: 0 }; // some families send no code
  const errno = -s32.read(new Input(body), 0, body.length, {}) + 0; // + 0: no negative zero
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno };
  const after = type === NLMSG_DONE ? s32.size : s32.size + requestLength(body, flags);
  const { message, offset, cookie, missingType, missingNest } = decode(extendedAck, body.subarray(after));
  return {
    errno,
    ...(message !== undefined && { message }),
    ...(offset !== undefined && { offset }),
    ...(cookie !== undefined && { cookie }),
    ...(missingType !== undefined && { missingType }),
    ...(missingNest !== undefined && { missingNest }),
  };
}

/** Returns how many bytes of the request an NLMSG_ERROR repeats: only its header on success or if capped, else all of it. */
function requestLength(body: Uint8Array, flags: number): number {
  const { length } = nlmsgHeader.read(new Input(body), s32.size, body.length, {});
  return (flags & NLM_F_CAPPED) !== 0 ? NLMSG_HDRLEN : (Math.max(length, NLMSG_HDRLEN) + 3) & ~3;
}
