// Messages as dig 9.18, busybox 1.35 and dnsmasq 2.90 sent them, seen on the wire; then whatever bytes there may be.
import t from "tap";
import { hex } from "../bytes/hex.ts";
import { fromHex } from "../netlink/golden.testing.ts";
import { randomFrom, testSeed } from "../sys/random.testing.ts";
import {
  encodeAnswer,
  encodeRefusal,
  forwardedAnswer,
  judgeAnswer,
  type Query,
  Rcode,
  readQuery,
  Type,
  withId,
} from "./message.ts";

const digWithEdns =
  "d47201200001000000000001035765620546726f6e74000001000100002904d000000000000c000a00086fc170ef1394e18d";
const digReverse = "cf0801200001000000000000013301300231380331373207696e2d61646472046172706100000c0001";
const busyboxAaaa = "9ad5010000010000000000000377656200001c0001";
const cnameAnswer =
  "123485800001000200000000016204746573740000010001c00c000500010000000000080161047465737400c02400010001000000000004c0000201";
const mxAnswer = "1234858000010001000000000161047465737400000f0001c00c000f000100000000000b000a026d78047465737400";

const queryOf = (text: string): Query => {
  const query = readQuery(fromHex(text));
  if (query === undefined || "rcode" in query) throw new Error("is no query");
  return query;
};

t.test("queries are read", async (t) => {
  t.match(queryOf(digWithEdns), {
    id: 0xd472,
    recursionDesired: true,
    question: { name: "web.front", type: Type.A, class: 1 },
    edns: { size: 1232 },
  });
  t.equal(hex(queryOf(digWithEdns).questionBytes), "035765620546726f6e740000010001", "with its letters as they came");
  t.match(queryOf(digReverse), { question: { name: "3.0.18.172.in-addr.arpa", type: Type.PTR }, edns: undefined });
  t.match(queryOf(busyboxAaaa), { question: { name: "web", type: Type.AAAA } });
});

const malformed: readonly (readonly [string, string, number])[] = [
  ["no question", "000101000000000000000000", Rcode.formatError],
  ["two questions", "00010100000200000000000003776562000001000103777777000001 0001", Rcode.formatError],
  ["a question that is cut off", "0001010000010000000000000377656200", Rcode.formatError],
  ["a label of 64 bytes", `000101000001000000000000${"40"}${"61".repeat(64)}0000010001`, Rcode.formatError],
  ["a name of 256 bytes", `000101000001000000000000${`3f${"61".repeat(63)}`.repeat(4)}0000010001`, Rcode.formatError],
  ["a name that points to itself", "000101000001000000000000c00c00010001", Rcode.formatError],
  ["a name that points forward", "000101000001000000000000c01200010001000000", Rcode.formatError],
  [
    "an answer record",
    "0001010000010001000000000377656200000100010377656200000100010000000000040a000001",
    Rcode.formatError,
  ],
  ["bytes behind its end", `${busyboxAaaa}00`, Rcode.formatError],
  [
    "two EDNS records",
    "000101000001000000000002037765620000010001000029020000000000000000002902000000000000 00",
    Rcode.formatError,
  ],
  ["EDNS with a name", "00010100000100000000000103776562000001000101610000290200000000000000", Rcode.formatError],
  ["another opcode (UPDATE)", "0001280000010000000000000377656200000100 01", Rcode.notImplemented],
  ["EDNS version 1", "00010100000100000000000103776562000001000100002902000001000000 00", Rcode.badVersion],
];
for (const [what, text, rcode] of malformed) {
  t.test(`a query with ${what} is refused`, async (t) => {
    const query = readQuery(fromHex(text.replaceAll(" ", "")));
    t.match(query, { rcode });
    if (query === undefined || !("rcode" in query)) return;
    const answer = encodeRefusal(query, query.rcode);
    t.equal(((answer[3] as number) & 0xf) | (rcode > 15 ? (answer.at(-6) as number) << 4 : 0), rcode);
    t.equal(hex(answer.subarray(0, 2)), text.slice(0, 4), "with its ID");
  });
}

t.test("what has no header, or is an answer, is not answered", async (t) => {
  t.equal(readQuery(fromHex("00010100000100000000 00".replaceAll(" ", ""))), undefined);
  t.equal(readQuery(fromHex(cnameAnswer)), undefined);
});

const records = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ type: Type.A, data: Uint8Array.of(10, 0, i >> 8, i) }));
const answerOf = (query: Query, count: number, transport: "udp" | "tcp") =>
  encodeAnswer(query, { rcode: Rcode.noError, records: records(count), ttl: 600 }, transport);
const isCut = (answer: Uint8Array) => ((answer[2] as number) & 2) !== 0;
const countIn = (answer: Uint8Array) => ((answer[6] as number) << 8) | (answer[7] as number);

