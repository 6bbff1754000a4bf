/**
 * DNS messages (RFC 1035, EDNS: RFC 6891): reads queries, writes answers, and judges the answers of other servers. Pure.
 *
 * Rejected: the package dns-packet, which needs Buffer, which QuickJS has not; copies every field of every record, of which a resolver that
 * forwards needs few; and throws for malformed messages, which are ordinary input here.
 */
import { readName } from "./name.ts";

/** Types of records (IANA, "Resource Record (RR) TYPEs"). */
export const Type = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, MX: 15, AAAA: 28, DNAME: 39, OPT: 41, ANY: 255 } as const;

export const CLASS_IN = 1;

/** Response codes (IANA, "DNS RCODEs"). */
export const Rcode = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
  badVersion: 16,
} as const;

/** Flags of the header's second word; the response code is in its last four bits. */
const Flag = { response: 0x8000, truncated: 0x0200, recursionDesired: 0x0100, recursionAvailable: 0x0080 } as const;
const OPCODE = 0x7800;

const HEADER = 12;
/** The largest message over UDP without EDNS. */
const PLAIN_UDP = 512;
/** The size that we accept by UDP, that avoids fragments on every path. */
const OUR_UDP_SIZE = 1232;
/** The largest message that we send by UDP, whatever the client says it takes. */
const LARGEST_UDP = 4096;
export const LARGEST_MESSAGE = 65535;

export interface Question {
  name: string;
  type: number;
  class: number;
}

export interface Query {
  id: number;
  recursionDesired: boolean;
  question: Question;
  /** The question as it came, whose letters an answer has to repeat in their case. */
  questionBytes: Uint8Array;
  /** The EDNS record of the query. */
  edns: { size: number } | undefined;
}

/** A message that is answered by a response code alone. */
export interface Refusal {
  id: number;
  recursionDesired: boolean;
  questionBytes: Uint8Array;
  edns: { size: number } | undefined;
  rcode: number;
}

/** Reads a query. @returns undefined: no answer is due, since it is an answer itself or has no header */
export function readQuery(bytes: Uint8Array): Query | Refusal | undefined {
  const header = readHeader(bytes);
  if (header === undefined || (header.flags & Flag.response) !== 0) return undefined;
  const { id, flags, counts } = header;
  const recursionDesired = (flags & Flag.recursionDesired) !== 0;
  const refusal = (rcode: number): Refusal => ({
    id,
    recursionDesired,
    questionBytes: new Uint8Array(0),
    edns: undefined,
    rcode,
  });
  if ((flags & OPCODE) !== 0) return refusal(Rcode.notImplemented);
  if (counts[0] !== 1 || counts[1] !== 0 || counts[2] !== 0) return refusal(Rcode.formatError);
  const asked = readQuestion(bytes, HEADER);
  if (asked === undefined) return refusal(Rcode.formatError);
  const edns = readAdditional(bytes, asked.end, counts[3]);
  if (edns === "malformed") return refusal(Rcode.formatError);
  const questionBytes = bytes.slice(HEADER, asked.end);
  const common = { id, recursionDesired, questionBytes };
  if (edns !== undefined && edns.version !== 0) return { ...common, edns, rcode: Rcode.badVersion };
  return { ...common, question: asked.question, edns };
}

interface Header {
  id: number;
  flags: number;
  /** Of questions, answers, authorities and additional records. */
  counts: readonly [number, number, number, number];
}

function readHeader(bytes: Uint8Array): Header | undefined {
  if (bytes.length < HEADER) return undefined;
  const [id, flags, ...counts] = [0, 2, 4, 6, 8, 10].map((at) => word(bytes, at)) as [
    number,
    number,
    ...Header["counts"],
  ];
  return { id, flags, counts };
}

const word = (bytes: Uint8Array, at: number): number => ((bytes[at] as number) << 8) | (bytes[at + 1] as number);

