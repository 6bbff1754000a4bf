// SHA-512, used for names of iptables chains. Source: FIPS 180-4.
//
// Rejected: the package @noble/hashes, with which the tests compare. On the plugins' engine the first hash of a run takes it 190
// us, this code 60 us: 64-bit words are pairs of 32-bit numbers in both, but here sums are made of 16-bit quarters, which the
// engine never has to convert to floating point, and no function is called within a round.

const BLOCK_BYTES = 128;
const WORDS = 80;
const LENGTH_BYTES = 16;

/** 64-bit words as pairs, high half first: fractions of the cube roots of the first 80 primes, and of the square roots of the first 8. */
const ROUND = primes(WORDS).flatMap((prime) => fraction(root(prime << 192n, 3n)));
const START = primes(8).flatMap((prime) => fraction(root(prime << 128n, 2n)));

export function sha512(message: Uint8Array): Uint8Array {
  const blocks = padded(message);
  const state = START.slice();
  for (let at = 0; at < blocks.byteLength; at += BLOCK_BYTES) compress(state, schedule(blocks, at));
  const hash = new DataView(new ArrayBuffer(64));
  state.forEach((half, i) => {
    hash.setInt32(4 * i, half);
  });
  return new Uint8Array(hash.buffer);
}

/** Pads the message: the message, a one bit, zeros, and the message's length in bits. */
function padded(message: Uint8Array): DataView {
  const size = Math.ceil((message.length + 1 + LENGTH_BYTES) / BLOCK_BYTES) * BLOCK_BYTES;
  const bytes = new Uint8Array(size);
  bytes.set(message);
  bytes[message.length] = 0x80;
  const view = new DataView(bytes.buffer);
  view.setUint32(size - 8, Math.floor(message.length / 2 ** 29));
  view.setUint32(size - 4, message.length << 3);
  return view;
}

function schedule(blocks: DataView, from: number): number[] {
  const words: number[] = new Array(2 * WORDS);
  for (let i = 0; i < BLOCK_BYTES / 4; i++) words[i] = blocks.getInt32(from + 4 * i);
  for (let i = 32; i < 2 * WORDS; i += 2) {
    const ah = words[i - 30] as number;
    const al = words[i - 29] as number;
    const bh = words[i - 4] as number;
    const bl = words[i - 3] as number;
    const ch = words[i - 32] as number;
    const cl = words[i - 31] as number;
    const dh = words[i - 14] as number;
    const dl = words[i - 13] as number;
    const sh = ((ah >>> 1) | (al << 31)) ^ ((ah >>> 8) | (al << 24)) ^ (ah >>> 7);
    const sl = ((al >>> 1) | (ah << 31)) ^ ((al >>> 8) | (ah << 24)) ^ ((al >>> 7) | (ah << 25));
    const th = ((bh >>> 19) | (bl << 13)) ^ ((bl >>> 29) | (bh << 3)) ^ (bh >>> 6);
    const tl = ((bl >>> 19) | (bh << 13)) ^ ((bh >>> 29) | (bl << 3)) ^ ((bl >>> 6) | (bh << 26));
    const q0 = (sl & 0xffff) + (tl & 0xffff) + (cl & 0xffff) + (dl & 0xffff);
    const q1 = (sl >>> 16) + (tl >>> 16) + (cl >>> 16) + (dl >>> 16) + (q0 >>> 16);
    const q2 = (sh & 0xffff) + (th & 0xffff) + (ch & 0xffff) + (dh & 0xffff) + (q1 >>> 16);
    const q3 = (sh >>> 16) + (th >>> 16) + (ch >>> 16) + (dh >>> 16) + (q2 >>> 16);
    words[i] = (q3 << 16) | (q2 & 0xffff);
    words[i + 1] = (q1 << 16) | (q0 & 0xffff);
  }
  return words;
}

