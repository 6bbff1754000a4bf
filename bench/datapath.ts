// What each data path costs: TCP, latency, datagrams and processor time between two hosts, beside the same path wired by hand. Usage, as root:
//
//   npm run bench:datapath                          all, about five minutes
//   npm run bench:datapath -- --only vxlan,udp      paths: host, bridge, ptp, macvlan, host-gw, vxlan, udp; and control-loop
//   npm run bench:datapath -- --rounds 2            fewer rounds: a trend
//
// Prints tables; a complete run writes bench/results/datapath.{json,md} and datapath-{throughput,latency,cpu}.svg, and the figures of
// docs/performance.md. How to read them: bench/README.md.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Test } from "../e2e/cluster/program.ts";
import { controlLoopRows } from "./datapath/control-loop.ts";
import { C_PROGRAM, charts, ofHand, pathsBesideHand, rowsOf, summary } from "./datapath/rows.ts";
import { type Durations, measureStream, measureWire, startServer, type Wire } from "./datapath/traffic.ts";
import { type Contest, contests, type PathName, type Programs, pathNames } from "./datapath/wires.ts";
import { isMet, type Row, Samples, type Who } from "./figures.ts";
import { compile } from "./launcher.ts";
import { describeMachine, machineText } from "./machine.ts";
import { tables } from "./table.ts";
import { whileThereIs } from "./while-there-is.ts";

const ROUNDS = 6;
const WARM_UP: Durations = { tcp: 100, latency: 20, udp: 20 };
/** Streams on the paths that have a goal beside those wired by hand, for each round. */
const PAIRS_IN_A_ROUND = 4;
const DURATIONS: Durations = { tcp: 600, latency: 300, udp: 400 };
const PAGE = join(import.meta.dirname, "../docs/performance.md");
/** The part of the page that a complete run writes. */
const MEASURED = /(<!-- measured -->\n)[\s\S]*?(\n<!-- end -->)/;
const CONTROL_LOOP = "control-loop";
const CONTROL_LOOP_ROUNDS = 24;

const { values: options } = parseArgs({ options: { only: { type: "string" }, rounds: { type: "string" } } });
const rounds = Number(options.rounds ?? ROUNDS);
const sections = [...pathNames, CONTROL_LOOP];
const wanted = options.only?.split(",") ?? sections;
const unknown = wanted.filter((name) => !sections.includes(name));
if (unknown.length > 0) stop(`there is no ${unknown.join(", ")}; choose of: ${sections.join(", ")}`);
if (!(rounds >= 1)) stop("--rounds must be 1 or more");
if (process.getuid?.() !== 0) stop("the benchmark makes network namespaces: run it as root");

const machine = describeMachine();
console.log(machineText(machine));
const rows = await measureAll();
console.log(`\n${tables(rows, C_PROGRAM)}\n`);
const goals = rows.flatMap((row) => row.goals);
console.log(`${goals.filter(isMet).length} of ${goals.length} goals met`);
if (options.only === undefined) writeResults();

async function measureAll(): Promise<Row[]> {
  const programs = { traffic: compile("traffic.c", "traffic"), udpProxy: compile("udp-proxy.c", "udp-proxy") };
  const started = performance.now();
  const chosen = contests.filter(({ path }) => wanted.includes(path));
  const rows = chosen.length === 0 ? [] : await whileThereIs((t) => measurePaths(t, chosen, programs));
  if (wanted.includes(CONTROL_LOOP)) {
    process.stderr.write("measuring the control loop\n");
    rows.push(
      ...(await whileThereIs((t) => controlLoopRows(t, programs.traffic, Math.min(CONTROL_LOOP_ROUNDS, 4 * rounds)))),
    );
  }
  process.stderr.write(`${Math.round((performance.now() - started) / 1000)} s\n`);
  return rows;
}

/** Round by round, each path in a place that rotates. */
async function measurePaths(t: Test, chosen: readonly Contest[], programs: Programs): Promise<Row[]> {
  const { traffic } = programs;
  const wired: { contest: Contest; wire: Wire }[] = [];
  for (const contest of chosen) {
    process.stderr.write(`wiring ${contest.path} (${contest.who})\n`);
    const wire = await wireOrSkip(t, contest, programs);
    if (wire === undefined) continue;
    await startServer(t, traffic, wire);
    measureWire(traffic, wire, WARM_UP);
    wired.push({ contest, wire });
  }
  const samples = new Samples();
  for (let round = 0; round < rounds; round++) {
    process.stderr.write(`round ${round + 1} of ${rounds}\n`);
    const place = round % wired.length;
    const measured = [...wired.slice(place), ...wired.slice(0, place)].map(({ contest, wire }) => {
      const figures = measureWire(traffic, wire, DURATIONS);
      for (const [name, value] of Object.entries(figures)) samples.add(`${contest.who} ${contest.path} ${name}`, value);
      return { contest, figures };
    });
    const whole = measured.find(({ contest }) => contest.path === "host")?.figures.oneStreamGbits;
    for (const { contest, figures } of whole === undefined ? [] : measured)
      samples.add(`${contest.who} ${contest.path} ofHost`, (100 * figures.oneStreamGbits) / (whole ?? 1));
  }
  for (const { contest, wire } of wired) samples.add(`${contest.who} ${contest.path} mtu`, wire.mtu);
  for (const path of pathsBesideHand) {
    const wireOf = (who: Who) => wired.find(({ contest }) => contest.path === path && contest.who === who)?.wire;
    const [twill, hand] = [wireOf("twill"), wireOf("hand")];
    if (twill !== undefined && hand !== undefined) measurePair(traffic, { path, twill, hand }, samples);
  }
  return rowsOf(samples);
}

/** A stream on either path in turn: the two differ by less than rounds that are seconds apart. */
function measurePair(traffic: string, pair: { path: PathName; twill: Wire; hand: Wire }, samples: Samples): void {
  process.stderr.write(`${pair.path}, twill and by hand in turn\n`);
  for (let i = 0; i < PAIRS_IN_A_ROUND * rounds; i++) {
    const measure = (who: "twill" | "hand") => measureStream(traffic, pair[who], DURATIONS.tcp);
    const [first, second] = i % 2 === 0 ? (["twill", "hand"] as const) : (["hand", "twill"] as const);
    const gbits = { [first]: measure(first), [second]: measure(second) };
    samples.add(ofHand(pair.path), (gbits["twill"] ?? Number.NaN) / (gbits["hand"] ?? Number.NaN));
  }
}

/** Docker does not run everywhere: without control groups, for instance. */
async function wireOrSkip(t: Test, contest: Contest, programs: Programs): Promise<Wire | undefined> {
  try {
    return await contest.wire(t, programs);
  } catch (error) {
    if (contest.who !== "Docker") throw error;
    process.stderr.write(`without Docker: ${(error as Error).message}\n`);
    return undefined;
  }
}

function writeResults(): void {
  const folder = join(import.meta.dirname, "results");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "datapath.json"), `${JSON.stringify({ measured: new Date(), machine, rows }, null, 1)}\n`);
  writeFileSync(join(folder, "datapath.md"), `${machineText(machine)}\n\n${tables(rows, C_PROGRAM)}\n`);
  for (const [name, chart] of Object.entries(charts(rows, machine)))
    writeFileSync(join(folder, `datapath-${name}.svg`), chart);
  const page = readFileSync(PAGE, "utf8");
  writeFileSync(
    PAGE,
    page.replace(MEASURED, (_, begin, end) => `${begin}\n${machineText(machine)}\n\n${summary(rows)}\n${end}`),
  );
}

function stop(text: string): never {
  console.error(text);
  process.exit(1);
}
