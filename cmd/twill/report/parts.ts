/** The files of a report, each made by itself: what cannot be read is told in the report, and takes no other file with it. */

import { readFailedCalls } from "../../../pkg/cni/failed-calls.ts";
import { supportedVersions } from "../../../pkg/cni/version.ts";
import { type Json, parseJson } from "../../../pkg/config/json.ts";
import { isSecretName, LEFT_OUT, textWithoutSecrets, withoutSecrets } from "../../../pkg/config/secrets.ts";
import { listAddresses } from "../../../pkg/link/address.ts";
import { inNamespace } from "../../../pkg/link/in-namespace.ts";
import { listLinks, openRtnetlink } from "../../../pkg/link/link.ts";
import { listAllRoutes } from "../../../pkg/link/route.ts";
import { listRules } from "../../../pkg/link/rule.ts";
import type { Connection } from "../../../pkg/netlink/connection.ts";
import { listAllAttachmentRecords } from "../../../pkg/network/attachment-record.ts";
import { cachedNamespace } from "../../../pkg/runtime/cached-namespace.ts";
import { configurationFiles } from "../../../pkg/runtime/network-list.ts";
import { findDirectory, findText } from "../../../pkg/sys/file.ts";
import { openNamespace } from "../../../pkg/sys/namespace.ts";
import { environment, findCommand, run } from "../../../pkg/sys/process.ts";
import { decode } from "../../../pkg/sys/text.ts";
import { asRecord, examine } from "../doctor/examination.ts";
import { type NodeView, viewNode } from "../doctor/node-view.ts";
import { calledBy } from "../install/called-plugins.ts";
import type { Self } from "../install/origin.ts";
import { callsFile } from "../log/log.ts";
import { exposition } from "../metrics/exposition.ts";
import { metricsOf } from "../metrics/families.ts";
import { configDirectories } from "../node/config-directories.ts";
import { plain } from "./plain.ts";

/** A file of the report. */
export interface Part {
  /** Below the report's folder. */
  path: string;
  /** Returns a text, or a value to print as JSON; undefined: there is nothing of it on this node. */
  content(): string | Json | undefined;
}

/** Returns the parts for a node. Texts and values are without secrets. */
export function partsOf(self: Self, variables: Readonly<Record<string, string>>): Part[] {
  const node = viewNode(self, variables);
  return [
    { path: "versions.json", content: () => versionsOf(self, variables) },
    { path: "runtimes.json", content: () => runtimesOf(node) },
    { path: "doctor.json", content: () => withoutSecrets(plain(examine(node).map(asRecord))) },
    { path: "calls.json", content: () => withoutSecrets(plain(readFailedCalls(callsFile(variables)))) },
    { path: "metrics.prom", content: () => exposition(metricsOf(node).families) },
    { path: "attachments.json", content: () => attachmentsOf(node) },
    { path: "records.json", content: () => withoutSecrets(plain(listAllAttachmentRecords())) },
    { path: "reservations.json", content: () => plain(node.reservations) },
    { path: "flannel.json", content: flannelFiles },
    { path: "host/links.json", content: () => linksIn(openRtnetlink()) },
    { path: "host/sysctl.json", content: () => sysctlsOf(node) },
    { path: "host/modules.txt", content: () => findText("/proc/modules")?.replace(/ .*/g, "") },
    ...programs.map(([name, ...args]) => ({
      path: `host/${[name, ...args.filter((arg) => !arg.startsWith("-"))].join("-")}.txt`,
      content: () => printedBy(name, args),
    })),
    ...configurationParts(node),
    ...containerParts(node),
  ];
}

function versionsOf({ version }: Self, variables: Readonly<Record<string, string>>): Json {
  const set = Object.keys(variables).filter((name) => /^(TWILL|CNI|NETCONF|CAP)_?/.test(name));
  return {
    twill: version,
    cni: [...supportedVersions],
    kernel: findText("/proc/version")?.trim() ?? "",
    system: withoutSecrets(/^PRETTY_NAME="?(.*?)"?$/m.exec(findText("/etc/os-release") ?? "")?.[1] ?? ""),
    uptimeSeconds: Number(findText("/proc/uptime")?.split(" ")[0] ?? 0),
    variables: set.sort(),
  };
}

function runtimesOf(node: NodeView): Json {
  const { runtimes, problems } = node.installed;
  const plugins = runtimes.map((runtime) => calledBy(runtime, node.self).plugins);
  return withoutSecrets(plain({ runtimes: runtimes.map((one, i) => ({ ...one, plugins: plugins[i] })), problems }));
}

