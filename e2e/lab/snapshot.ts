// The state of namespaces as ip, bridge, nft, iptables-save and /proc/sys tell it: the independent witnesses of the tests.
//
// What moves by itself is left out, so that two looks at the same state are equal: counters, timers, lifetimes, and
// the carrier with what follows from it (operational state, `tentative`, `linkdown`), which settles later than ADD ends.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Snapshot {
  namespaces: Record<string, NamespaceState>;
  /** What lies below the node's private /var/lib, by path. */
  files: Record<string, string>;
}

/** Texts are for people: compare them, or search them; whoever needs one value asks `ip -j` for it. */
export interface NamespaceState {
  links: Record<string, Link>;
  /** By link: "local 10.1.0.2 prefixlen 16 broadcast 10.1.255.255 scope global label eth0". */
  addresses: Record<string, string[]>;
  /** All tables: "dst default gateway 10.1.0.1 dev eth0 table main". */
  routes: string[];
  rules: string[];
  /** Below /proc/sys/net: ipv4/ip_forward and all of ipv4/conf and ipv6/conf. */
  sysctls: Record<string, string>;
  /** `nft -s list ruleset`, which also shows what iptables (its nf_tables variant) wrote. */
  nft: string[];
  /** As commands: "iptables -t nat -P OUTPUT ACCEPT", "ip6tables -t nat -N CNI-x", "iptables -t nat -A CNI-x -j ACCEPT". */
  iptables: string[];
  /** Queueing disciplines that somebody has put on a link, and their filters: "qdisc tbf 1: dev v0 root rate 8Mbit burst 100000b lat 25ms". */
  traffic: string[];
}

export interface Link {
  index: number;
  kind: string;
  mac: string;
  mtu: number;
  flags: string;
  promiscuity: number;
  master: string;
  /** Free text that says what the link is for; "" for none. */
  alias: string;
  /** Settings of the kind ("vlan_filtering 1") and of the bridge port ("hairpin true"). */
  settings: string[];
  /** "10", "100-105", "1 PVID Egress Untagged". */
  vlans: string[];
}

/** Prints what `trafficLines` reads. */
export const trafficScript = `
qdiscs=$(tc qdisc show) || exit 1
echo "$qdiscs"
case $qdiscs in *ingress*|*clsact*)
  for link in $(echo "$qdiscs" | sed -nE 's/^qdisc (ingress|clsact) .* dev (\\S+) .*/\\2/p'); do
    tc filter show dev "$link" ingress | sed "s/^/$link /"
  done
esac
`;

/**
 * Run in each namespace; one line of `marker` between the answers. On the complete kernel each program takes a tenth of a second. The kernel
 * clears as many bytes as are to be read from each file of /proc/sys: 96 KiB for grep, 8 KiB for head.
 */
const marker = "----8<----";
const script = `
state=$(printf 'link show\naddr show\nroute show table all\nrule show\n' | ip -d -j -batch -) || exit 1
echo "$state"
ip -j -6 rule show || exit 1
echo '${marker}'
case $state in *'"info_kind":"bridge"'*) bridge -j -compressvlans vlan show || exit 1 ;; esac
echo '${marker}'
cd /proc/sys/net && head -v -n 1 ipv4/ip_forward ipv4/conf/*/* ipv6/conf/*/* 2> /dev/null # some cannot be read
echo '${marker}'
ruleset=$(nft -s list ruleset) || exit 1
echo "$ruleset"
echo '${marker}'
if [ -n "$ruleset" ]; then echo @iptables && iptables-save && echo @ip6tables && ip6tables-save || exit 1; fi
echo '${marker}'
${trafficScript}echo '${marker}'
`;

/**
 * All are looked at side by side, again until the kernel has given every link that has a carrier its link-local address.
 * @param names Named network namespaces (`ip netns`).
 */
export function lookAt(names: readonly string[]): Record<string, NamespaceState> {
  const deadline = Date.now() + longestSettlingMs;
  let seen = lookOnce(names);
  while (seen.some(({ settled }) => !settled) && Date.now() < deadline) {
    for (const [i, { settled, state }] of seen.entries()) if (!settled) settle(names[i] ?? "", state.sysctls, deadline);
    seen = lookOnce(names);
  }
  return Object.fromEntries(seen.map(({ state }, i) => [names[i], state]));
}

/** Duplicate address detection takes 1 to 2 s; the kernel tells of a carrier up to 1 s after it came. */
const longestSettlingMs = 3000;
const pauseMs = 30;

interface Seen {
  state: NamespaceState;
  settled: boolean;
}

