// A fixture: all that is needed to put a node into the state in which a build left it, without that build.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { type Program, startProgram } from "../cluster/program.ts";
import { startFirewalld } from "../lab/firewalld.ts";
import type { Ran } from "../lab/host.ts";
import { projectRoot } from "../lab/project.ts";
import "../lab/search-path.ts";
import { type Case, cases } from "./cases.ts";
import { type Files, readFiles, restoreFiles } from "./files.ts";
import { addSources, readSources } from "./firewalld.ts";
import { defaultSysctls, type KernelState, readKernelState, restoreKernelState } from "./kernel-state.ts";
import { differences, listAll, remainsOn } from "./listing.ts";
import { batchesIn, sendBatches, traced } from "./netfilter.ts";
import { type Node, netnsOf, newNode } from "./node.ts";
import { type Build, runTool } from "./tools.ts";

/** What there is on a node. */
export interface State {
  kernel: KernelState;
  /** What was sent to nf_tables: datagrams in base64, together compressed. */
  netfilter: string;
  /** What iptables-legacy-save and ip6tables-legacy-save print. */
  legacy: { iptables: string; ip6tables: string };
  files: Files;
  /** Where firewalld runs: the sources of its zones. */
  firewalld?: Record<string, string[]>;
}

export interface Fixture extends State {
  /** How many containers were attached, `/run/netns/c0` and so on. */
  attached: number;
  isLegacy?: true;
  /** What the build itself left on the host when it had deleted the attachments. */
  left: readonly string[];
}

type Test = Parameters<typeof newNode>[0] & Parameters<typeof startProgram>[0];

export function caseOf(name: string): Case {
  const found = cases[name];
  if (found === undefined) throw new Error(`no case "${name}"; there are ${Object.keys(cases).join(", ")}`);
  return found;
}

/** A node with one container more than are attached: that one is for the build under test. */
export const nodeFor = (t: Test, name: string): Node => newNode(t, caseOf(name).attached + 1);

/** Starts what filters on the host before anything else is there. */
export async function startFirewall(node: Node, name: string): Promise<void> {
  if (caseOf(name).hasFirewalld) node.bus ??= await startFirewalld(node);
}

/** Makes what the case needs before anything is attached. */
export async function prepare(t: Test, node: Node, build: Build, name: string): Promise<Program[]> {
  await startFirewall(node, name);
  node.sh(caseOf(name).prepare ?? "");
  writeNetworks(node, name);
  return startPrograms(t, node, build, name);
}

export async function startPrograms(t: Test, node: Node, build: Build, name: string): Promise<Program[]> {
  const started: Program[] = [];
  for (const { command, ready } of caseOf(name).programs ?? []) {
    const [program = "", ...args] = command;
    const own = join(build.plugins, program);
    const running = startProgram(t, node.name, node.inside([existsSync(own) ? own : program, ...args]));
    await running.says(ready);
    started.push(running);
  }
  return started;
}

/** Attaches all containers of the case. @param under A command in front; `each` is called after each of them. */
export function attachAll(
  node: Node,
  build: Build,
  name: string,
  under: readonly string[] = [],
  each: () => void = () => {},
): void {
  const { attached } = caseOf(name);
  for (let i = 0; i < attached; i++) {
    succeed(name, runVerb(node, build, name, "add", i, under));
    each();
  }
}

/** With the cached results. */
export function detachAll(node: Node, build: Build, name: string): void {
  for (let i = 0; i < caseOf(name).attached; i++) succeed(`${name}, del`, runVerb(node, build, name, "del", i));
}

/** The configurations as an administrator writes them. */
function writeNetworks(node: Node, name: string): void {
  const { attached, plugins } = caseOf(name);
  const write = (network: string, list: readonly object[]) =>
    node.write(
      `/var/lib/net.d/10-${network}.conflist`,
      JSON.stringify({ cniVersion: "1.1.0", name: network, plugins: list }),
    );
  if (typeof plugins !== "function") write("net", plugins);
  else for (let i = 0; i <= attached; i++) write(`net${i}`, plugins(i));
}

export const networkOf = (name: string, container: number): string =>
  typeof caseOf(name).plugins === "function" ? `net${container}` : "net";

