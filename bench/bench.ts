// How fast twill is beside the Go plugins, and beside what the kernel alone takes. Usage, as root:
//
//   npm run bench                     all but builds and tests, about a quarter of an hour
//   npm run bench -- --quick          few rounds, about a minute: to see a trend
//   npm run bench -- --only bridge    sections: start, bridge, flannel, plugins, ports, snapshot, flanneld-start, cluster, lease-events, at-once, podman, host-local, attachments, size
//   npm run bench -- --only size --update    puts the rows of these sections into bench/results/latest.* in the place of earlier ones
//   npm run bench -- --build --tests  also the time of builds, and of the tests
//   npm run bench -- --against DIR    also beside an earlier build of ours, whose plugins lie in DIR
//   PEER_DIR=/opt/cni/bin npm run bench    beside other Go plugins
//
// Prints a table; a complete run writes bench/results/latest.{json,md,svg}. How to read them: bench/README.md.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { goBin, ourBin } from "../e2e/lab/project.ts";
import { atOnceRows } from "./at-once.ts";
import { bridgeRows } from "./bridge.ts";
import { buildRows, testRows } from "./build-time.ts";
import { clusterRows } from "./cluster.ts";
import { contenders, type Masquerade } from "./contenders.ts";
import { isMet, type Row } from "./figures.ts";
import { flannelRows } from "./flannel.ts";
import { flanneldStartRows } from "./flanneld-start.ts";
import { hostLocalRows } from "./host-local.ts";
import { compile } from "./launcher.ts";
import { leaseEventRows } from "./lease-events.ts";
import { describeMachine, machineText } from "./machine.ts";
import { manyAttachmentsRows } from "./many-attachments.ts";
import { plot } from "./plot.ts";
import { pluginRows } from "./plugins.ts";
import { podmanRows } from "./podman.ts";
import { manyPortsRows, repeatedRows, wideRows } from "./ports.ts";
import { sizeRows } from "./size.ts";
import { snapshotRows } from "./snapshot.ts";
import { startRows } from "./start.ts";
import { tables } from "./table.ts";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    update: { type: "boolean", default: false },
    against: { type: "string" },
    build: { type: "boolean", default: false },
    tests: { type: "boolean", default: false },
  },
});
const rounds = options.quick
  ? {
      start: 30,
      bridge: 8,
      flannel: 20,
      atOnce: 1,
      hostLocal: 3,
      cluster: 3,
      snapshot: 3,
      plugins: 6,
      ports: 4,
      attachments: 3,
      podman: 3,
    }
  : {
      start: 200,
      bridge: 60,
      flannel: 100,
      atOnce: 7,
      hostLocal: 15,
      cluster: 10,
      snapshot: 9,
      plugins: 40,
      ports: 20,
      attachments: 9,
      podman: 30,
    };
needExecutables();
const machine = describeMachine(options.against);
console.log(machineText(machine));
const failed: string[] = [];
const rows = await measureAll();
console.log(`\n${tables(rows)}\n`);
const goals = rows.flatMap((row) => row.goals);
console.log(`${goals.filter(isMet).length} of ${goals.length} goals met`);
if (failed.length > 0) {
  console.error(`not measured, since something failed: ${failed.join("; ")}`);
  process.exitCode = 1;
}
if (options.update || (options.only === undefined && !options.quick && failed.length === 0)) writeResults();

