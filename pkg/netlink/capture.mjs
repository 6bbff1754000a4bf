// Prints the netlink messages that a command sends and gets, as golden rows want them. Needs root and strace.
//
//   node pkg/netlink/capture.mjs [--setup 'sh commands'] ip addr add 10.22.0.5/16 dev lo
//
// The commands run in a network namespace of their own, which is gone afterwards. Messages come without their nlmsghdr; probes, acknowledgements
// and ends of dumps are left out.
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const NLMSG_HDRLEN = 16;
const NLMSG_DONE = 3;
const NFNL_MSG_BATCH_BEGIN = 0x10;

/** @returns {{from: "command" | "kernel", type: number, flags: number, body: Buffer}[]} */
export function capture(setup, command) {
  const namespace = `twill-capture-${process.pid}`;
  const trace = `/tmp/${namespace}.strace`;
  run(["ip", "netns", "add", namespace]);
  try {
    run(["ip", "netns", "exec", namespace, "sh", "-ec", `ip link set lo up; ${setup}`]);
    const calls = ["-e", "trace=sendmsg,sendto,recvmsg,recvfrom", "-e", "write=all", "-e", "read=all"];
    run(["ip", "netns", "exec", namespace, "strace", "-f", "-o", trace, ...calls, ...command], { mayFail: true });
    return messagesOf(readFileSync(trace, "latin1"));
  } finally {
    rmSync(trace, { force: true });
    run(["ip", "netns", "del", namespace]);
  }
}

function run([program, ...args], { mayFail = false } = {}) {
  const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (error) throw error;
  if (status !== 0 && !mayFail) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
  if (status !== 0) console.error(`(exit status ${status}: ${stderr.trim()})`);
}

/** Each call's line is followed by its buffers in hex: ` | 00010  ff 00 …  text |`. */
function messagesOf(trace) {
  const found = [];
  for (const part of trace.split(/^(?=\d+ +(?:send|recv))/m)) {
    if (/MSG_PEEK/.test(part)) continue;
    const rows = part.matchAll(/^ \| [0-9a-f]{5} {2}((?:[0-9a-f]{2} {1,2}){1,16})/gm);
    const bytes = Buffer.from([...rows].map(([, row]) => row.replaceAll(" ", "")).join(""), "hex");
    found.push(...split(bytes, /^\d+ +send/.test(part) ? "command" : "kernel"));
  }
  return found;
}

function split(datagram, from) {
  const messages = [];
  for (let at = 0; at + NLMSG_HDRLEN <= datagram.length; ) {
    const length = datagram.readUInt32LE(at);
    if (length < NLMSG_HDRLEN) break;
    const type = datagram.readUInt16LE(at + 4);
    const body = datagram.subarray(at + NLMSG_HDRLEN, at + length);
    const isProbe = type === NFNL_MSG_BATCH_BEGIN && datagram.length === 32 && body.every((byte) => byte === 0);
    if (type > NLMSG_DONE && !isProbe) messages.push({ from, type, flags: datagram.readUInt16LE(at + 6), body });
    at += (length + 3) & ~3;
  }
  return messages;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2);
  const setup = args[0] === "--setup" ? args.splice(0, 2)[1] : "true";
  for (const { from, type, flags, body } of capture(setup, args)) {
    const hex = body.toString("hex").replace(/(..)(..)(..)(..)/g, "$1 $2 $3 $4\n");
    console.log(`from the ${from}: type 0x${type.toString(16)}, flags 0x${flags.toString(16)}\n${hex}`);
  }
}
