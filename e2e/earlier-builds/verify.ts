// What one build has to do with the attachments of another one: CHECK, list, another ADD beside them, GC, and DEL in every way that there is.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import { reloadFirewalld } from "./firewalld.ts";
import { caseOf, networkOf, runVerb } from "./fixture.ts";
import { differences, glance, remainsOn, rulesOn } from "./listing.ts";
import { type Node, netnsOf } from "./node.ts";
import { type Build, runTool } from "./tools.ts";

interface Attachment {
  container: number;
  /** Of the runtime's cache. */
  entry: string;
  /** What lines about it contain: its ID, its addresses, the links of the host. */
  words: readonly string[];
}

interface CacheEntry {
  containerId: string;
  netns: string;
  result: { interfaces?: { name: string; sandbox?: string }[]; ips?: { address: string }[] };
}

/** @param left What the build that attached leaves itself. */
export function verify(t: Test, node: Node, build: Build, name: string, left: readonly string[]): void {
  const { attached, isLegacy, capabilities } = caseOf(name);
  const run = (verb: "add" | "check" | "del", container: number) => runVerb(node, build, name, verb, container);
  const succeeds = (verb: "add" | "check" | "del", container: number, how: string) =>
    t.match(run(verb, container), { status: 0, ...(verb !== "add" && { stderr: "" }) }, `${verb} ${how}`);
  const collect = () => {
    const networks = new Set(Array.from({ length: attached }, (_, i) => networkOf(name, i)));
    for (const network of networks) {
      const ran = runTool(node, build, ["cnitool", "gc", "--dead", network, netnsOf(0)], { isLegacy });
      t.match(ran, { status: 0, stderr: "" }, `gc of ${network}`);
    }
  };
  const made = attachmentsOn(node, { hasOneNetwork: networkOf(name, 0) === networkOf(name, 1) });
  t.equal(made.length, attached, "the cache has all attachments");

  const before = glance(node);
  for (const { container } of made) succeeds("check", container, `of container ${container}`);
  const listed = runTool(node, build, ["cnitool", "list"]).stdout;
  t.equal(listed.match(/\balive\b/g)?.length, attached, `all are listed as alive:\n${listed}`);
  collect();
  t.strictSame(differences(before, glance(node)), [], "CHECK and GC of what is valid change nothing");

  const next = attached;
  if (capabilities !== undefined) refusesHeldPort(t, node, build, name);
  succeeds("add", next, "of another container");
  const withNext = glance(node);
  t.strictSame(
    linesOf(before, made).filter((line) => !withNext.includes(line)),
    [],
    "another ADD takes nothing away",
  );

  const ways: readonly ((one: Attachment) => void)[] = [
    ({ container }) => succeeds("del", container, "with the cached result"),
    ({ container, entry }) => {
      rmSync(entry);
      succeeds("del", container, "without the cached result");
    },
    ({ container }) => {
      node.removeContainer(container);
      succeeds("del", container, "when the namespace is gone");
    },
    ({ container }) => {
      node.removeContainer(container);
      collect();
    },
    ({ entry }) => {
      rmSync(entry);
      collect();
    },
  ];
  let living = made;
  for (const [i, one] of made.entries()) {
    ways[i]?.(one);
    living = living.filter((other) => other !== one);
    const now = glance(node);
    t.strictSame(linesOf(now, [one]), [], `nothing of container ${i} is left`);
    t.strictSame(
      linesOf(before, living).filter((line) => !now.includes(line)),
      [],
      "the others have what they had",
    );
  }
  succeeds("check", next, "of the other container, afterwards");
  succeeds("del", next, "of the other container");
  t.strictSame(
    remainsOn(node)
      .map((line) => line.replaceAll(`/net${next}`, "/net0"))
      .filter((line) => !left.includes(line)),
    [],
    "what stays on the host is what stayed before",
  );
}

/** Builds after 7ef44b8 say in iptables' chains whose an address is, by a rule that changes no packet. */
const isOwnerRule = (line: string): boolean =>
  /^[-+] (nft table ip6? nat chain|ip6?tables-legacy nat -A) CNI-(DN-)?[0-9a-f]+ .*(counter return|-j RETURN)$/.test(
    line,
  );

