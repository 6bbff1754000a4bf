import t from "tap";
import { type Arena, CMSG, createArena, IOVEC, MSGHDR, SOCKADDR_IN } from "./arena.ts";
import type { Peer } from "./peer-table.ts";
import { createSendBatch, type SendBatch } from "./send-batch.ts";

const peer = (n: number): Peer => ({ address: (10 << 24) | n, port: 8285, pathMtu: 65535, pathMtuReadAt: 0 });
const [one, two] = [peer(1), peer(2)];

function newBatch(canCut = true) {
  const arena = createArena(1 << 20);
  const batch = createSendBatch(arena, () => canCut);
  return { arena, batch, messages: () => Array.from({ length: batch.length }, (_, i) => messageAt(arena, batch, i)) };
}

/** What sendmmsg would make of the message: to whom, the size that is cut to (0: not cut), and pieces of memory. */
function messageAt({ view, low }: Arena, batch: SendBatch, i: number): string {
  const header = batch.headerOf(i);
  const pointer = (at: number) => view.getUint32(at, true) - low;
  const name = pointer(header + MSGHDR.name);
  const control =
    view.getUint32(header + MSGHDR.controlLength, true) === CMSG.space ? pointer(header + MSGHDR.control) : undefined;
  const iovecs = pointer(header + MSGHDR.iovecs);
  const pieces = Array.from({ length: view.getUint32(header + MSGHDR.iovecCount, true) }, (_, k) => {
    const iovec = iovecs + k * IOVEC.size;
    return `${pointer(iovec + IOVEC.base)}+${view.getUint32(iovec + IOVEC.length, true)}`;
  });
  const to = `${view.getUint8(name + SOCKADDR_IN.address + 3)}:${view.getUint16(name + SOCKADDR_IN.port)}`;
  return `${to} cut ${control === undefined ? 0 : view.getUint16(control + CMSG.data, true)} ${pieces.join(" ")}`;
}

t.test("packets of one size to one peer share a message, the last may be smaller", async (t) => {
  const { batch, messages } = newBatch();
  batch.add(one, 100000, 50);
  batch.add(two, 200000, 50);
  batch.add(one, 100064, 50);
  batch.add(one, 100128, 20);
  batch.add(one, 100192, 20);
  batch.add(one, 100256, 30);
  t.strictSame(messages(), [
    "1:8285 cut 50 100000+50 100064+50 100128+20",
    "2:8285 cut 0 200000+50",
    "1:8285 cut 0 100192+20",
    "1:8285 cut 0 100256+30",
  ]);
  t.equal(batch.bytes, 220);
});

t.test("packets of two pieces share a message with their like", async (t) => {
  const { batch, messages } = newBatch();
  batch.addPieces(one, 1000, 40, 2000, 60);
  batch.addPieces(one, 1128, 40, 2060, 60);
  batch.add(one, 3000, 100);
  t.strictSame(messages(), ["1:8285 cut 100 1000+40 2000+60 1128+40 2060+60", "1:8285 cut 0 3000+100"]);
  t.strictSame(batch.packetAt(0, 1), { at: 1128, size: 40 });
  batch.reduce(0, 1);
  t.equal(messages()[0], "1:8285 cut 0 1128+40 2060+60");
});

t.test("a message has 64 packets and 65,507 bytes at most", async (t) => {
  const { batch } = newBatch();
  for (let i = 0; i < 100; i++) batch.add(one, 1000, 100);
  for (let i = 0; i < 50; i++) batch.add(two, 1000, 1472);
  const counts = Array.from({ length: batch.length }, (_, i) => batch.messageAt(i).packets);
  t.strictSame(counts, [64, 36, 44, 6]);
});

t.test("where the kernel does not cut, each packet is a message", async (t) => {
  const { batch, messages } = newBatch(false);
  for (let i = 0; i < 64; i++) {
    t.notOk(batch.isFull);
    batch.add(one, 1000, 50);
  }
  t.ok(batch.isFull);
  t.equal(new Set(messages()).size, 1);
  batch.clear();
  t.strictSame([batch.length, batch.bytes, batch.isFull], [0, 0, false]);
});
