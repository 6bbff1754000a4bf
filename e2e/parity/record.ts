// A row played with given executables, as lines of text that two implementations can be compared by.
//
// "1 ADD: ips.0.address 10.1.0.2/24"                            the result
// "1 ADD: c0 link eth0 mtu 1500"                                the state after it
// Random names and MACs become what they belong to: veth#1, mac(c0 eth0), fe80(host cni0).
import { type Host, newHost, type Outcome } from "../lab/host.ts";
import { inLab } from "../lab/needs.ts";
import { filesBelow, type NamespaceState, type Snapshot } from "../lab/snapshot.ts";
import type { DetailedStep, Json, Row } from "./row.ts";

export interface Played {
  lines: string[];
  /** Of the steps, in order. */
  outcomes: Outcome[];
}

/** Which folder's executable makes a step; so ADD can be Go's and the rest ours. */
export type BinOf = (verb: string) => string;

export function play(t: { teardown(work: () => void): unknown }, row: Row, binOf: BinOf): Played {
  const steps = (row.steps ?? ["ADD", "CHECK", "DEL", "DEL"]).map(detailed);
  const containers = 1 + Math.max(...steps.map((step) => step.container ?? 0));
  const host = newHost(t, { containers });
  for (const [path, content] of Object.entries(row.files ?? {})) host.write(path, content);
  const sh = (script: string) => host.sh(`${containerNames(host)}${script}`);
  if (row.prepare) sh(row.prepare);

  const results = new Map<string, unknown>(); // by attachment: what CHECK and DEL get as prevResult
  const played: Played = { lines: [], outcomes: [] };
  for (const [i, step] of steps.entries()) {
    if (step.before) sh(step.before);
    const attachment = `${step.containerId ?? step.container ?? 0} ${step.ifName ?? row.call?.ifName}`;
    const conf = { ...row.conf, ...prevResult(step.verb, results.get(attachment)), ...step.conf };
    const { verb, conf: _laidOver, stdin, before: _done, says, ...call } = step;
    const outcome = host.cni(row.plugin, verb, stdin ?? conf, { ...row.call, ...call, bin: binOf(verb) });
    if (verb === "ADD" && outcome.status === 0) results.set(attachment, outcome.stdout);
    const state = verb === "CHECK" && inLab ? [] : stateLines(look(host, row), host); // a look takes seconds there
    const told = [...outcomeLines(outcome, says), ...state];
    played.lines.push(...new Names(host, row).normalise(told).map((line) => `${i + 1} ${verb}: ${line}`));
    played.outcomes.push(outcome);
  }
  return played;
}

function look(host: Host, { filesOnly }: Row): Snapshot {
  return filesOnly ? { namespaces: {}, files: filesBelow(host.varLib) } : host.snapshot();
}

/** For scripts: C0=<namespace of container 0> and so on. */
function containerNames({ containers }: Host): string {
  return containers.map(({ name }, i) => `C${i}=${name}\n`).join("");
}

function detailed(step: DetailedStep | DetailedStep["verb"]): DetailedStep {
  return typeof step === "string" ? { verb: step } : step;
}

function prevResult(verb: string, result: unknown): Json {
  return (verb === "CHECK" || verb === "DEL") && result !== undefined ? { prevResult: result } : {};
}

/** @param says For an error: its wording is compared only as far as other people's programs match it. */
function outcomeLines({ status, signal, stdout }: Outcome, says: string | undefined): string[] {
  const exit = `exit ${signal ?? status}`;
  if (status === 0) return [exit, ...flat(stdout)];
  const { code, msg, details } = (typeof stdout === "object" ? stdout : {}) as Json;
  const text = [msg, details].filter(Boolean).join("; ");
  return [exit, `code ${code}`, says === undefined || text.includes(says) ? `says ${says ?? "why"}` : `says ${text}`];
}

function flat(value: unknown, path = ""): string[] {
  if (value === null || typeof value !== "object") return [`${path} ${value}`];
  const entries = Object.entries(value);
  if (entries.length === 0) return [`${path} ${JSON.stringify(value)}`];
  return entries.flatMap(([key, inner]) => flat(inner, path === "" ? key : `${path}.${key}`));
}

function stateLines({ namespaces, files }: Snapshot, host: Host): string[] {
  const perNamespace = Object.entries(namespaces).flatMap(([name, state]) =>
    namespaceLines(state).map((line) => `${name === host.name ? "host" : name.slice(host.name.length + 1)} ${line}`),
  );
  const perFile = Object.entries(files).map(([path, content]) => `file ${path} ${JSON.stringify(content)}`);
  return [...perNamespace, ...perFile];
}