t.test("an answer has the records that fit, and says when there are more", async (t) => {
  const plain = queryOf(busyboxAaaa);
  t.match(
    [answerOf(plain, 29, "udp")].map((one) => [one.length, isCut(one)]),
    [[485, false]],
  );
  const cut = answerOf(plain, 31, "udp");
  t.strictSame([cut.length, countIn(cut), isCut(cut)], [501, 30, true], "512 bytes without EDNS");
  const edns = answerOf(queryOf(digWithEdns), 100, "udp");
  t.strictSame([countIn(edns), isCut(edns)], [74, true], "the client's size with it");
  t.ok(edns.length <= 1232);
  const tcp = answerOf(plain, 2000, "tcp");
  t.strictSame([countIn(tcp), isCut(tcp)], [2000, false], "64 kB by TCP");
});

t.test("an answer of another server is judged", async (t) => {
  const [cname, mx] = [fromHex(cnameAnswer), fromHex(mxAnswer)];
  const a = { question: { name: "b.test", type: Type.A, class: 1 } };
  t.strictSame(judgeAnswer(cname, 0x1234, a), { rcode: 0, truncated: false });
  t.strictSame(judgeAnswer(mx, 0x1234, { question: { name: "a.test", type: Type.MX, class: 1 } }), {
    rcode: 0,
    truncated: false,
  });
  t.strictSame(judgeAnswer(cname, 0x1235, a), { problem: "it has another ID" });
  t.strictSame(judgeAnswer(cname, 0x1234, { question: { name: "c.test", type: Type.A, class: 1 } }), {
    problem: "it has another question",
  });
  const changed = (at: number, value: number) => cname.map((byte, i) => (i === at ? value : byte));
  t.strictSame(judgeAnswer(changed(2, 0x05), 0x1234, a), { problem: "it is a query" });
  t.strictSame(judgeAnswer(changed(5, 2), 0x1234, a), { problem: "it has 2 questions" });
  t.strictSame(judgeAnswer(changed(7, 1), 0x1234, a), { problem: "it has bytes behind its last record" });
  t.strictSame(judgeAnswer(changed(7, 3), 0x1234, a), { problem: "a record is malformed" });
  t.strictSame(
    judgeAnswer(changed(35, 7), 0x1234, a),
    { problem: "a record is malformed" },
    "its name and its length differ",
  );
  t.strictSame(judgeAnswer(changed(36, 0xc0), 0x1234, a), { problem: "a record is malformed" }, "a name that leads on");
});

t.test("pointers that lead from one to the next keep nobody busy", async (t) => {
  const header = "123485800001ffff00000000016204746573740000010001";
  const chain = new Uint8Array(65535);
  chain.set(fromHex(header));
  for (let at = 24; at + 2 < 40000; at += 2) chain.set([0xc0 | ((at - 2) >> 8), (at - 2) & 0xff], at);
  chain.set([0, 0], 22);
  const started = Date.now();
  t.match(judgeAnswer(chain, 0x1234, { question: { name: "b.test", type: Type.A, class: 1 } }), { problem: /./ });
  t.ok(Date.now() - started < 5000);
});

t.test("an answer that is too large for the client is cut", async (t) => {
  const query = queryOf(busyboxAaaa);
  const large = answerOf(query, 100, "tcp");
  const cut = forwardedAnswer(large, query, "udp");
  t.strictSame([isCut(cut), countIn(cut), cut.length], [true, 0, 21]);
  t.strictSame(forwardedAnswer(withId(large, 7), query, "tcp"), large, "by TCP it is not, and has the client's ID");
});

t.test("every truncation and thousands of mutations are read to an end", async (t) => {
  const random = randomFrom(testSeed());
  const pick = (count: number) => Math.floor(random() * count);
  const question = { question: { name: "b.test", type: Type.A, class: 1 } };
  let refused = 0;
  for (const text of [digWithEdns, digReverse, busyboxAaaa, cnameAnswer, mxAnswer]) {
    const whole = fromHex(text);
    for (let end = 0; end <= whole.length; end++) {
      readQuery(whole.subarray(0, end));
      const verdict = judgeAnswer(whole.subarray(0, end), 0x1234, question);
      if (end < whole.length && !("problem" in verdict)) t.fail(`${text} cut at ${end} is taken`);
    }
    for (let i = 0; i < 3000; i++) {
      const bytes = whole.slice();
      for (let changes = 1 + pick(4); changes > 0; changes--) bytes[pick(bytes.length)] = pick(256);
      const query = readQuery(bytes);
      if (query !== undefined && "rcode" in query) refused++;
      if (query !== undefined && !("rcode" in query)) answerOf(query, 3, "udp");
      judgeAnswer(bytes, 0x1234, question);
    }
  }
  t.ok(refused > 100, `${refused} were refused`);
});

t.test("an answer of ours passes our own judgement", async (t) => {
  for (const text of [digWithEdns, digReverse, busyboxAaaa]) {
    const query = queryOf(text);
    t.strictSame(judgeAnswer(answerOf(query, 5, "udp"), query.id, query), { rcode: 0, truncated: false });
  }
});
