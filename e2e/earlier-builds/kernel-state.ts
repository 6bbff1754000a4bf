// The state of network namespaces as commands that make it again: `ip`, `bridge`, `tc`, files of /proc/sys. Rules of nf_tables are
// in netfilter.ts.
import { spawnSync } from "node:child_process";
import { formatPrefix, parsePrefix, networkOf as withoutHost } from "../../pkg/ip/address.ts";
import type { Host, Namespace } from "../lab/host.ts";
import { lookAt, type NamespaceState } from "../lab/snapshot.ts";

export interface KernelState {
  /** Lines for `ip -batch` on the host that make all links; "{c0}" is the namespace of the first container. */
  create: readonly string[];
  host: NamespaceCommands;
  containers: readonly NamespaceCommands[];
}

export interface NamespaceCommands {
  /** Below /proc/sys/net, where they are not the kernel's default: those that concern all links come before links are made. */
  sysctls: Record<string, string>;
  /** Lines for `ip -batch`. */
  ip: readonly string[];
  /** Lines for `bridge -batch`. */
  bridge: readonly string[];
  /** Lines for `tc -batch`. */
  tc: readonly string[];
}

type Json = Record<string, unknown>;

interface LinkJson extends Json {
  ifindex: number;
  ifname: string;
  flags: string[];
  mtu: number;
  link?: string;
  link_index?: number;
  master?: string;
  address?: string;
  txqlen?: number;
  ifalias?: string;
  altnames?: string[];
  linkinfo?: { info_kind?: string; info_data?: Json; info_slave_kind?: string; info_slave_data?: Json };
}

/** Of all namespaces of a node, the host first. */
export const namespacesOf = (node: Host): Namespace[] => [node, ...node.containers];

/** The sysctls of each namespace, before anything was done in it. */
export function defaultSysctls(node: Host): Record<string, string>[] {
  const seen = lookAt(namespacesOf(node).map(({ name }) => name));
  return namespacesOf(node).map(({ name }) => seen[name]?.sysctls ?? {});
}

export function readKernelState(node: Host, defaults: readonly Record<string, string>[]): KernelState {
  const namespaces = namespacesOf(node);
  const links = namespaces.map((namespace) => namespace.json("ip", "-d", "-j", "link", "show") as LinkJson[]);
  const seen = lookAt(namespaces.map(({ name }) => name));
  const [host, ...containers] = namespaces.map((namespace, i) =>
    commandsOf(namespace, links[i] ?? [], seen[namespace.name] as NamespaceState, defaults[i] ?? {}),
  );
  return { create: creationOf(links), host: host as NamespaceCommands, containers };
}

/** Parents before those that lie on them, whatever their index: a bridge may be younger than its ports, but not a parent. */
function creationOf(all: readonly (readonly LinkJson[])[]): string[] {
  const [host = []] = all;
  const made = new Set<string>();
  const lines: string[] = [];
  for (const [i, links] of all.entries()) {
    for (const link of links) {
      if (link.ifname === "lo" || made.has(`${i} ${link.ifindex}`)) continue;
      made.add(`${i} ${link.ifindex}`);
      const kind = link.linkinfo?.info_kind;
      const place = i === 0 ? "" : ` netns {c${i - 1}}`;
      const name = `name ${link.ifname} index ${link.ifindex}`;
      if (kind === "veth") {
        const peer = peerOf(all, i, link);
        made.add(`${peer.at} ${peer.link.ifindex}`);
        lines.push(
          `link add ${name} address ${link.address}${place} type veth ` +
            `peer name ${peer.link.ifname} index ${peer.link.ifindex} address ${peer.link.address}${
              peer.at === 0 ? "" : ` netns {c${peer.at - 1}}`
            }`,
        );
      } else if (kind === "tun") {
        lines.push(`${place === "" ? "" : `-n {c${i - 1}} `}${tunOf(link)}`);
      } else {
        const parent = host.find(({ ifname, ifindex }) => ifname === link.link || ifindex === link.link_index);
        const over = link.link === undefined && link.link_index === undefined ? "" : `link ${parent?.ifname} `;
        lines.push(`link add ${over}${name} address ${link.address}${place} type ${kind}${optionsOf(link)}`);
      }
    }
  }
  return lines;
}

