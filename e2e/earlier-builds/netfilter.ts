// What a program changes in nf_tables, kept as the bytes that it sends. No listing has all of it: `nft` does not show what is specific to
// iptables' extensions, and a dump of the kernel lacks the protocol that they check (NFTA_RULE_COMPAT).

import { NETLINK_NETFILTER } from "../../pkg/netlink/connection.ts";
import { NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END } from "../../pkg/netlink/nftables/batch.ts";
import { closeFile } from "../../pkg/sys/file.ts";
import { closeNamespace, openNamespace, within } from "../../pkg/sys/namespace.ts";
import { AF_NETLINK, openSocket, receive, SOCK_RAW, send } from "../../pkg/sys/socket.ts";

const NLMSG_HDRLEN = 16;
const NFGENMSG_LENGTH = 4;
const NLMSG_ERROR = 2;
const NLM_F_ACK = 4;
const NFNL_SUBSYS_NFTABLES = 10;

/** Put in front of a command; what it then writes into the file is for `batchesIn`. */
export const traced = (file: string): string[] => [
  ...["strace", "-f", "-qq", "-o", file],
  ...["-e", "trace=sendto,sendmsg,recvfrom,recvmsg", "-e", "signal=none", "-e", "write=all"],
];

/** The transactions of nf_tables that the kernel carried out, as datagrams. A plugin may try one that is refused and then send another. */
export function batchesIn(trace: string): Buffer[] {
  return trace
    .split(/^(?=\d+ +send)/m)
    .filter((call) => !/^\d+ +recv.*\berror=-E/m.test(call))
    .map(sentBytes)
    .filter((datagram) => {
      const [first, ...others] = messagesOf(datagram);
      return first?.type === NFNL_MSG_BATCH_BEGIN && others.some(({ type }) => type >> 8 === NFNL_SUBSYS_NFTABLES);
    })
    .map(forAnyGeneration);
}

/** Each call's line is followed by its buffers in hex: " | 00010  ff 00 …  text |". */
function sentBytes(call: string): Buffer {
  const rows = call.matchAll(/^ \| [0-9a-f]{5,} {2}((?:[0-9a-f]{2} {1,2}){1,16})/gm);
  return Buffer.from([...rows].map(([, row]) => row?.replaceAll(" ", "")).join(""), "hex");
}

interface Message {
  type: number;
  flags: number;
  bytes: Buffer;
}

function messagesOf(datagram: Buffer): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at + NLMSG_HDRLEN <= datagram.length; ) {
    const length = datagram.readUInt32LE(at);
    if (length < NLMSG_HDRLEN) break;
    const bytes = datagram.subarray(at, at + ((length + 3) & ~3));
    messages.push({ type: datagram.readUInt16LE(at + 4), flags: datagram.readUInt16LE(at + 6), bytes });
    at += bytes.length;
  }
  return messages;
}

/** Without the number of the ruleset's generation, which is another one wherever it is sent again; the end asks for an answer. */
function forAnyGeneration(datagram: Buffer): Buffer {
  const messages = messagesOf(datagram).map(({ type, flags, bytes }) => {
    if (type !== NFNL_MSG_BATCH_BEGIN && type !== NFNL_MSG_BATCH_END) {
      const plain = Buffer.from(bytes);
      plain.writeUInt16LE(flags & ~NLM_F_ACK, 6);
      return plain;
    }
    const bare = Buffer.from(bytes.subarray(0, NLMSG_HDRLEN + NFGENMSG_LENGTH));
    bare.writeUInt32LE(bare.length, 0);
    bare.writeUInt16LE(type === NFNL_MSG_BATCH_END ? flags | NLM_F_ACK : flags & ~NLM_F_ACK, 6);
    return bare;
  });
  return Buffer.concat(messages);
}

/** Sends them in the namespace. @throws Error the kernel refuses one */
export function sendBatches(netns: string, batches: readonly Buffer[]): void {
  const namespace = openNamespace(netns);
  const socket = within(namespace, () => openSocket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
  const buffer = new Uint8Array(65536);
  try {
    for (const [i, batch] of batches.entries()) {
      send(socket, batch);
      const refused = messagesOf(Buffer.from(receive(socket, buffer)))
        .filter(({ type }) => type === NLMSG_ERROR)
        .map(({ bytes }) => bytes.readInt32LE(NLMSG_HDRLEN))
        .find((errno) => errno !== 0);
      if (refused !== undefined) throw new Error(`transaction ${i} of nf_tables: errno ${-refused}`);
    }
  } finally {
    closeFile(socket);
    closeNamespace(namespace);
  }
}
