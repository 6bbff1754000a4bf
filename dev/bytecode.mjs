// Leaves out of the engine's bytecode what only takes memory: the columns of positions (stack traces name lines), and the names and scopes of
// variables to which no closure refers.
//
// The format is that of one release of the engine: a version, the texts that the program names by their number, and then the program as a
// function, with its constants, among which are the functions inside. Numbers are LEB128, unless their size is said.

const VERSION = 7;

/** Tags of constants. */
const [STRING, FLOAT64, INT32, ARRAY, BIG_INT, TEMPLATE, FUNCTION] = [7, 6, 5, 9, 10, 11, 12];
/** The last tag of those without content: null, undefined, false, true. */
const LAST_EMPTY = 4;
/** The flag of functions that have positions. */
const HAS_POSITIONS = 1 << 10;

/** @throws Error when the bytecode is of another release of the engine */
export function withoutDetails(bytecode) {
  const reader = new Reader(bytecode);
  try {
    if (reader.byte() !== VERSION) throw new Error("it has another version");
    for (let texts = reader.number(); texts > 0; texts--) skipText(reader);
    shortenConstant(reader);
    if (reader.at !== bytecode.length) throw new Error(`it goes on at ${reader.at}`);
  } catch (error) {
    const remedy =
      "To fix: go back to the earlier release of @suchipi/quickjs, or have dev/bytecode.mjs read the new format";
    throw new Error(`the engine's compiler writes a format that is not known: ${error.message}. ${remedy}`, {
      cause: error,
    });
  }
  return reader.shortened();
}

class Reader {
  at = 0;
  #bytes;
  #kept = [];
  #keptUntil = 0;

  constructor(bytes) {
    this.#bytes = bytes;
  }

  byte() {
    const byte = this.#bytes[this.at++];
    if (byte === undefined) throw new Error("it ends early");
    return byte;
  }

  bytes(size) {
    if (this.at + size > this.#bytes.length) throw new Error("it ends early");
    this.at += size;
    return this.#bytes.subarray(this.at - size, this.at);
  }

  number() {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }

  signed() {
    const from = this.at;
    const value = this.number();
    const shift = 32 - Math.min(32, 7 * (this.at - from)); // the last bit that was read is the sign
    return (value << shift) >> shift;
  }

  /** Has something else in the place of what was read since `from`. */
  replaceFrom(from, bytes) {
    this.#kept.push(this.#bytes.subarray(this.#keptUntil, from), Buffer.from(bytes));
    this.#keptUntil = this.at;
  }

  shortened() {
    return Buffer.concat([...this.#kept, this.#bytes.subarray(this.#keptUntil)]);
  }
}

function skipText(reader) {
  const length = reader.number();
  reader.bytes((length >> 1) << (length & 1)); // the lowest bit: two bytes for each character
}

function shortenConstant(reader) {
  const tag = reader.byte();
  if (tag === FUNCTION) shortenFunction(reader);
  else if (tag === STRING) skipText(reader);
  else if (tag === FLOAT64) reader.bytes(8);
  else if (tag === INT32) reader.number();
  else if (tag === BIG_INT) reader.bytes(reader.number());
  else if (tag === ARRAY || tag === TEMPLATE) {
    const more = tag === TEMPLATE ? 1 : 0; // the list of texts as they are written
    for (let items = reader.number() + more; items > 0; items--) shortenConstant(reader);
  } else if (tag > LAST_EMPTY) throw new Error(`a constant has tag ${tag}`);
}

function shortenFunction(reader) {
  const flags = reader.bytes(2).readUInt16LE();
  reader.byte(); // whether it is strict
  reader.number(); // its name
  const [, , , , captured, closures, constants, codeSize] = Array.from({ length: 8 }, () => reader.number());
  shortenVariables(reader, captured);
  for (let i = 0; i < closures; i++) {
    for (let field = 0; field < 2; field++) reader.number(); // name, place
    reader.bytes(2); // kind
  }
  reader.bytes(codeSize);
  if (flags & HAS_POSITIONS) {
    reader.number(); // the file
    const from = reader.at;
    const lines = onlyLines(reader.bytes(reader.number()));
    reader.replaceFrom(from, [...leb128(lines.length), ...lines]);
    reader.bytes(reader.number()); // the source, which the compiler leaves out
  }
  for (let i = 0; i < constants; i++) shortenConstant(reader);
}

/** @param captured how many of its variables functions inside refer to; the engine looks up where these are */
function shortenVariables(reader, captured) {
  const from = reader.at;
  for (let variables = reader.number(); variables > 0; variables--) {
    for (let field = 0; field < 3; field++) reader.number(); // name, next in the scope, place among those that are referred to
    reader.byte(); // kind
  }
  if (captured === 0) reader.replaceFrom(from, [0]);
}

/**
 * A table of positions: line and column of the function, then for each position how many bytes of code, lines and columns it is behind
 * the one before. Small steps are one byte, others a zero, code and lines; then the column.
 */
function onlyLines(table) {
  const [leastLines, lineSteps, mostCode] = [-1, 5, 50];
  const reader = new Reader(table);
  const made = [...leb128(reader.number()), 0];
  reader.number(); // the column
  let code = 0;
  while (reader.at < table.length) {
    const step = reader.byte();
    code += step === 0 ? reader.number() : Math.floor((step - 1) / lineSteps);
    const lines = step === 0 ? reader.signed() : ((step - 1) % lineSteps) + leastLines;
    reader.signed(); // columns
    if (lines === 0) continue;
    const isSmall = lines >= leastLines && lines < leastLines + lineSteps && code <= mostCode;
    made.push(
      ...(isSmall ? [lines - leastLines + code * lineSteps + 1] : [0, ...leb128(code), ...signedLeb128(lines)]),
      0,
    );
    code = 0;
  }
  return made;
}

const leb128 = (value) => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb128(value >>> 7)]);

const signedLeb128 = (value) =>
  value >= -64 && value < 64 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signedLeb128(value >> 7)];