/** Each end says the other one's index, but not in which namespace: only of the right two each says the other. */
function peerOf(all: readonly (readonly LinkJson[])[], i: number, link: LinkJson): { at: number; link: LinkJson } {
  const indexSaid = (one: LinkJson, ofSame: readonly LinkJson[]) =>
    one.link_index ?? ofSame.find(({ ifname }) => ifname === one.link)?.ifindex;
  for (const [at, links] of all.entries()) {
    for (const candidate of links) {
      if (candidate.linkinfo?.info_kind !== "veth" || candidate === link) continue;
      const isPair =
        indexSaid(link, all[i] ?? []) === candidate.ifindex && indexSaid(candidate, links) === link.ifindex;
      if (isPair && (at === 0 || i === 0 || at === i)) return { at, link: candidate };
    }
  }
  throw new Error(`${link.ifname}: no link is its peer`);
}

function tunOf({ ifname, linkinfo }: LinkJson): string {
  const { type, multi_queue: queues, user, group, pi, vnet_hdr: header } = linkinfo?.info_data ?? {};
  const words = [
    `tuntap add dev ${ifname} mode ${type}`,
    queues && "multi_queue",
    pi && "pi",
    header && "vnet_hdr",
    user !== undefined && `user ${user}`,
    group !== undefined && `group ${group}`,
  ];
  return words.filter(Boolean).join(" ");
}

/** What the kinds of links that twill makes have of their own. */
function optionsOf({ linkinfo }: LinkJson): string {
  const { info_kind: kind = "", info_data: data = {} } = linkinfo ?? {};
  const options: Record<string, () => unknown[]> = {
    bridge: () => [
      data["vlan_filtering"] === 1 && "vlan_filtering 1",
      data["vlan_default_pvid"] !== 1 &&
        data["vlan_default_pvid"] !== undefined &&
        `vlan_default_pvid ${data["vlan_default_pvid"]}`,
    ],
    macvlan: () => [`mode ${data["mode"]}`],
    ipvlan: () => [
      `mode ${data["mode"]}`,
      data["flags"] === "private" ? "private" : data["flags"] === "vepa" && "vepa",
    ],
    vlan: () => [data["protocol"] === "802.1ad" && "protocol 802.1ad", `id ${data["id"]}`],
    vrf: () => [`table ${data["table"]}`],
    vxlan: () => [
      `id ${data["id"]}`,
      data["local"] && `local ${data["local"]}`,
      data["local6"] && `local ${data["local6"]}`,
      data["link"] && `dev ${data["link"]}`,
      `dstport ${data["port"]}`,
      data["learning"] !== true && "nolearning",
      data["gbp"] === true && "gbp",
    ],
  };
  const words = (options[kind]?.() ?? []).filter(Boolean);
  return words.map((word) => ` ${word}`).join("");
}

function commandsOf(
  namespace: Namespace,
  links: readonly LinkJson[],
  state: NamespaceState,
  defaults: Record<string, string>,
): NamespaceCommands {
  const addresses = addressesIn(namespace);
  const masters = links.filter(({ ifname }) => links.some(({ master }) => master === ifname));
  const inOrder = [...masters, ...links.filter((link) => !masters.includes(link))];
  return {
    sysctls: changedSysctls(state.sysctls, defaults),
    ip: [
      ...inOrder.flatMap(settingsOf),
      ...links.flatMap(({ ifname, flags }) => (flags.includes("UP") ? [`link set dev ${ifname} up`] : [])),
      ...addresses.map(addressLine),
      ...routesOf(namespace, links, addresses),
      ...rulesOf(namespace, links),
      ...neighboursOf(namespace),
    ],
    bridge: [...vlansOf(state), ...forwardingOf(namespace, links)],
    tc: trafficOf(state.traffic),
  };
}

/** What the kernel changes by itself in "conf/IF" when "conf/all" is set is not told again. */
function changedSysctls(now: Record<string, string>, before: Record<string, string>): Record<string, string> {
  const isOfLink = (key: string) => /\/conf\/(?!all\/|default\/)/.test(key);
  const unset = /\/(mtu|stable_secret)$/;
  const isChanged = (key: string, value: string) => {
    if (unset.test(key)) return false;
    if (!isOfLink(key) || key in before) return before[key] !== value;
    return now[key.replace(/\/conf\/.*\/(\w+)$/, "/conf/default/$1")] !== value;
  };
  const changed = Object.entries(now).filter(([key, value]) => isChanged(key, value));
  const first = changed.filter(([key]) => !isOfLink(key));
  return Object.fromEntries([...first, ...changed.filter(([key]) => isOfLink(key))]);
}

