// Which blocks of the frozen program lie together, from what the profiling host (native/profiling/profile.h) has seen calls of plugins read and write.
import { basename } from "node:path";

/** Calls in the order in which they decide where a block lies: what the first one writes is together, of what it does not write what the second one does, and so on. */
const DECISIVE = [
  ["bridge", "ADD"],
  ["bridge", "DEL"],
  ["bridge", "CHECK"],
  ["portmap", "ADD"],
  ["firewall", "ADD"],
  ["tuning", "ADD"],
  ["bandwidth", "ADD"],
  ["portmap", "DEL"],
  ["firewall", "DEL"],
  ["tuning", "DEL"],
  ["bandwidth", "DEL"],
  ["ptp", "ADD"],
  ["ptp", "DEL"],
  ["macvlan", "ADD"],
  ["macvlan", "DEL"],
  ["host-device", "ADD"],
  ["host-device", "DEL"],
  ["sbr", "ADD"],
  ["sbr", "DEL"],
  ["host-local", "ADD"],
  ["host-local", "DEL"],
  ["static", "ADD"],
  ["static", "DEL"],
  ["loopback", "ADD"],
  ["loopback", "DEL"],
  ["portmap", "CHECK"],
  ["firewall", "CHECK"],
  ["tuning", "CHECK"],
  ["bandwidth", "CHECK"],
  ["ptp", "CHECK"],
  ["macvlan", "CHECK"],
  ["host-device", "CHECK"],
  ["sbr", "CHECK"],
  ["static", "CHECK"],
];

/** Blocks of which a run touches a small part, such as hash tables, do not lie among those that are written as a whole. */
const LARGE = 8192;
const PAGE = 4096;

/** The parts of the image behind the cold one, as in native/image-layout.h. */
const PARTS = ["read", "written", "writtenByAdd", "writtenOften", "writtenAlways"];

/** @returns {{ allocations: number, runs: object[] }} what a replay prints; of each run its plugin and verb, counts, and the size and kind of access of each block by number */
export function readReport(text) {
  const report = { allocations: 0, runs: [] };
  for (const line of text.trim().split("\n")) {
    const [word, ...rest] = line.split(" ");
    const run = report.runs.at(-1);
    if (word === "allocations") report.allocations = Number(rest[0]);
    else if (word === "transcript") report.runs.push({ ...namesOf(rest.join(" ")), blocks: new Map() });
    else if (word === "calls" || word === "steps") run[word] = Number(rest[0]);
    else if (word === "stale") run.stale = rest.join(" ");
    else if (word === "block") run.blocks.set(Number(rest[0]), { size: Number(rest[1]), isWritten: rest[2] === "2" });
    else throw new Error(`the profiling host printed ${JSON.stringify(line)}, which is no line of a report`);
  }
  return report;
}

/** Tells plugin and verb from a transcript's name: PLUGIN-VERB.txt or PLUGIN-WHAT-VERB.txt. */
export function namesOf(file) {
  const name = basename(file, ".txt");
  const words = name.split("-");
  return { name, plugin: name.startsWith("host-") ? words.slice(0, 2).join("-") : words[0], verb: words.at(-1) };
}

/** Decides which blocks belong to which part, and in which order they lie there. */
export function arrange({ runs }) {
  const writes = (plugin, verb) => (n) =>
    runs.some((run) => run.plugin === plugin && run.verb === verb && run.blocks.get(n)?.isWritten);
  const reads = (plugin, verb) => (n) =>
    runs.some((run) => run.plugin === plugin && run.verb === verb && run.blocks.has(n));
  const numbers = (wanted) => [
    ...new Set(runs.flatMap(({ blocks }) => [...blocks.keys()].filter((n) => wanted(blocks.get(n))))),
  ];
  const size = (n) => runs.find(({ blocks }) => blocks.has(n)).blocks.get(n).size;

  const written = numbers(({ isWritten }) => isWritten);
  const isWritten = new Set(written);
  const always = new Set(written.filter((n) => writes("bridge", "VERSION")(n) && size(n) < LARGE));
  const inEveryVerb = ["ADD", "DEL", "CHECK"].map((verb) => writes("bridge", verb));
  const often = new Set(
    written.filter((n) => !always.has(n) && size(n) < LARGE && inEveryVerb.every((does) => does(n))),
  );
  const others = written.filter((n) => !always.has(n) && !often.has(n));
  const ascending = (ns) => [...ns].sort((a, b) => a - b);
  const isLarge = (n) => size(n) >= LARGE;
  const byAdd = writes("bridge", "ADD");
  return {
    read: byDecisiveCalls(
      numbers(() => true).filter((n) => !isWritten.has(n)),
      reads,
    ),
    written: [
      ...ascending(others.filter(isLarge)),
      ...byDecisiveCalls(
        others.filter((n) => !isLarge(n) && !byAdd(n)),
        writes,
      ),
    ],
    writtenByAdd: byDecisiveCalls(
      others.filter((n) => !isLarge(n) && byAdd(n)),
      writes,
    ),
    writtenOften: ascending(often),
    writtenAlways: ascending(always),
  };
}

/** Those that the decisive calls touch come last, next to the parts that all calls touch. */
function byDecisiveCalls(ns, touches) {
  const tests = DECISIVE.map(([plugin, verb]) => touches(plugin, verb));
  const keys = new Map(ns.map((n) => [n, tests.map((touched) => (touched(n) ? "1" : "0")).join("")]));
  return ns.sort((a, b) => keys.get(a).localeCompare(keys.get(b), "en") || a - b);
}

/** The file that the host reads (native/image-layout.h). */
export function orderFile({ allocations }, parts) {
  return Buffer.from(
    Uint32Array.from([allocations, ...PARTS.flatMap((part) => [parts[part].length, ...parts[part]])]).buffer,
  );
}

/** How many bytes the blocks have that a run writes to; of large ones it writes to a few. */
export function writtenBytes({ blocks }) {
  const sizes = [...blocks.values()].filter(({ isWritten, size }) => isWritten && size < LARGE).map(({ size }) => size);
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Counts the pages of the frozen program that a run copies since it writes to them. */
export function copiedPages({ runs }, parts) {
  const sizes = new Map(runs.flatMap(({ blocks }) => [...blocks].map(([n, { size }]) => [n, size])));
  const places = new Map();
  let at = 0;
  for (const part of PARTS) {
    if (part === "read" || part === "written") at = Math.ceil(at / PAGE) * PAGE;
    for (const n of parts[part]) {
      places.set(n, at);
      at += sizes.get(n);
    }
  }
  return (run) => {
    const pages = new Set();
    for (const [n, { size, isWritten }] of run.blocks) {
      const [first, last] = [places.get(n), places.get(n) + size - 1].map((byte) => Math.floor(byte / PAGE));
      if (isWritten) for (let page = first; page <= (size < LARGE ? last : first); page++) pages.add(page);
    }
    return pages.size;
  };
}
