/**
 * subnet.env, by which the daemon tells the CNI plugin (and Docker) what this host has; and what it finds in there of an
 * earlier run. The plugin reads it with read-strict.ts, which is stricter.
 */
import { addToAddress, formatPrefix, isIPv4, networkOf, type Prefix, parsePrefix } from "../ip/address.ts";
import { directoryOf, findText, makeDirectories, replaceFile } from "../sys/file.ts";
import { parseDotenv } from "./dotenv.ts";

/** What of it belongs to a family. */
export interface SubnetFileFamily {
  /** Of the whole cluster. */
  network: Prefix;
  /** This host's part; host bits are zero here, `.1` in the file. */
  subnet: Prefix;
}

export interface SubnetFile {
  ipv4?: SubnetFileFamily;
  ipv6?: SubnetFileFamily;
  mtu: number;
  /** Whether the daemon masquerades, so that the bridge need not. */
  ipMasq: boolean;
}

/** Everybody may read it, whatever the umask of whoever started the daemon. */
const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

/** Readers see the old file or the new one. */
export function writeSubnetFile(path: string, file: SubnetFile): void {
  makeDirectories(directoryOf(path), DIRECTORY_MODE);
  replaceFile(path, printSubnetFile(file), { mode: FILE_MODE, ignoreUmask: true });
}

/** Byte for byte what flannel writes: shells source it, and other plugins' parsers know neither quotes nor comments. */
export function printSubnetFile({ ipv4, ipv6, mtu, ipMasq }: SubnetFile): string {
  return [
    ...(ipv4 === undefined ? [] : [`FLANNEL_NETWORK=${formatPrefix(ipv4.network)}`, `FLANNEL_SUBNET=${first(ipv4)}`]),
    ...(ipv6 === undefined
      ? []
      : [`FLANNEL_IPV6_NETWORK=${formatPrefix(ipv6.network)}`, `FLANNEL_IPV6_SUBNET=${first(ipv6)}`]),
    `FLANNEL_MTU=${mtu}`,
    `FLANNEL_IPMASQ=${ipMasq}`,
    "",
  ].join("\n");
}

/** The address that a bridge on it would have. */
function first({ subnet }: SubnetFileFamily): string {
  const { address, length } = networkOf(subnet);
  return formatPrefix({ address: addToAddress(address, 1), length });
}

/** What a file of an earlier run says; either may be missing. Host bits are zero. */
export interface EarlierSubnets {
  ipv4: Partial<SubnetFileFamily>;
  ipv6: Partial<SubnetFileFamily>;
}

/**
 * What the file says, wherever it can be understood: it is a hint for the next lease, and no reason not to start.
 *
 * @param report Told of each part that is passed over, in a sentence that names the file.
 * @throws SystemError: it is there and cannot be read
 */
export function readEarlierSubnets(path: string, report: (problem: string) => void): EarlierSubnets {
  return parseEarlierSubnets(findText(path) ?? "", (problem) => report(`${path}: ${problem}`));
}

/** The same of its text. Of a list with more than one prefix none is taken. */
export function parseEarlierSubnets(text: string, report: (problem: string) => void): EarlierSubnets {
  const variables = parseDotenv(text, report);
  const prefix = (name: string, family: Family): Prefix | undefined => {
    const prefixes = (variables.get(name) ?? "")
      .split(",")
      .flatMap((element) => prefixIn(element, name, family, report));
    return prefixes.length === 1 ? prefixes[0] : undefined;
  };
  const part = (network: string, subnet: string, family: Family): Partial<SubnetFileFamily> => ({
    ...withValue("network", prefix(network, family)),
    ...withValue("subnet", prefix(subnet, family)),
  });
  return {
    ipv4: part("FLANNEL_NETWORK", "FLANNEL_SUBNET", "IPv4"),
    ipv6: part("FLANNEL_IPV6_NETWORK", "FLANNEL_IPV6_SUBNET", "IPv6"),
  };
}

type Family = "IPv4" | "IPv6";

const withValue = (key: keyof SubnetFileFamily, value: Prefix | undefined): Partial<SubnetFileFamily> =>
  value === undefined ? {} : { [key]: value };

/** Of one element of a list: none or one. */
function prefixIn(element: string, name: string, family: Family, report: (problem: string) => void): Prefix[] {
  const text = element.trim();
  if (text === "") return [];
  const prefix = parsePrefix(text);
  if (prefix !== undefined && isIPv4(prefix.address) === (family === "IPv4")) return [networkOf(prefix)];
  report(`${name} has ${JSON.stringify(text)}, must be an ${family} prefix; it is passed over`);
  return [];
}
