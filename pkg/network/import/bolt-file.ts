/**
 * Reads a bolt database (go.etcd.io/bbolt), a file of pages, without changing or locking it: what is committed stays whole while another program
 * writes, which is why a page is never written in place. Pure.
 *
 * All numbers are little-endian on the machines that we run on. A page begins with id u64, flags u16, count u16, overflow u32; pages 0 and 1 are meta
 * pages, of which the valid one with the higher transaction counts.
 */
import { decode } from "../../sys/text.ts";

const PAGE_HEADER = 16;
const META_SIZE = 64;
/** Of it, what the checksum is made of. */
const META_CHECKED = 56;
const MAGIC = 0xed0cdaed;
const VERSION = 2;
const Flag = { branch: 1, leaf: 2 } as const;
const ELEMENT_SIZE = 16;
/** The flag of a leaf's element whose value is a bucket. */
const IS_BUCKET = 1;
const BUCKET_HEADER = 16;
/** A tree of this depth would have more keys than any file has bytes. */
const DEEPEST = 32;
const [LEAST_PAGE, LARGEST_PAGE] = [512, 1 << 20];

/** The file is no bolt database, or is damaged; the message says where. */
export class DamagedBolt extends Error {
  override name = "DamagedBolt";
}

interface File {
  bytes: DataView;
  pageSize: number;
}

/** The part of the file that a page has. */
interface Page {
  view: DataView;
  id: bigint;
}

/**
 * Returns the keys and values of a bucket at the top level, without the buckets in it; undefined: there is no such bucket.
 *
 * @throws DamagedBolt
 */
export function readBoltBucket(content: Uint8Array, bucket: string): Map<string, Uint8Array> | undefined {
  const bytes = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const { pageSize, root } = newestMeta(bytes);
  const file = { bytes, pageSize };
  for (const { key, value, isBucket } of elementsBelow(file, root, 0)) {
    if (!isBucket || decode(key) !== bucket) continue;
    const found = new Map<string, Uint8Array>();
    for (const one of elementsOf(file, value)) if (!one.isBucket) found.set(decode(one.key), one.value);
    return found;
  }
  return undefined;
}

interface Meta {
  pageSize: number;
  root: bigint;
  transaction: bigint;
}

function newestMeta(bytes: DataView): Meta {
  const first = metaAt(bytes, 0);
  // where the first is damaged, its page size is not known: one of the usual ones then leads to the second
  const sizes = typeof first === "string" ? [4096, 8192, 16384, 65536] : [first.pageSize];
  const metas = [first, ...sizes.map((size) => metaAt(bytes, size))].filter((meta) => typeof meta !== "string");
  const [newest] = metas.sort((one, other) => (one.transaction > other.transaction ? -1 : 1));
  if (newest !== undefined) return newest;
  throw new DamagedBolt(typeof first === "string" ? first : "it has no meta page");
}

/** @returns why there is none */
function metaAt(bytes: DataView, page: number): Meta | string {
  const at = page + PAGE_HEADER;
  if (bytes.byteLength < at + META_SIZE) return `it ends after ${bytes.byteLength} bytes, before its meta page does`;
  if (bytes.getUint32(at, true) !== MAGIC) return "it does not begin as a bolt database does (magic number)";
  const version = bytes.getUint32(at + 4, true);
  if (version !== VERSION) return `its format has version ${version}, not ${VERSION}`;
  if (bytes.getBigUint64(at + META_CHECKED, true) !== checksum(bytes, at))
    return "the checksums of its meta pages are wrong";
  const pageSize = bytes.getUint32(at + 8, true);
  if (pageSize < LEAST_PAGE || pageSize > LARGEST_PAGE) return `its pages have ${pageSize} bytes`;
  return { pageSize, root: bytes.getBigUint64(at + 16, true), transaction: bytes.getBigUint64(at + 48, true) };
}

/** FNV-1a with 64 bits. */
function checksum(bytes: DataView, at: number): bigint {
  let hash = 0xcbf29ce484222325n;
  for (let i = at; i < at + META_CHECKED; i++)
    hash = ((hash ^ BigInt(bytes.getUint8(i))) * 0x100000001b3n) & 0xffffffffffffffffn;
  return hash;
}

interface Element {
  key: Uint8Array;
  value: Uint8Array;
  isBucket: boolean;
}

/** Yields what is in a bucket: its value says on which page, or has that page behind it. */
function* elementsOf(file: File, bucket: Uint8Array): Generator<Element> {
  if (bucket.length < BUCKET_HEADER) throw new DamagedBolt(`a bucket has ${bucket.length} bytes`);
  const view = new DataView(bucket.buffer, bucket.byteOffset, bucket.byteLength);
  const root = view.getBigUint64(0, true);
  if (root !== 0n) yield* elementsBelow(file, root, 0);
  else yield* elementsIn(file, { view: rest(view, BUCKET_HEADER), id: 0n }, 0);
}

const elementsBelow = (file: File, id: bigint, depth: number): Generator<Element> =>
  elementsIn(file, pageWith(file, id), depth);

function pageWith({ bytes, pageSize }: File, id: bigint): Page {
  const at = Number(id) * pageSize;
  if (at + PAGE_HEADER > bytes.byteLength) throw new DamagedBolt(`page ${id} is behind its end`);
  if (bytes.getBigUint64(at, true) !== id) throw new DamagedBolt(`page ${id} says that it is another one`);
  const size = (bytes.getUint32(at + 12, true) + 1) * pageSize;
  if (at + size > bytes.byteLength) throw new DamagedBolt(`page ${id} is longer than the rest of it`);
  return { view: new DataView(bytes.buffer, bytes.byteOffset + at, size), id };
}

function* elementsIn(file: File, page: Page, depth: number): Generator<Element> {
  if (depth > DEEPEST) throw new DamagedBolt(`page ${page.id} is a page of itself`);
  const { view, id } = page;
  if (view.byteLength < PAGE_HEADER) throw new DamagedBolt("a bucket has a page without a header");
  const flags = view.getUint16(8, true);
  const count = view.getUint16(10, true);
  if (flags !== Flag.branch && flags !== Flag.leaf) throw new DamagedBolt(`page ${id} has the unknown flags ${flags}`);
  if (PAGE_HEADER + count * ELEMENT_SIZE > view.byteLength) throw new DamagedBolt(`page ${id} has more keys than room`);
  for (let i = 0; i < count; i++) {
    const at = PAGE_HEADER + i * ELEMENT_SIZE;
    if (flags === Flag.branch) yield* elementsBelow(file, view.getBigUint64(at + 8, true), depth + 1);
    else yield elementAt(page, at);
  }
}

function elementAt({ view, id }: Page, at: number): Element {
  const [flags = 0, offset = 0, keySize = 0, valueSize = 0] = [0, 4, 8, 12].map((i) => view.getUint32(at + i, true));
  const from = at + offset;
  if (from + keySize + valueSize > view.byteLength) throw new DamagedBolt(`page ${id} has a key that ends behind it`);
  const whole = new Uint8Array(view.buffer, view.byteOffset + from, keySize + valueSize);
  return { key: whole.subarray(0, keySize), value: whole.subarray(keySize), isBucket: (flags & IS_BUCKET) !== 0 };
}

const rest = (view: DataView, from: number): DataView =>
  new DataView(view.buffer, view.byteOffset + from, view.byteLength - from);