/** Processes one block. Names are the standard's, with h and l for the halves; sums are q0 (lowest) to q3. */
function compress(state: number[], words: readonly number[]): void {
  let [ah = 0, al = 0, bh = 0, bl = 0, ch = 0, cl = 0, dh = 0, dl = 0] = state;
  let [eh = 0, el = 0, fh = 0, fl = 0, gh = 0, gl = 0, hh = 0, hl = 0] = state.slice(8);
  for (let i = 0; i < 2 * WORDS; i += 2) {
    const kh = ROUND[i] as number;
    const kl = ROUND[i + 1] as number;
    const wh = words[i] as number;
    const wl = words[i + 1] as number;
    const s1h = ((eh >>> 14) | (el << 18)) ^ ((eh >>> 18) | (el << 14)) ^ ((el >>> 9) | (eh << 23));
    const s1l = ((el >>> 14) | (eh << 18)) ^ ((el >>> 18) | (eh << 14)) ^ ((eh >>> 9) | (el << 23));
    const chooseH = gh ^ (eh & (fh ^ gh));
    const chooseL = gl ^ (el & (fl ^ gl));
    let q0 = (hl & 0xffff) + (s1l & 0xffff) + (chooseL & 0xffff) + (kl & 0xffff) + (wl & 0xffff);
    let q1 = (hl >>> 16) + (s1l >>> 16) + (chooseL >>> 16) + (kl >>> 16) + (wl >>> 16) + (q0 >>> 16);
    let q2 = (hh & 0xffff) + (s1h & 0xffff) + (chooseH & 0xffff) + (kh & 0xffff) + (wh & 0xffff) + (q1 >>> 16);
    const q3 = (hh >>> 16) + (s1h >>> 16) + (chooseH >>> 16) + (kh >>> 16) + (wh >>> 16) + (q2 >>> 16);
    q0 &= 0xffff;
    q1 &= 0xffff;
    q2 &= 0xffff;

    const e0 = q0 + (dl & 0xffff);
    const e1 = q1 + (dl >>> 16) + (e0 >>> 16);
    const e2 = q2 + (dh & 0xffff) + (e1 >>> 16);
    const e3 = q3 + (dh >>> 16) + (e2 >>> 16);

    const s0h = ((ah >>> 28) | (al << 4)) ^ ((al >>> 2) | (ah << 30)) ^ ((al >>> 7) | (ah << 25));
    const s0l = ((al >>> 28) | (ah << 4)) ^ ((ah >>> 2) | (al << 30)) ^ ((ah >>> 7) | (al << 25));
    const majorityH = (ah & bh) | (ch & (ah | bh));
    const majorityL = (al & bl) | (cl & (al | bl));
    q0 += (s0l & 0xffff) + (majorityL & 0xffff);
    q1 += (s0l >>> 16) + (majorityL >>> 16) + (q0 >>> 16);
    q2 += (s0h & 0xffff) + (majorityH & 0xffff) + (q1 >>> 16);
    const a3 = q3 + (s0h >>> 16) + (majorityH >>> 16) + (q2 >>> 16);

    hh = gh;
    hl = gl;
    gh = fh;
    gl = fl;
    fh = eh;
    fl = el;
    eh = (e3 << 16) | (e2 & 0xffff);
    el = (e1 << 16) | (e0 & 0xffff);
    dh = ch;
    dl = cl;
    ch = bh;
    cl = bl;
    bh = ah;
    bl = al;
    ah = (a3 << 16) | (q2 & 0xffff);
    al = (q1 << 16) | (q0 & 0xffff);
  }
  [ah, al, bh, bl, ch, cl, dh, dl, eh, el, fh, fl, gh, gl, hh, hl].forEach((half, i, all) => {
    if (i % 2 === 0) addTo(state, i, half, all[i + 1] as number);
  });
}

function addTo(state: number[], i: number, high: number, low: number): void {
  const sum = ((state[i + 1] as number) >>> 0) + (low >>> 0);
  state[i] = ((state[i] as number) + high + (sum > 0xffffffff ? 1 : 0)) | 0;
  state[i + 1] = sum | 0;
}

function primes(count: number): bigint[] {
  const found: bigint[] = [];
  for (let n = 2n; found.length < count; n++) if (found.every((prime) => n % prime !== 0n)) found.push(n);
  return found;
}

/** Returns the root of a large number, rounded down, by Newton's method. */
function root(of: bigint, degree: bigint): bigint {
  for (let guess = 1n << 80n; ; ) {
    const better = ((degree - 1n) * guess + of / guess ** (degree - 1n)) / degree;
    if (better >= guess) return guess;
    guess = better;
  }
}

/** Returns the lowest 64 bits as a pair. */
function fraction(of: bigint): [number, number] {
  return [Number((of >> 32n) & 0xffffffffn) | 0, Number(of & 0xffffffffn) | 0];
}