function namespaceLines(state: NamespaceState): string[] {
  const links = Object.entries(state.links).flatMap(([name, { settings, vlans, index: _, ...plain }]) => [
    ...Object.entries(plain).map(([key, value]) => `link ${name} ${key} ${value}`),
    ...[...settings, ...vlans.map((vlan) => `vlan ${vlan}`)].map((setting) => `link ${name} ${setting}`),
  ]);
  const addresses = Object.entries(state.addresses).flatMap(([name, texts]) =>
    texts.map((text) => `addr ${name} ${text}`),
  );
  return [
    ...links,
    ...addresses,
    ...state.routes.map((route) => `route ${route}`),
    ...state.rules.map((rule) => `rule ${rule}`),
    ...Object.entries(state.sysctls).map(([name, value]) => `sysctl ${name} ${value}`),
    ...state.traffic,
    ...inChains(state.nft).map((line) => `nft ${line}`),
    ...numbered(state.iptables.map((line) => [line.split(" ", 5).join(" "), line.split(" ").slice(5).join(" ")])),
  ];
}

/** Each line of a ruleset with where it stands: "table ip nat chain POSTROUTING 2: ip saddr ...". */
function inChains(ruleset: readonly string[]): string[] {
  const open: string[] = [];
  return numbered(
    ruleset.flatMap((line) => {
      const text = line.trim();
      if (text.endsWith("{")) open.push(text.slice(0, -1).trim());
      if (text === "}") open.pop();
      return text === "}" || text.endsWith("{") ? [] : [[open.join(" "), text] as const];
    }),
  );
}

/** Order within a chain matters, the order of chains does not. */
function numbered(placed: readonly (readonly [place: string, text: string])[]): string[] {
  const counts = new Map<string, number>();
  return placed.map(([place, text]) => {
    const count = (counts.get(place) ?? 0) + 1;
    counts.set(place, count);
    return `${place} ${count}: ${text}`;
  });
}

/** Takes the place of names and numbers that are new in each run. */
class Names {
  private readonly macs = new Map<string, string>();
  private readonly veths = new Map<string, string>();
  private readonly host: Host;
  private readonly given: string;

  constructor(host: Host, row: Row) {
    this.host = host;
    this.given = JSON.stringify(row).toLowerCase(); // a MAC that was asked for stays what it is
  }

  normalise(lines: readonly string[]): string[] {
    const named = lines.map((line) => this.replaceNames(line));
    for (const line of named) {
      const [, owner, mac] = /^(\S+ link \S+) mac (\S+)$/.exec(line) ?? [];
      if (owner && mac && mac !== noMac && !this.macs.has(mac) && !this.given.includes(mac)) {
        this.macs.set(mac, owner.replace(" link", ""));
      }
    }
    return named.map((line) => this.replaceAddresses(line));
  }

  private replaceNames(line: string): string {
    return line
      .replaceAll(new RegExp(`${this.host.name}-(c\\d)`, "g"), "$1")
      .replaceAll(this.host.name, "host")
      .replace(/\bveth[0-9a-f]{8}\b/g, (name) => {
        if (!this.veths.has(name)) this.veths.set(name, `veth#${this.veths.size + 1}`);
        return this.veths.get(name) ?? name;
      });
  }

  private replaceAddresses(line: string): string {
    return line
      .replace(/\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b/gi, (mac) => {
        const owner = this.macs.get(mac.toLowerCase());
        return owner ? `mac(${owner})` : this.isRandom(mac) ? "mac(nobody)" : mac;
      })
      .replace(/\bfe80::[0-9a-f:]+/g, (address) => `fe80(${this.macs.get(macOf(address)) ?? "nobody"})`);
  }

  private isRandom(mac: string): boolean {
    return (Number.parseInt(mac.slice(0, 2), 16) & 3) === 2 && !this.given.includes(mac.toLowerCase());
  }
}

/** Of lo, and of a bridge without ports. */
const noMac = "00:00:00:00:00:00";

/** The MAC in a link-local address, by RFC 4291 appendix A; the address itself when there is none. */
function macOf(linkLocal: string): string {
  const groups = linkLocal.slice("fe80::".length).split(":");
  const padded = [...Array(Math.max(0, 4 - groups.length)).fill("0"), ...groups].map((group) => group.padStart(4, "0"));
  const [a = "", b = "", c = "", d = ""] = padded;
  if (b.slice(2) !== "ff" || c.slice(0, 2) !== "fe") return linkLocal;
  const first = (Number.parseInt(a.slice(0, 2), 16) ^ 2).toString(16).padStart(2, "0");
  return [first, a.slice(2), b.slice(0, 2), c.slice(2), d.slice(0, 2), d.slice(2)].join(":");
}