function lookOnce(names: readonly string[]): Seen[] {
  const dir = mkdtempSync(join(tmpdir(), `twill-${process.pid}-look-`));
  const all = 'cd "$0" && for n; do nsenter --net=/run/netns/"$n" sh script > "$n" 2>&1 & done; wait';
  try {
    writeFileSync(join(dir, "script"), script);
    spawnSync("sh", ["-c", all, dir, ...names]);
    return names.map((name) => read(readFileSync(join(dir, name), "utf8")));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Waits by looking at addresses and routes alone: a complete look starts ten programs. */
function settle(name: string, sysctls: Record<string, string>, deadline: number): void {
  const inside = [`--net=/run/netns/${name}`, "ip", "-d", "-j", "-batch", "-"];
  do {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
    const input = "addr show\nroute show table all\n";
    const { stdout } = spawnSync("nsenter", inside, { input, encoding: "utf8", maxBuffer: 64 << 20 });
    const [addresses = [], routes = []] = documents(stdout);
    if (isSettled(addresses, routes, sysctls)) return;
  } while (Date.now() < deadline);
}

/**
 * Paths relative to `root`; a file's text is its mode and content, so that a changed mode shows too. Of host-local's
 * index (.twill) only names and modes: it repeats what the reservations say, with times and inode numbers. The record of failed
 * calls is left out: that a call has failed is what it is there to keep.
 */
export function filesBelow(root: string): Record<string, string> {
  const found: [string, string][] = [];
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(root.length + 1);
    if (/^cni\/twill(\/calls\.log(\.1)?)?$/.test(name)) continue;
    if (entry.isSymbolicLink()) found.push([name, `-> ${readlinkSync(path)}`]);
    else {
      const mode = (statSync(path).mode & 0o7777).toString(8).padStart(4, "0");
      const content = entry.isDirectory()
        ? "directory"
        : name.includes(".twill/")
          ? "index"
          : readFileSync(path, "utf8");
      found.push([name, `${mode} ${content}`]);
    }
  }
  return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}

type Json = Record<string, unknown>;

function read(printed: string): Seen {
  const [ip = "", vlans = "", sysctls = "", nft = "", iptables = "", traffic = "", ...end] = printed.split(
    `${marker}\n`,
  );
  if (end.length !== 1) throw new Error(`cannot look at a namespace: ${printed.split("\n").slice(-10).join("\n")}`);
  const [links = [], addresses = [], routes = [], ...rules] = documents(ip);
  const vlansOf = new Map(
    documents(vlans)
      .flat()
      .map((port) => [port["ifname"], port["vlans"] as Json[]]),
  );
  const state: NamespaceState = {
    links: Object.fromEntries(links.map((link) => [String(link["ifname"]), readLink(link, vlansOf)])),
    addresses: Object.fromEntries(addresses.map((link) => [String(link["ifname"]), addressTexts(link)])),
    routes: routes.map((route) => text(route, ["linkdown", "dead"])).sort(),
    rules: rules.flat().map((rule) => text(rule, ["protocol"])),
    sysctls: readSysctls(sysctls),
    nft: lines(nft),
    iptables: iptablesCommands(lines(iptables)),
    traffic: trafficLines(traffic),
  };
  if (links.length === 0 || Object.keys(state.sysctls).length === 0) throw new Error("a namespace without lo?");
  return { state, settled: isSettled(addresses, routes, state.sysctls) };
}

/** What follows from a carrier comes a few milliseconds after ADD: the bridge's carrier, link-local addresses, the local routes of all IPv6 addresses. */
function isSettled(links: readonly Json[], routes: readonly Json[], sysctls: Record<string, string>): boolean {
  const has = (link: Json, flag: string) => (link["flags"] as string[]).includes(flag);
  const masters = new Set(links.filter((link) => has(link, "LOWER_UP")).map((port) => port["master"]));
  const local = new Set(routes.filter(({ type }) => type === "local").map(({ dst }) => dst));
  return links.every((link) => {
    if (isVrf(link)) return true; // has no link-local address
    if (has(link, "UP") && has(link, "NO-CARRIER") && masters.has(link["ifname"])) return false;
    const isExempt = has(link, "LOOPBACK") || sysctls[`ipv6/conf/${link["ifname"]}/disable_ipv6`] !== "0";
    if (isExempt || !has(link, "UP")) return true;
    const ipv6 = ((link["addr_info"] ?? []) as Json[]).filter(({ family }) => family === "inet6");
    const detectsDuplicates = ["all", link["ifname"]].some((name) => sysctls[`ipv6/conf/${name}/accept_dad`] !== "0");
    // Without a carrier detection waits for one; an address of before it was lost gets its local route all the same.
    if (!has(link, "LOWER_UP"))
      return ipv6.every((one) => local.has(one["local"]) || (one["tentative"] && detectsDuplicates));
    const isUsable = ({ tentative, local: address }: Json) => !tentative && local.has(address);
    return ipv6.some(({ scope }) => scope === "link") && ipv6.every(isUsable);
  });
}

const isVrf = (link: Json) => ((link["linkinfo"] ?? {}) as Json)["info_kind"] === "vrf";

/** One JSON document per command and line. */
function documents(printed: string): Json[][] {
  return lines(printed).map((line) => (JSON.parse(line) as Json[]).filter((entry) => Object.keys(entry).length > 0));
}

function readLink(link: Json, vlansOf: ReadonlyMap<unknown, Json[]>): Link {
  const info = (link["linkinfo"] ?? {}) as Json;
  return {
    index: Number(link["ifindex"]),
    kind: String(info["info_kind"] ?? link["link_type"]),
    mac: String(link["address"]),
    mtu: Number(link["mtu"]),
    flags: steady(link["flags"], ["LOWER_UP", "NO-CARRIER"]),
    promiscuity: Number(link["promiscuity"]),
    master: String(link["master"] ?? ""),
    alias: String(link["ifalias"] ?? ""),
    settings: [...settings(info["info_data"]), ...settings(info["info_slave_data"])],
    vlans: (vlansOf.get(link["ifname"]) ?? []).map(({ vlan, vlanEnd, flags }) =>
      `${vlan}${vlanEnd ? `-${vlanEnd}` : ""} ${steady(flags, [])}`.trim(),
    ),
  };
}

/** Identities, timers, counters and the state of the spanning tree protocol are not settings. */
const notSettings =
  /timer|_id$|^id$|^no$|designated|root_p|topology_change|^state|^port_state|^config_pending$|_cnt$|^n_learned|^fdb_n_/;

function settings(data: unknown): string[] {
  return Object.entries((data ?? {}) as Json)
    .filter(([key]) => !notSettings.test(key))
    .map(([key, value]) => `${key} ${String(value)}`);
}

function addressTexts(link: Json): string[] {
  return ((link["addr_info"] ?? []) as Json[])
    .filter((address) => "local" in address)
    .map((address) => text(address, ["valid_life_time", "preferred_life_time", "tentative"]));
}

/** "key value key value". @param drop Keys and flags that move by themselves. */
function text(entry: Json, drop: readonly string[] = []): string {
  return Object.entries(entry)
    .filter(([key]) => !drop.includes(key))
    .map(([key, value]) => [key, key === "flags" ? steady(value, drop) : valueText(value)])
    .filter(([, value]) => value !== "")
    .map((pair) => pair.join(" "))
    .join(" ");
}

function valueText(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function steady(flags: unknown, drop: readonly string[]): string {
  return ((flags ?? []) as string[]).filter((flag) => !drop.includes(flag)).join(" ");
}

/** What `head -v` prints: "==> ipv4/ip_forward <==", the value, and an empty line. */
function readSysctls(printed: string): Record<string, string> {
  return Object.fromEntries(
    [...printed.matchAll(/^==> (.*) <==\n(.+)$/gm)].map(([, name = "", value = ""]) => [name, value]),
  );
}

/** What iptables-save prints, with the program and the table on each line. */
function iptablesCommands(saved: readonly string[]): string[] {
  let program = "";
  let table = "";
  return saved.flatMap((line) => {
    if (line.startsWith("@")) program = line.slice(1);
    if (line.startsWith("*")) table = line.slice(1);
    const [, chain, policy] = /^:(\S+) (\S+)/.exec(line) ?? [];
    const command = chain ? (policy === "-" ? `-N ${chain}` : `-P ${chain} ${policy}`) : line;
    return command.startsWith("-") ? [`${program} -t ${table} ${command}`] : [];
  });
}

/** Without what the kernel has put there by itself, without counts, and numbers that it gives to actions. */
export const trafficLines = (printed: string): string[] =>
  lines(printed)
    .map((line) =>
      line
        .replace(/ refcnt \d+/, "")
        .replace(/\s+/g, " ")
        .trim(),
    )
    .filter((line) => !/^qdisc \S+ 0: |^\S+$| index \d+ ref \d+ bind/.test(line));

function lines(printed: string): string[] {
  return printed.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
}