/** Runs cnitool with what a runtime gives to this container. */
export function runVerb(
  node: Node,
  build: Build,
  name: string,
  verb: "add" | "check" | "del",
  container: number,
  under: readonly string[] = [],
): Ran {
  const { capabilities, isLegacy } = caseOf(name);
  const environment = capabilities && { CAP_ARGS: JSON.stringify(capabilities(container)) };
  return runTool(node, build, ["cnitool", verb, networkOf(name, container), netnsOf(container)], {
    environment,
    isLegacy,
    under,
  });
}

function succeed(what: string, { status, stdout, stderr }: Ran): void {
  if (status !== 0) throw new Error(`${what}: exit status ${status}: ${stdout}${stderr}`);
}

/** @param sent To nf_tables. */
export const stateOf = (node: Node, defaults: readonly Record<string, string>[], sent: readonly Buffer[]): State => ({
  kernel: readKernelState(node, defaults),
  netfilter: packed(sent),
  legacy: { iptables: legacySaved(node, "ip"), ip6tables: legacySaved(node, "ip6") },
  files: readFiles(node),
  ...(node.bus && { firewalld: readSources(node.bus) }),
});

/** Runs the build, reads what it left, and makes sure that the fixture brings exactly that back. */
export async function record(t: Test, build: Build, name: string): Promise<Fixture> {
  const { attached, isLegacy } = caseOf(name);
  const node = nodeFor(t, name);
  const defaults = defaultSysctls(node);
  const trace = join(dirname(node.varLib), "trace");
  const sent: Buffer[] = [];
  await startFirewall(node, name);
  const fresh = remainsOn(node);
  await prepare(t, node, build, name);
  attachAll(node, build, name, traced(trace), () => sent.push(...batchesIn(readFileSync(trace, "latin1"))));

  const made = listAll(node);
  const fixture = { attached, ...(isLegacy && { isLegacy }), ...stateOf(node, defaults, sent) };
  detachAll(node, build, name);
  const left = remainsOn(node).filter((line) => !fresh.includes(line));
  const again = nodeFor(t, name);
  await startFirewall(again, name);
  restore(again, fixture);
  const lost = differences(made, listAll(again));
  if (lost.length > 0)
    throw new Error(`${name}: what the fixture restores is not what was recorded:\n${lost.join("\n")}`);
  return { ...fixture, left };
}

const packed = (datagrams: readonly Buffer[]): string =>
  datagrams.length === 0
    ? ""
    : gzipSync(datagrams.map((bytes) => bytes.toString("base64")).join("\n"), { level: 9 }).toString("base64");

const unpacked = (text: string): Buffer[] =>
  text === ""
    ? []
    : gunzipSync(Buffer.from(text, "base64"))
        .toString()
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => Buffer.from(line, "base64"));

function legacySaved(node: Node, family: "ip" | "ip6"): string {
  const tables = node.sh(`cat /proc/net/${family}_tables_names 2>/dev/null || true`).trim();
  if (tables === "") return "";
  return node.sh(
    tables
      .split("\n")
      .map((table) => `${family}tables-legacy-save -t ${table} | grep -v '^#'`)
      .join("\n"),
  );
}

/** Puts fresh namespaces and folders into the state of the fixture. */
export function restore(node: Node, fixture: State): void {
  restoreKernelState(node, fixture.kernel);
  sendBatches(node.path, unpacked(fixture.netfilter));
  for (const [program, saved] of Object.entries(fixture.legacy)) {
    if (saved === "") continue;
    const { status, stderr } = node.exec([`${program}-legacy-restore`], {}, saved);
    if (status !== 0) throw new Error(`${program}-legacy-restore: ${stderr}`);
  }
  restoreFiles(node, fixture.files);
  if (node.bus !== undefined) addSources(node.bus, fixture.firewalld ?? {});
}

export const fixtureFolder = join(projectRoot, "e2e/earlier-builds");
export function loadFixture<Kind = Fixture>(build: string, name: string): Kind | undefined {
  const file = join(fixtureFolder, build, `${name}.json`);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Kind) : undefined;
}

export function saveFixture(folder: string, name: string, fixture: State): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(fixture, null, 1)}\n`);
}