function settingsOf(link: LinkJson): string[] {
  const { ifname, linkinfo = {} } = link;
  const set = (words: string) => `link set dev ${ifname} ${words}`;
  if (ifname === "lo") return [];
  const port = linkinfo.info_slave_kind === "bridge" ? (linkinfo.info_slave_data ?? {}) : {};
  const on = (key: string, word: string) => (port[key] === true ? [set(`type bridge_slave ${word} on`)] : []);
  return [
    set(`mtu ${link.mtu}`),
    ...(linkinfo.info_kind === "tun" ? [set(`address ${link.address}`)] : []),
    ...(link.txqlen === undefined ? [] : [set(`txqueuelen ${link.txqlen}`)]),
    ...(link.ifalias === undefined ? [] : [set(`alias "${link.ifalias}"`)]),
    ...(link.altnames ?? []).map((name) => `link property add dev ${ifname} altname ${name}`),
    ...(link.flags.includes("PROMISC") ? [set("promisc on")] : []),
    ...(link.flags.includes("ALLMULTI") ? [set("allmulticast on")] : []),
    ...(link.flags.includes("NOARP") && linkinfo.info_kind !== "vrf" ? [set("arp off")] : []),
    ...(link.master === undefined ? [] : [set(`master ${link.master}`)]),
    ...on("hairpin", "hairpin"),
    ...on("isolated", "isolated"),
  ];
}

/** Without those that the kernel gives by itself. */
function addressesIn(namespace: Namespace): Json[] {
  const links = namespace.json("ip", "-d", "-j", "address", "show") as { ifname: string; addr_info?: Json[] }[];
  const isByItself = ({ family, scope, local }: Json) =>
    (family === "inet6" && scope === "link") || local === "127.0.0.1" || local === "::1";
  return links.flatMap(({ ifname, addr_info: addresses = [] }) =>
    addresses.filter((address) => !isByItself(address)).map((address) => ({ ...address, dev: ifname })),
  );
}

const addressLine = (address: Json): string =>
  [
    `address add ${address["local"]}/${address["prefixlen"]} dev ${address["dev"]} scope ${address["scope"]}`,
    address["broadcast"] && `broadcast ${address["broadcast"]}`,
    address["label"] && address["family"] === "inet" && `label ${address["label"]}`,
    address["noprefixroute"] && "noprefixroute",
    address["nodad"] && "nodad",
    address["metric"] !== undefined && `metric ${address["metric"]}`,
  ]
    .filter(Boolean)
    .join(" ");

/** The network of an address, to which the kernel makes a route. */
function networkOf({ local, prefixlen }: Json): string {
  const prefix = parsePrefix(`${local}/${prefixlen}`);
  if (prefix === undefined) throw new Error(`${local}/${prefixlen} is no address`);
  return formatPrefix(withoutHost(prefix));
}

/** A plugin may have removed what the kernel made for an address, or moved it to another table. */
function routesOf(namespace: Namespace, links: readonly LinkJson[], addresses: readonly Json[]): string[] {
  const routes = ["-4", "-6"].flatMap((family) =>
    (namespace.json("ip", family, "-d", "-j", "route", "show", "table", "all") as Json[]).map(
      (route) => ({ family, ...route }) as Json,
    ),
  );
  const vrfTables = links.flatMap(({ linkinfo }) =>
    linkinfo?.info_kind === "vrf" ? String(linkinfo.info_data?.["table"]) : [],
  );
  const isByItself = ({ protocol, table = "main" }: Json) =>
    protocol === "kernel" && ["main", "local", ...vrfTables].includes(String(table));
  const added = routes.filter((route) => !isByItself(route) && route["dst"] !== undefined);
  const connected = routes.filter(isByItself).map(({ dst, dev }) => `${dst} dev ${dev}`);
  const removed = addresses
    .filter((address) => address["noprefixroute"] === undefined)
    .map((address) => `${networkOf(address)} dev ${address["dev"]}`)
    .filter((route) => !connected.includes(route) && !/\/(32|128) /.test(route));
  const line = (route: Json) =>
    [
      `route add ${route["type"] === undefined ? "" : `${route["type"]} `}${
        route["dst"] === "default" && route["family"] === "-6" ? "::/0" : route["dst"]
      }`,
      route["gateway"] && `via ${route["gateway"]}`,
      route["dev"] && `dev ${route["dev"]}`,
      route["prefsrc"] && `src ${route["prefsrc"]}`,
      route["table"] && `table ${route["table"]}`,
      route["protocol"] && `proto ${route["protocol"]}`,
      route["scope"] && `scope ${route["scope"]}`,
      route["metric"] !== undefined && `metric ${route["metric"]}`,
      metricsOf(route),
      (route["flags"] as string[] | undefined)?.includes("onlink") && "onlink",
    ]
      .filter(Boolean)
      .join(" ");
  const isDirect = (route: Json) => route["gateway"] === undefined;
  return [
    ...removed.map((route) => `route del ${route} proto kernel`),
    ...[...added.filter(isDirect), ...added.filter((route) => !isDirect(route))].map(line),
  ];
}