async function measureAll(): Promise<Row[]> {
  const launcher = compile("launcher.c", "launcher");
  const bench = { launcher, contenders: contenders(options.against) };
  const bridge = (masquerade: Masquerade) => bridgeRows({ ...bench, masquerade, rounds: rounds.bridge });
  const sections: [name: string, what: string, measure: () => Row[] | Promise<Row[]>][] = [
    ["start", "start", () => startRows({ ...bench, rounds: rounds.start })],
    ["bridge", "bridge without masquerade", () => bridge("none")],
    ["bridge", "bridge, masquerade by iptables", () => bridge("iptables")],
    ["bridge", "bridge, masquerade by nftables", () => bridge("nftables")],
    ["bridge", "bridge, masquerade by default", () => bridge("default")],
    ["flannel", "flannel", () => flannelRows({ launcher, twill: bench.contenders.twill, rounds: rounds.flannel })],
    [
      "at-once",
      "100 containers at once",
      () => atOnceRows({ ...bench, rounds: rounds.atOnce, masquerade: "iptables" }),
    ],
    ["podman", "podman", () => podmanRows({ rounds: rounds.podman })],
    ["plugins", "each plugin, and chains", () => pluginRows({ ...bench, rounds: rounds.plugins })],
    ["ports", "many ports in one call", () => wideRows({ ...bench, rounds: rounds.ports })],
    ["ports", "many ports, repeated and checked", () => repeatedRows({ ...bench, rounds: rounds.ports })],
    ["ports", "ports beside many others", () => manyPortsRows({ ...bench, rounds: rounds.ports })],
    ["host-local", "host-local", () => hostLocalRows({ ...bench, rounds: rounds.hostLocal })],
    [
      "attachments",
      "doctor and gc, many attachments",
      () => manyAttachmentsRows({ ...bench, rounds: rounds.attachments }),
    ],
    ["snapshot", "flanneld's first pass", () => snapshotRows({ rounds: rounds.snapshot })],
    ["flanneld-start", "flanneld --version", () => flanneldStartRows({ launcher, rounds: rounds.cluster })],
    ["cluster", "flanneld in a cluster", () => clusterRows({ rounds: rounds.cluster })],
    ["lease-events", "one lease event of flanneld", leaseEventRows],
    ["size", "sizes", sizeRows],
  ];
  const wanted = sections.filter(([name]) => options.only === undefined || options.only.split(",").includes(name));
  if (options.build) wanted.push(["build", "builds", buildRows]);
  if (options.tests) wanted.push(["tests", "tests", testRows]);
  const rows: Row[] = [];
  for (const [, what, measure] of wanted) {
    const started = performance.now();
    process.stderr.write(`measuring ${what} ...`);
    try {
      rows.push(...(await measure()));
    } catch (error) {
      console.error(` failed: ${error instanceof Error ? error.message : error}`); // the others are measured
      failed.push(what);
      continue;
    }
    process.stderr.write(` ${Math.round((performance.now() - started) / 1000)} s\n`);
  }
  return rows;
}

function needExecutables(): void {
  const remedies = {
    [ourBin]: "build ours: npm run build",
    ...(options.against !== undefined && {
      [options.against]: "--against takes the folder of an earlier build's plugins",
    }),
    [goBin]: "install the Go plugins (apt-get install containernetworking-plugins), or name their folder: PEER_DIR=...",
  };
  for (const [folder, remedy] of Object.entries(remedies)) {
    for (const name of ["bridge", "host-local", "loopback"].filter((name) => !existsSync(join(folder, name)))) {
      stop(`${join(folder, name)} is missing: ${remedy}`);
    }
  }
  if (process.getuid?.() !== 0) stop("the benchmark makes network namespaces: run it as root");
}

function stop(text: string): never {
  console.error(text);
  process.exit(1);
}

function writeResults(): void {
  const folder = join(import.meta.dirname, "results");
  mkdirSync(folder, { recursive: true });
  const run = { machine, rows };
  const { machine: where, rows: all } = options.update ? updated(join(folder, "latest.json"), run) : run;
  const document = { measured: new Date(), machine: where, rows: all };
  writeFileSync(join(folder, "latest.json"), `${JSON.stringify(document, null, 1)}\n`);
  writeFileSync(join(folder, "latest.md"), `${machineText(where)}\n\n${tables(all)}\n`);
  writeFileSync(join(folder, "latest.svg"), plot(all, where));
}

interface Run {
  machine: Record<string, string>;
  rows: Row[];
}

/** Returns the run in the file with the sections that were measured now in the place of its own. */
function updated(file: string, now: Run): Run {
  const earlier = JSON.parse(readFileSync(file, "utf8")) as Run;
  const measured = new Set(now.rows.map(({ section }) => section));
  return {
    machine: { ...earlier.machine, ...now.machine },
    rows: [...earlier.rows.filter(({ section }) => !measured.has(section)), ...now.rows],
  };
}
