/** `flanneld --status`: requests the status of the daemon that uses a subnet file. */
import { request } from "node:http";
import { readDaemonState, socketOf } from "../../../pkg/subnet-env/daemon-state.ts";
import type { OwnStatus, PeerStatus, Problem, StatusReport } from "./format.ts";

export interface StatusOutput {
  /** 0: no problems, 1: some, 2: no daemon answers. */
  exitCode: 0 | 1 | 2;
  stdout: string;
  stderr: string;
}

export async function requestStatus({
  subnetFile,
  asJson,
}: {
  subnetFile: string;
  asJson: boolean;
}): Promise<StatusOutput> {
  try {
    const text = await ask(socketOf(subnetFile));
    const report = JSON.parse(text) as StatusReport; // from our own socket, which only root may have made
    const stdout = asJson ? `${JSON.stringify(report, null, 2)}\n` : printStatus(report);
    return { exitCode: report.problems.length === 0 ? 0 : 1, stdout, stderr: "" };
  } catch (error) {
    return { exitCode: 2, stdout: "", stderr: `flanneld: ${noAnswer(subnetFile, error as NodeJS.ErrnoException)}\n` };
  }
}

/** Must be longer than the daemon waits for its peers, which is a second, and then for a data path process, two. */
const TIMEOUT_MS = 10_000;

function ask(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    const asked = request({ socketPath, path: "/status", signal: timeout, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("error", reject).on("end", () => {
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(text.trim()));
      });
    });
    asked.on("error", (error) => reject(timeout.aborted ? timedOut : error)).end();
  });
}
const timedOut = new Error(`no answer within ${TIMEOUT_MS / 1000} s`);

function noAnswer(subnetFile: string, { code, message }: NodeJS.ErrnoException): string {
  const socket = socketOf(subnetFile);
  if (code === "EACCES") return `only root may connect to ${socket}. To fix: sudo flanneld --status`;
  if (code !== "ENOENT" && code !== "ECONNREFUSED")
    return `the daemon at ${socket} did not return its status: ${message}. To fix: see its log`;
  const last = readDaemonState(subnetFile);
  const words = last ? `; the last one (pid ${last.pid}) reported at ${last.since}: ${last.state}, ${last.reason}` : "";
  if (words.includes(". To fix: "))
    return `no flanneld runs for subnet file ${subnetFile}${words}; then start it again`;
  return `no flanneld runs for subnet file ${subnetFile}${words}. To fix: start it, or pass the --subnet-file that it was started with`;
}

/** Prints the report as text for people. */
export function printStatus(report: StatusReport): string {
  const { version, pid, state, since, reason, own, store, peers, problems } = report;
  const sections = [
    `flanneld ${version} (pid ${pid}), ${state} since ${since}${state === "ready" ? `: ${reason}` : ""}\n`, // else a problem says why
    columns([
      ...(own ? ownRows(own) : []),
      ["store", `${store.description}, ${store.connected ? "connected" : "does not answer"}`],
    ]),
    peerSection(peers),
    problems.length > 0 ? problems.map(problemLines).join("") : "no problems\n",
  ];
  return printable(sections.join("\n"));
}

function ownRows(own: OwnStatus): string[][] {
  const vtep = own.vtepMac ? `, MAC ${own.vtepMac}` : "";
  return [
    ["subnet", own.subnets.join(", ")],
    ["public IP", own.publicIPs.join(", ")],
    ["backend", `${own.backend || "none"} over ${own.interface} (MTU ${own.interfaceMtu})`],
    ["device", `${own.devices.map(({ name, mtu }) => `${name} (MTU ${mtu})`).join(", ") || "none"}${vtep}`],
    ...(own.dataPath ? [["data path", countersText(own.dataPath)]] : []),
    ["containers", `MTU ${own.mtu}`],
    ["lease ends", own.expires],
  ];
}

/** Formats counters that are not 0: `{"sentPackets": 7}` -> `sent packets 7`. */
const countersText = (counters: Readonly<Record<string, number>>): string =>
  Object.entries(counters)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${wordsOf(name)} ${count}`)
    .join(", ") || "nothing was sent or received yet";

const wordsOf = (name: string): string =>
  name
    .split(/(?<=[a-z])(?=[A-Z])/)
    .map((word) => (/^[A-Z][a-z]/.test(word) ? word.toLowerCase() : word))
    .join(" ");

function peerSection(peers: StatusReport["peers"]): string {
  if (peers === null) return "the leases of the other hosts are not known yet\n";
  return peers.length > 0 ? columns([peerHeading, ...peers.map(peerRow)]) : "no other host has a lease\n";
}

const peerHeading = ["PEER", "PUBLIC IP", "BACKEND", "VTEP MAC", "LEASE ENDS", "ANSWERS"];

const peerRow = (peer: PeerStatus): string[] => [
  peer.subnets.join(", "),
  peer.publicIPs.join(", ") || "-",
  peer.backend || "-",
  peer.vtepMac ?? "-",
  peer.expires,
  peer.reach,
];

const problemLines = ({ text, remedy }: Problem): string => `problem: ${text}\n  to fix: ${remedy}\n`;

function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => rows.reduce((most, row) => Math.max(most, row[i]?.length ?? 0), 0));
  const line = (row: readonly string[]) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ");
  return rows.map((row) => `${line(row).trimEnd()}\n`).join("");
}

/** Replaces control characters: text that other clients wrote to the store must not control the terminal. */
const printable = (text: string): string => text.replace(/(?!\n)\p{Cc}/gu, "?");