function metricsOf(route: Json): string {
  const [metrics = {}] = (route["metrics"] ?? []) as Json[];
  return Object.entries(metrics)
    .map(([key, value]) => `${key} ${value}`)
    .join(" ");
}

/** Those that every namespace has have the priorities 0, 32766 and 32767; the kernel adds one with the first VRF. */
function rulesOf(namespace: Namespace, links: readonly LinkJson[]): string[] {
  const hasVrf = links.some(({ linkinfo }) => linkinfo?.info_kind === "vrf");
  return ["-4", "-6"].flatMap((family) =>
    (namespace.json("ip", family, "-j", "rule", "show") as Json[])
      .filter((rule) => ![0, 32766, 32767].includes(Number(rule["priority"])) && !(hasVrf && "l3mdev" in rule))
      .map((rule) =>
        [
          "rule add",
          `from ${rule["src"] === "all" && family === "-6" ? "::/0" : rule["src"]}${rule["srclen"] === undefined ? "" : `/${rule["srclen"]}`}`,
          rule["dst"] && `to ${rule["dst"]}${rule["dstlen"] === undefined ? "" : `/${rule["dstlen"]}`}`,
          rule["iif"] && `iif ${rule["iif"]}`,
          rule["oif"] && `oif ${rule["oif"]}`,
          "l3mdev" in rule ? "l3mdev" : `table ${rule["table"]}`,
          rule["protocol"] && `protocol ${rule["protocol"]}`,
          `priority ${rule["priority"]}`,
        ]
          .filter(Boolean)
          .join(" "),
      ),
  );
}

function neighboursOf(namespace: Namespace): string[] {
  const permanent = ["-4", "-6"].flatMap(
    (family) => namespace.json("ip", family, "-j", "neighbour", "show", "nud", "permanent") as Json[],
  );
  return permanent.map(({ dst, dev, lladdr }) => `neighbour add ${dst} dev ${dev} lladdr ${lladdr} nud permanent`);
}

function forwardingOf(namespace: Namespace, links: readonly LinkJson[]): string[] {
  const tunnels = links.filter(({ linkinfo }) => linkinfo?.info_kind === "vxlan");
  return tunnels.flatMap(({ ifname }) =>
    (namespace.json("bridge", "-j", "fdb", "show", "dev", ifname) as Json[])
      .filter(({ dst }) => dst !== undefined)
      .map(({ mac, dst }) => `fdb append ${mac} dev ${ifname} dst ${dst} self permanent`),
  );
}

const defaultVlan = "1 PVID Egress Untagged";

function vlansOf({ links }: NamespaceState): string[] {
  return Object.entries(links).flatMap(([name, { vlans, kind }]) => {
    if (vlans.length === 0 || (vlans.length === 1 && vlans[0] === defaultVlan)) return [];
    const self = kind === "bridge" ? " self" : "";
    const added = vlans.filter((vlan) => vlan !== defaultVlan);
    return [
      ...(vlans.includes(defaultVlan) ? [] : [`vlan del dev ${name} vid 1${self}`]),
      ...added.map((vlan) => `vlan add dev ${name} vid ${vlan.toLowerCase().replace("egress ", "")}${self}`),
    ];
  });
}