function readQuestion(bytes: Uint8Array, at: number): { question: Question; end: number } | undefined {
  const name = readName(bytes, at);
  if (name === undefined || name.end + 4 > bytes.length) return undefined;
  const question = { name: name.name, type: word(bytes, name.end), class: word(bytes, name.end + 2) };
  return { question, end: name.end + 4 };
}

/** Reads the additional records of a query, of which EDNS alone is of interest. They must end where the message does. */
function readAdditional(
  bytes: Uint8Array,
  from: number,
  count: number,
): { size: number; version: number } | undefined | "malformed" {
  let edns: { size: number; version: number } | undefined;
  let at = from;
  for (let i = 0; i < count; i++) {
    const record = readRecord(bytes, at);
    if (record === undefined) return "malformed";
    at = record.end;
    if (record.type !== Type.OPT) continue;
    if (edns !== undefined || record.name !== "") return "malformed";
    edns = { size: record.class, version: bytes[record.data - 5] as number }; // of the TTL, the second byte
  }
  return at === bytes.length ? edns : "malformed";
}

interface RecordHead extends Question {
  /** Offset of the data. */
  data: number;
  end: number;
}

function readRecord(bytes: Uint8Array, at: number): RecordHead | undefined {
  const head = readQuestion(bytes, at);
  if (head === undefined || head.end + 6 > bytes.length) return undefined;
  const data = head.end + 6; // behind TTL and length
  const end = data + word(bytes, head.end + 4);
  return end > bytes.length ? undefined : { ...head.question, data, end };
}

/** A record of an answer, whose name is that of the question. */
export interface AnswerRecord {
  type: number;
  data: Uint8Array;
}

/** The part of a query that its answer repeats. */
export type Asked = Pick<Query, "id" | "recursionDesired" | "questionBytes" | "edns">;

/** How an answer goes to the client: its length is limited by UDP. */
export type Transport = "udp" | "tcp";

/** Returns how many bytes an answer may have. */
export function largestAnswer({ edns }: Pick<Query, "edns">, transport: Transport): number {
  if (transport === "tcp") return LARGEST_MESSAGE;
  return Math.min(Math.max(edns?.size ?? 0, PLAIN_UDP), LARGEST_UDP);
}

/** Encodes an answer. Records that do not fit are left out, and the client is told to ask by TCP. */
export function encodeAnswer(
  asked: Asked,
  { rcode, records, ttl }: { rcode: number; records: readonly AnswerRecord[]; ttl: number },
  transport: Transport,
): Uint8Array {
  const { questionBytes, edns } = asked;
  const room = largestAnswer(asked, transport) - HEADER - questionBytes.length - (edns === undefined ? 0 : OPT_SIZE);
  const fitting = fittingCount(records, room);
  const used = records.slice(0, fitting);
  const length = used.reduce((sum, { data }) => sum + RECORD_HEAD + data.length, 0);
  const bytes = new Uint8Array(HEADER + questionBytes.length + length + (edns === undefined ? 0 : OPT_SIZE));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, asked.id);
  view.setUint16(
    2,
    Flag.response |
      Flag.recursionAvailable |
      (asked.recursionDesired ? Flag.recursionDesired : 0) |
      (fitting < records.length ? Flag.truncated : 0) |
      (rcode & 0xf),
  );
  view.setUint16(4, questionBytes.length === 0 ? 0 : 1);
  view.setUint16(6, used.length);
  view.setUint16(10, edns === undefined ? 0 : 1);
  bytes.set(questionBytes, HEADER);
  let at = HEADER + questionBytes.length;
  for (const { type, data } of used) {
    view.setUint16(at, (POINTER << 8) | HEADER); // the question's name
    view.setUint16(at + 2, type);
    view.setUint16(at + 4, CLASS_IN);
    view.setUint32(at + 6, ttl);
    view.setUint16(at + 10, data.length);
    bytes.set(data, at + RECORD_HEAD);
    at += RECORD_HEAD + data.length;
  }
  if (edns !== undefined) {
    view.setUint16(at + 1, Type.OPT); // behind the root's name
    view.setUint16(at + 3, OUR_UDP_SIZE);
    view.setUint8(at + 5, rcode >> 4);
  }
  return bytes;
}
const POINTER = 0xc0;
/** A record with a pointer for its name, without its data. */
const RECORD_HEAD = 12;
/** An EDNS record without options. */
const OPT_SIZE = 11;