/** What a firewall has flushed is there again, as the other build had made it. */
export function verifyReload(t: Test, node: Node, build: Build, name: string): void {
  const { attached, isLegacy } = caseOf(name);
  const before = rulesOn(node).sort();
  flushRules(node);
  const ran = runTool(node, build, ["twill", "reload"], { isLegacy });
  t.match(ran, { status: 0, stderr: "", stdout: new RegExp(`^${attached} attachments, `, "m") });
  const changed = differences(before, rulesOn(node).sort()).filter((line) => !isOwnerRule(line));
  t.strictSame(changed, [], "all rules are there again");
  t.match(runVerb(node, build, name, "check", 0), { status: 0, stderr: "" }, "and are what CHECK wants");
}

function flushRules(node: Node): void {
  if (node.bus !== undefined) {
    reloadFirewalld(node.bus);
    return;
  }
  node.sh("nft flush ruleset");
  for (const program of ["iptables-legacy", "ip6tables-legacy"])
    node.sh(
      `cat /proc/net/${program.startsWith("ip6") ? "ip6" : "ip"}_tables_names 2>/dev/null | while read table; do ${program} -t $table -F; done`,
    );
}

/** The port of a container that lives is not given to another one. */
function refusesHeldPort(t: Test, node: Node, build: Build, name: string): void {
  const { attached, capabilities = () => ({}), isLegacy } = caseOf(name);
  if (!("portMappings" in capabilities(0))) return;
  const before = glance(node);
  const environment = { CAP_ARGS: JSON.stringify(capabilities(0)) };
  const ran = runTool(node, build, ["cnitool", "add", networkOf(name, attached), netnsOf(attached)], {
    environment,
    isLegacy,
  });
  t.not(ran.status, 0, "a port that is held is refused");
  t.match(ran.stdout + ran.stderr, /held by/, "with its holder");
  t.match(runVerb(node, build, name, "del", attached), { status: 0, stderr: "" }, "del after it, as runtimes do");
  const isMoved = (line: string) =>
    /last_reserved_ip|\.twill\/net\/note|file \/var\/lib\/cni\/networks\/net /.test(line);
  t.strictSame(
    differences(before, glance(node)).filter((line) => !isMoved(line)),
    [],
    "and nothing is changed",
  );
}

const RESULTS = "cni/results";

/** @param options.hasOneNetwork Else each network has the same addresses. */
function attachmentsOn(node: Node, { hasOneNetwork }: { hasOneNetwork: boolean }): Attachment[] {
  const folder = join(node.varLib, RESULTS);
  return readdirSync(folder)
    .map((file) => {
      const entry = join(folder, file);
      const { containerId, netns, result } = JSON.parse(readFileSync(entry, "utf8")) as CacheEntry;
      const interfaces = result.interfaces ?? [];
      const own = interfaces.filter(({ name, sandbox }) => sandbox === undefined && /^veth|^bwp/.test(name));
      const addresses = hasOneNetwork ? (result.ips ?? []).map(({ address }) => address.replace(/\/.*/, "")) : [];
      const isLoopback = (address: string) => address === "127.0.0.1" || address === "::1";
      return {
        container: Number(/\d+$/.exec(netns)?.[0]),
        entry,
        words: [containerId, ...own.map(({ name }) => name), ...addresses.filter((one) => !isLoopback(one))],
      };
    })
    .sort((a, b) => a.container - b.container);
}

/** Which address was given last, or back, says nothing of whose it is; configurations are nobody's. */
const isHistory = (line: string): boolean =>
  /^file \S*(last_reserved_ip|\/\.twill\/[^/]+\/(note|released\/)|\/net\.d\/)/.test(line);

function linesOf(lines: readonly string[], attachments: readonly Attachment[]): string[] {
  const words = attachments.flatMap(({ words }) => words);
  if (words.length === 0) return [];
  const escaped = words.map((word) => word.replaceAll(".", "\\."));
  const anyWord = new RegExp(`(?<![\\w:.])(${escaped.join("|")})(?![\\w:]|\\.\\d)`);
  return lines.filter((line) => anyWord.test(line) && !isHistory(line));
}