/** `tc` reads what it prints with few differences. */
function trafficOf(lines: readonly string[]): string[] {
  return lines.flatMap((line) => {
    const qdisc = /^qdisc (\S+) (\S+) dev (\S+) (root|parent \S+) ?(.*)$/.exec(line);
    if (qdisc !== null) {
      const [, kind, handle, device, where, options = ""] = qdisc;
      if (kind === "ingress") return [`qdisc add dev ${device} ingress`];
      return [`qdisc add dev ${device} ${where} handle ${handle} ${kind} ${options.replace(/ lat /, " latency ")}`];
    }
    const redirection = /^(\S+) action order 1: mirred \(Egress Redirect to device (\S+)\)/.exec(line);
    if (redirection === null) return [];
    const [, device, target] = redirection;
    return [
      `filter add dev ${device} parent ffff: protocol all pref 1 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev ${target}`,
    ];
  });
}

/** Makes it, in the fresh namespaces of a node. */
export function restoreKernelState(node: Host, state: KernelState): void {
  const named = (line: string) => line.replace(/\{c(\d+)\}/g, (_, i) => node.containers[Number(i)]?.name ?? "");
  const commands = [state.host, ...state.containers];
  const isOfLink = (key: string) => /\/conf\/(?!all\/|default\/)/.test(key);
  for (const [i, namespace] of namespacesOf(node).entries())
    writeSysctls(namespace, commands[i]?.sysctls ?? {}, (key) => !isOfLink(key));
  createLinks(node, state.create, named);
  for (const [i, namespace] of namespacesOf(node).entries()) {
    const { sysctls = {}, ip = [], bridge = [], tc = [] } = commands[i] ?? {};
    const upAt = ip.findIndex((line) => / up$/.test(line));
    batch(["ip", "-n", namespace.name], ip.slice(0, Math.max(upAt, 0)));
    writeSysctls(namespace, sysctls, isOfLink);
    batch(["bridge", "-n", namespace.name], bridge);
    batch(["ip", "-n", namespace.name], ip.slice(Math.max(upAt, 0)));
    batch(["tc", "-n", namespace.name], tc);
  }
}

/**
 * Until Linux 6.13 an index is looked up in the namespace of the caller, not in the one for which the link is. So a link is made from its own
 * namespace; one with a parent on the host gets no index but the next one there, which has to be the one that it had.
 */
function createLinks(node: Host, create: readonly string[], named: (line: string) => string): void {
  const tuns = create.filter((line) => line.startsWith("-n ") || line.startsWith("tuntap"));
  const withParent = create.filter((line) => /^link add link .* netns \{c\d+\} type /.test(line));
  const isIn = (i: number) => (line: string) => line.includes(` netns {c${i}} type `) && !withParent.includes(line);
  const inContainers = node.containers.map((_, i) => create.filter(isIn(i)));
  const elsewhere = [...tuns, ...inContainers.flat()];
  batch(
    ["ip", "-n", node.name],
    create
      .filter((line) => !elsewhere.includes(line))
      .map((line) => named(withParent.includes(line) ? line.replace(/ index \d+/, "") : line)),
  );
  for (const [i, lines] of inContainers.entries())
    batch(
      ["ip", "-n", node.containers[i]?.name ?? ""],
      lines.map((line) => named(line.replace(` netns {c${i}} type `, " type "))),
    );
  for (const tun of tuns)
    run(["ip", ...(tun.startsWith("-n ") ? [] : ["-n", node.name]), ...named(tun).split(" ")], "");
  for (const line of withParent) {
    const [, name = "", index, container] = / name (\S+) index (\d+) .* netns \{c(\d+)\} /.exec(line) ?? [];
    const found = node.containers[Number(container)]?.json("ip", "-j", "link", "show", name) as LinkJson[] | undefined;
    const [link] = found ?? [];
    if (link?.ifindex !== Number(index)) throw new Error(`${line}: it has the index ${link?.ifindex}`);
  }
}

function writeSysctls(namespace: Namespace, sysctls: Record<string, string>, chosen: (key: string) => boolean): void {
  const lines = Object.entries(sysctls)
    .filter(([key]) => chosen(key))
    .map(([key, value]) => `echo '${value}' > '/proc/sys/net/${key}'`);
  if (lines.length > 0) namespace.sh(lines.join("\n"));
}

function batch(command: readonly string[], lines: readonly string[]): void {
  if (lines.length > 0) run([...command, "-batch", "-"], `${lines.join("\n")}\n`);
}

function run([program = "", ...args]: readonly string[], input: string): void {
  const { status, stderr } = spawnSync(program, args, { input, encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}\n${input}`);
}
