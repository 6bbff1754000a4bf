/** resolv.conf(5) and hosts(5), as far as the resolver reads and writes them. Pure. */
import { type Address, formatAddress, isIPv4, parseAddress } from "../ip/address.ts";

export interface ResolvConf {
  servers: Address[];
  search: string[];
  options: string[];
}

/** Limit of the C libraries. */
const MOST_SERVERS = 3;

/** Reads the servers, search domains and options. A line that is malformed is passed over, as by the C libraries; so is an address with a zone. */
export function readResolvConf(text: string): ResolvConf {
  const conf: ResolvConf = { servers: [], search: [], options: [] };
  for (const line of text.split("\n")) {
    const [key, ...values] = line
      .replace(/[#;].*/, "")
      .trim()
      .split(/\s+/);
    const address = key === "nameserver" ? parseAddress(values[0] ?? "") : undefined;
    if (address !== undefined && conf.servers.length < MOST_SERVERS) conf.servers.push(address);
    if (key === "search" || key === "domain") conf.search = values;
    if (key === "options") conf.options.push(...values);
  }
  return conf;
}

/** Begins a line of the original that is kept for `withoutResolver`. */
const KEPT = "# before twill: ";

/**
 * Makes the resolv.conf of a container whose names the resolver answers, as Docker writes it: search domains as they were, the resolver as the
 * only server, and a name without a dot is asked as it is. The original lines are kept as comments.
 */
export function withResolver(original: string, resolver: string): string {
  if (original.split("\n").some((line) => line.startsWith(KEPT))) return original; // it is made already
  const { search } = readResolvConf(original);
  return [
    ...(search.length === 0 ? [] : [`search ${search.join(" ")}`]),
    `nameserver ${resolver}`,
    "options ndots:0",
    ...linesOf(original).map((line) => `${KEPT}${line}`),
    ...(original === "" ? [KEPT] : []),
    "",
  ].join("\n");
}

/** Gives a resolv.conf that `withResolver` has made its original lines back; another one stays as it is. */
export function withoutResolver(text: string): string {
  const kept = text.split("\n").filter((line) => line.startsWith(KEPT));
  if (kept.length === 0) return text;
  const original = kept.map((line) => `${line.slice(KEPT.length)}\n`).join("");
  return original === "\n" ? "" : original;
}

/** What a container's resolv.conf is to have in the place of the host's. */
export interface OwnResolvConf {
  servers: readonly string[];
  search: readonly string[];
}

/**
 * Makes the resolv.conf of a new container from the host's, as Docker does.
 *
 * @param own.search replaces the host's; "." alone: none
 * @param reachesHost whether the host's loopback addresses are the container's as well; if not, servers at them are left out
 */
export function newResolvConf(host: string, own: OwnResolvConf, reachesHost: boolean): string {
  const { servers, search, options } = readResolvConf(host);
  const usable = servers.filter((address) => reachesHost || !isLoopback(address)).map(formatAddress);
  const names = own.search.length > 0 ? own.search.filter((name) => name !== ".") : search;
  return [
    ...(names.length > 0 ? [`search ${names.join(" ")}`] : []),
    ...(own.servers.length > 0 ? own.servers : usable).map((server) => `nameserver ${server}`),
    ...(options.length > 0 ? [`options ${options.join(" ")}`] : []),
    "",
  ].join("\n");
}

const isLoopback = (address: Address): boolean =>
  isIPv4(address) ? address[0] === 127 : address.every((byte, i) => byte === (i === 15 ? 1 : 0));

/** Makes the hosts of a new container. @param names of addresses, for the lines behind those that every host has */
export const newHosts = (names: readonly { address: string; names: readonly string[] }[]): string =>
  [
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "ff00::0\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
    ...names.map((one) => `${one.address}\t${one.names.join(" ")}`),
    "",
  ].join("\n");

const linesOf = (text: string): string[] =>
  text
    .replace(/\n$/, "")
    .split("\n")
    .slice(0, text === "" ? 0 : undefined);

/** Ends a line of hosts that belongs to a network. */
const markOf = (network: string): string => `\t# twill: ${network}`;

/** Gives hosts the lines of a network: an address and a name each. Lines that it had for that network before go. */
export function withHosts(text: string, network: string, hosts: readonly { address: string; name: string }[]): string {
  const mark = markOf(network);
  const others = linesOf(text).filter((line) => !line.endsWith(mark));
  const own = hosts.map(({ address, name }) => `${address}\t${name}${mark}`);
  return [...others, ...own].map((line) => `${line}\n`).join("");
}