function fittingCount(records: readonly AnswerRecord[], room: number): number {
  let left = room;
  for (const [i, { data }] of records.entries()) {
    left -= RECORD_HEAD + data.length;
    if (left < 0) return i;
  }
  return records.length;
}

/** Encodes an answer that has a response code and nothing else. */
export const encodeRefusal = (asked: Asked, rcode: number): Uint8Array =>
  encodeAnswer(asked, { rcode, records: [], ttl: 0 }, "udp");

/** Returns a copy of a message with another ID. */
export function withId(message: Uint8Array, id: number): Uint8Array {
  const copy = message.slice();
  copy[0] = id >> 8;
  copy[1] = id & 0xff;
  return copy;
}

/** Returns an answer of another server as the client is to get it: with the query's ID, and cut when it does not fit. */
export function forwardedAnswer(answer: Uint8Array, query: Query, transport: Transport): Uint8Array {
  if (answer.length <= largestAnswer(query, transport)) return withId(answer, query.id);
  const cut = encodeRefusal(query, Rcode.noError);
  cut[2] = (cut[2] as number) | (Flag.truncated >> 8);
  return cut;
}

/** What an answer of another server is worth. */
export type Verdict = { rcode: number; truncated: boolean } | { problem: string };

/**
 * Judges an answer of another server to a query that went out with this ID: whether it is one, to this question, and well formed to its
 * last byte, so that no client is given what may harm it.
 */
export function judgeAnswer(answer: Uint8Array, id: number, { question }: Pick<Query, "question">): Verdict {
  const header = readHeader(answer);
  if (header === undefined) return { problem: "it has no header" };
  const { flags, counts } = header;
  if (header.id !== id) return { problem: "it has another ID" };
  if ((flags & Flag.response) === 0) return { problem: "it is a query" };
  if ((flags & OPCODE) !== 0) return { problem: "it is no answer to a standard query" };
  if (counts[0] !== 1) return { problem: `it has ${counts[0]} questions` };
  const asked = readQuestion(answer, HEADER);
  if (asked === undefined) return { problem: "its question is malformed" };
  const isSame =
    asked.question.name === question.name &&
    asked.question.type === question.type &&
    asked.question.class === question.class;
  if (!isSame) return { problem: "it has another question" };
  let at = asked.end;
  for (let left = counts[1] + counts[2] + counts[3]; left > 0; left--) {
    const record = readRecord(answer, at);
    if (record === undefined || !hasWellFormedData(answer, record)) return { problem: "a record is malformed" };
    at = record.end;
  }
  if (at !== answer.length) return { problem: "it has bytes behind its last record" };
  return { rcode: flags & 0xf, truncated: (flags & Flag.truncated) !== 0 };
}

/** For types whose data is a name, or begins with names, or ends with one: how many bytes are before them, and how many names there are. */
const namesInData: ReadonlyMap<number, readonly [before: number, names: number]> = new Map([
  [Type.NS, [0, 1]],
  [Type.CNAME, [0, 1]],
  [Type.SOA, [0, 2]],
  [Type.PTR, [0, 1]],
  [Type.MX, [2, 1]],
  [Type.DNAME, [0, 1]],
]);
const SOA_NUMBERS = 20;

function hasWellFormedData(bytes: Uint8Array, { type, data, end }: RecordHead): boolean {
  if (type === Type.A) return end - data === 4;
  if (type === Type.AAAA) return end - data === 16;
  const layout = namesInData.get(type);
  if (layout === undefined) return true;
  let at = data + layout[0];
  for (let left = layout[1]; left > 0; left--) {
    const name = readName(bytes, at);
    if (name === undefined) return false;
    at = name.end;
  }
  return at + (type === Type.SOA ? SOA_NUMBERS : 0) === end;
}