/** What runtimes remember, without the arguments of the call: they may hold what a pod was given. The configuration is among the files. */
const attachmentsOf = ({ cache }: NodeView): Json =>
  withoutSecrets(
    plain({
      attachments: cache.attachments.map(({ entry, state }) => {
        const { networkName, containerId, ifName, result } = entry;
        return { networkName, containerId, ifName, netns: cachedNamespace(entry).path, state, result };
      }),
      damaged: cache.damaged,
    }),
  );

const FLANNEL = "/run/flannel";

function flannelFiles(): Json | undefined {
  const names = (findDirectory(FLANNEL) ?? []).filter((name) => /\.(env|state)$/.test(name));
  if (names.length === 0) return undefined;
  return Object.fromEntries(names.map((name) => [name, textWithoutSecrets(findText(`${FLANNEL}/${name}`) ?? "")]));
}

function linksIn(rtnl: Connection): Json {
  const addresses = listAddresses(rtnl);
  return plain({
    links: listLinks(rtnl).map((link) => ({ ...link, addresses: addresses.get(link.index) ?? [] })),
    routes: listAllRoutes(rtnl),
    rules: listRules(rtnl),
  });
}

const SYSCTLS = [
  "ipv4/ip_forward",
  "ipv4/conf/all/forwarding",
  "ipv4/conf/all/rp_filter",
  "ipv4/conf/default/rp_filter",
  "ipv4/conf/all/route_localnet",
  "ipv6/conf/all/forwarding",
  "ipv6/conf/all/disable_ipv6",
  "ipv6/conf/default/disable_ipv6",
  "bridge/bridge-nf-call-iptables",
  "bridge/bridge-nf-call-ip6tables",
  "netfilter/nf_conntrack_max",
  "netfilter/nf_conntrack_count",
];

const sysctlsOf = ({ sysctl }: NodeView): Json =>
  Object.fromEntries(SYSCTLS.map((name) => [name, sysctl(name) ?? null]));

/** What shows the firewall, where it is there. */
const programs: readonly (readonly [name: string, ...args: string[]])[] = [
  ["nft", "-s", "list", "ruleset"],
  ["iptables-save"],
  ["ip6tables-save"],
  ["iptables-legacy-save"],
  ["ip6tables-legacy-save"],
];

const LONGEST_MS = 10_000;

function printedBy(name: string, args: readonly string[]): string | undefined {
  const path = findCommand(name);
  if (path === undefined) return undefined;
  const PATH = environment()["PATH"] ?? "";
  const program = { path, args, environment: { PATH, LC_ALL: "C" }, stdin: new Uint8Array(0), longestMs: LONGEST_MS };
  const { status, stdout } = run({ ...program, takesStderr: true });
  return textWithoutSecrets(`${decode(stdout)}${status === 0 ? "" : `\nexit status ${status}\n`}`);
}

/** Files of network configurations. One that is no JSON is there as text, up to the first key of a secret. */
function configurationParts({ installed, environment: variables }: NodeView): Part[] {
  const files = configDirectories(installed, variables).flatMap(({ directory }) =>
    configurationFiles(directory, [".conflist", ".conf", ".json"]),
  );
  return files.map((path, i) => ({
    path: `configurations/${i}-${fileNameOf(path)}.json`,
    content: () => ({ path, ...configurationIn(findText(path) ?? "") }),
  }));
}

export function configurationIn(text: string): { document: Json } | { text: string } {
  try {
    return { document: withoutSecrets(parseJson(text)) };
  } catch {
    const lines = text.split("\n");
    const secret = lines.findIndex(isSecretLine);
    const shown = secret < 0 ? lines : [...lines.slice(0, secret), LEFT_OUT];
    return { text: textWithoutSecrets(shown.join("\n")) };
  }
}

/** Reports whether a line of a damaged file has a key of a secret: on which of the following lines its value ends cannot be told. */
const isSecretLine = (line: string): boolean => (line.match(/[\w.-]+/g) ?? []).some(isSecretName);

const fileNameOf = (path: string): string =>
  path
    .slice(path.lastIndexOf("/") + 1)
    .replace(/[^\w.-]/g, "_")
    .slice(0, 60);

/** The namespaces of containers that are alive, as many as a reader can look at. */
const MOST_CONTAINERS = 50;

const containerParts = ({ cache }: NodeView): Part[] =>
  cache.attachments
    .filter(({ state }) => state === "alive")
    .slice(0, MOST_CONTAINERS)
    .map(({ entry }, i) => ({
      path: `containers/${i}-${fileNameOf(`${entry.networkName}-${entry.containerId.slice(0, 12)}-${entry.ifName}`)}.json`,
      content: () => inNamespace(openNamespace(cachedNamespace(entry).path ?? ""), linksIn),
    }));
