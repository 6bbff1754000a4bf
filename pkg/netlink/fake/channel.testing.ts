/** The socket of a fake kernel: hands each datagram to it, queues its answers, and injects faults. */
import { concat } from "../../bytes/concat.ts";
import { Errno, type ErrnoName } from "../../sys/errno.ts";
import type { Channel } from "../connection.ts";
import { encode } from "../message.ts";
import {
  decodeNlmsgs,
  encodeNlmsg,
  NLM_F_DUMP,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
  type Nlmsg,
} from "../nlmsg.ts";
import type { Wire } from "../wire.ts";

/** The kernel's answer to one request: an errno with its message, or undefined. */
export interface Refusal {
  errno: ErrnoName;
  message?: string;
}

/** A message that was sent, decoded by its table. */
export interface Sent {
  /** The kernel's name, such as `NFT_MSG_NEWRULE`. */
  name: string;
  /** Its number among all requests to this fake kernel, from 1; the begin and end of a batch do not count. */
  number: number;
  /** The message, decoded when it is asked for. */
  readonly value: Record<string, unknown>;
}

/** What a test does to the requests of the code under test. Reset by assigning undefined. */
export interface Faults {
  /** Refuses a request, which is then not performed. */
  refuse?: ((sent: Sent) => ErrnoName | undefined) | undefined;
  /** Called before each datagram is performed: the moment for changes by others. */
  before?: ((sent: readonly Sent[]) => void) | undefined;
}

/** Thrown into a test that needs what the fake does not simulate: a wrong answer would be worse. */
export class NotSimulated extends Error {
  override name = "NotSimulated";
}

/** Returns a channel to a kernel. @param perform Returns the answers to the messages of one datagram. */
export function fakeChannel(perform: (messages: Nlmsg[]) => Uint8Array[], fd: () => number = () => -1): Channel {
  const waiting: Uint8Array[] = [];
  return {
    get fd() {
      return fd();
    },
    send(datagram) {
      waiting.push(...perform(decodeNlmsgs(datagram.slice())));
    },
    receive() {
      const next = waiting.shift();
      if (next === undefined)
        throw new Error("the fake kernel has no answer: the real one would let this wait for ever");
      return next;
    },
    receiveArrived: () => waiting.shift(),
    close() {},
  };
}

const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;

/** Returns an NLMSG_ERROR as sockets with NETLINK_CAP_ACK and NETLINK_EXT_ACK get it; without a refusal it is an acknowledgement. */
export function errorAnswer(to: Nlmsg, refusal?: Refusal): Uint8Array {
  const body = new Uint8Array(4 + NLMSG_HDRLEN);
  const view = new DataView(body.buffer);
  view.setInt32(0, refusal === undefined ? 0 : -Errno[refusal.errno], true);
  body.set(encodeNlmsg(to, to.body).subarray(0, NLMSG_HDRLEN), 4);
  const message = refusal?.message;
  const flags = NLM_F_CAPPED | (message === undefined ? 0 : NLM_F_ACK_TLVS);
  return encodeNlmsg(
    { type: NLMSG_ERROR, flags, sequence: to.sequence },
    message === undefined ? body : concat([body, text(message)]),
  );
}

function text(message: string): Uint8Array {
  const attribute = new Uint8Array((4 + message.length + 1 + 3) & ~3);
  const view = new DataView(attribute.buffer);
  view.setUint16(0, 4 + message.length + 1, true);
  view.setUint16(2, NLMSGERR_ATTR_MSG, true);
  attribute.set(
    Uint8Array.from(message, (char) => char.charCodeAt(0)),
    4,
  );
  return attribute;
}

/** Returns a message that answers a request. */
export function answer<In>(to: Nlmsg, type: number, table: Wire<unknown, In>, value: In): Uint8Array {
  const flags = isDump(to) ? NLM_F_MULTI : 0;
  return encodeNlmsg({ type, flags, sequence: to.sequence }, encode(table, value));
}

/** Returns the end of a dump. */
export const done = ({ sequence }: Nlmsg): Uint8Array =>
  encodeNlmsg({ type: NLMSG_DONE, flags: NLM_F_MULTI, sequence }, new Uint8Array(4));

export const isDump = ({ flags }: Nlmsg): boolean => (flags & NLM_F_DUMP) === NLM_F_DUMP;
