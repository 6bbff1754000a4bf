// What there is on a node, as lines of text that `ip`, `nft`, `tc`, `iptables-save` and the files say: the witness of these tests.
import { lookAt, type NamespaceState } from "../lab/snapshot.ts";
import { readFiles } from "./files.ts";
import { namespacesOf } from "./kernel-state.ts";
import type { Node } from "./node.ts";

/** Of the host; `container` lists one of its containers. */
export function listHost(node: Node): string[] {
  return [
    ...listNamespace(node, lookAt([node.name])[node.name] as NamespaceState),
    ...rulesOn(node),
    ...listFiles(node),
  ];
}

/** Less of it, for looking often: equal texts mean that nothing was changed in between. */
export function glance(node: Node): string[] {
  const printed = node.sh(`
    ip -o link show | sed -E 's/,?(NO-CARRIER|LOWER_UP),?//g; s/ state [A-Z]+//; s/^/link /'
    ip -o address show | grep -v ' inet6 fe80:' | sed -E 's/ tentative//; s/^/address /'
    ip route show table all | grep -v ' fe80::' | sed -E 's/ linkdown//; s/^/route /'
    ip rule show; ip -6 rule show
    bridge fdb show | grep ' dst ' || true
    tc qdisc show | grep -v '^qdisc [a-z_]* 0: ' || true
    ${rulesScript}`);
  const state = printed.slice(0, printed.indexOf(marker)).split("\n");
  const isLock = (line: string) => line.startsWith("file /run/twill");
  return [...state, ...rulesIn(printed), ...listFiles(node).filter((line) => !isLock(line))];
}

/** All rules of the host. */
export const rulesOn = (node: Node): string[] => rulesIn(node.sh(rulesScript));

const marker = "----8<----";
const rulesScript = `
  echo '${marker}'
  nft -s list ruleset
  for family in ip ip6; do
    [ -e /proc/net/\${family}_tables_names ] || continue
    for table in $(cat /proc/net/\${family}_tables_names); do
      echo '${marker}'
      \${family}tables-legacy-save -t $table | sed -E "/^[-:]/!d; s/ \\[[0-9]+:[0-9]+\\]$//; s/^/\${family}tables-legacy $table /"
    done
  done`;

function rulesIn(printed: string): string[] {
  const [, nft = "", ...legacy] = printed.split(`${marker}\n`);
  return [...rulesetLines(nft.split("\n")), ...legacy.flatMap((text) => text.split("\n"))].filter(
    (line) => line !== "",
  );
}

/**
 * All namespaces, each line with its namespace in front. Without what the kernel adds by itself, and later: for IPv6 when a link comes up,
 * and in the table local when an address is found to be the only one.
 */
export function listAll(node: Node): string[] {
  const seen = lookAt(namespacesOf(node).map(({ name }) => name));
  const ofContainers = node.containers.flatMap((container, i) =>
    listNamespace(container, seen[container.name] as NamespaceState).map((line) => `c${i}: ${line}`),
  );
  const isByItself = (line: string) =>
    /(address|route) .*(fe80:|multicast dst ff00::)|route type (local|anycast) .* table local protocol kernel/.test(
      line,
    );
  return [...listHost(node), ...ofContainers].filter((line) => !isByItself(line));
}

function listNamespace(node: { sh(script: string): string }, state: NamespaceState): string[] {
  return [
    ...Object.entries(state.links).map(
      ([name, { kind, mac, mtu, flags, master, alias, settings, vlans }]) =>
        `link ${name} ${kind} ${mac} mtu ${mtu} ${flags} master "${master}" alias "${alias}" ${settings.join(", ")} vlans ${vlans.join(", ")}`,
    ),
    ...Object.entries(state.addresses).flatMap(([name, addresses]) =>
      addresses.map((text) => `address ${name} ${text}`),
    ),
    ...state.routes.map((route) => `route ${route}`),
    ...state.rules.map((rule) => `rule ${rule}`),
    ...Object.entries(state.sysctls).map(([key, value]) => `sysctl ${key} ${value}`),
    ...state.traffic.map((line) => `tc ${line}`),
    ...permanentEntries(node),
  ];
}

function permanentEntries(node: { sh(script: string): string }): string[] {
  const neighbours = node.sh(
    "ip -4 neigh show nud permanent; ip -6 neigh show nud permanent; bridge fdb show | grep ' dst ' || true",
  );
  return neighbours
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => `neighbour ${line.trim()}`);
}

/** Each line with the table, chain, set or map that it stands in. Elements of sets stand in lines of their own. */
function rulesetLines(lines: readonly string[]): string[] {
  const found: string[] = [];
  const around: string[] = [];
  let elements: string | undefined;
  for (const line of lines.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"))) {
    if (elements !== undefined || /^elements = \{/.test(line)) {
      elements = `${elements ?? ""} ${line}`;
      if (!line.endsWith("}")) continue;
      const listed = elements.replace(/^ elements = \{/, "").replace(/\}$/, "");
      for (const element of listed.split(/,\s+(?=[\d"a-z:])/))
        found.push(`nft ${around.join(" ")} element ${element.trim()}`);
      elements = undefined;
    } else if (line.endsWith("{")) around.push(line.slice(0, -2));
    else if (line === "}") {
      found.push(`nft ${around.join(" ")}`);
      around.pop();
    } else found.push(`nft ${around.join(" ")} ${line}`);
  }
  return found;
}

const listFiles = (node: Node): string[] =>
  Object.entries(readFiles(node)).map(
    ([path, text]) => `file ${path} ${text.replace(/\{in -?\d+ (m?s)\}/g, "{in $1}")}`,
  );

/**
 * What stays on the host when nothing is attached any more, without what belongs to every host and what the kernel adds by itself, nor the
 * chains of a zone, which firewalld makes for its first source and keeps. Of sysctls, those of all links; of files, that they exist.
 */
export function remainsOn(node: Node): string[] {
  const isOwn = (line: string) =>
    !/^(link lo|address lo|rule priority (0|3276[67])|file \/var\/lib\/net\.d) /.test(line) &&
    !/^nft table inet firewalld chain [a-z]+_[A-Z]+_trusted/.test(line) &&
    !/^route .*protocol kernel|^address .* local fe80:|^sysctl .*\/conf\/(?!all\/|default\/)/.test(line);
  return listHost(node)
    .filter(isOwn)
    .map((line) => line.replace(/^(link \S+ \S+) .*/, "$1").replace(/^(file \S+) .*/s, "$1"))
    .map((line) => line.replace(/\/released\/\S+$/, "/released/ADDRESS"));
}

/** Lines of one listing that the other lacks, for people. */
export function differences(before: readonly string[], after: readonly string[]): string[] {
  const [old, now] = [new Set(before), new Set(after)];
  return [
    ...before.filter((line) => !now.has(line)).map((line) => `- ${line}`),
    ...after.filter((line) => !old.has(line)).map((line) => `+ ${line}`),
  ];
}
