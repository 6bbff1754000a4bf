/**
 * Writes subnet.env, the daemon's file for the CNI plugin and Docker, and reads that of an earlier run. The plugin reads it with
 * read-strict.ts, which is stricter.
 */

import { addToAddress, formatPrefix, networkOf, type Prefix, parsePrefix } from "../ip/address.ts";
import { type FamilyName, familyOf, familyWords } from "../ip/family.ts";
import { directoryOf, findText, makeDirectories, replaceFile } from "../sys/file.ts";
import { parseDotenv } from "./dotenv.ts";

/** The part of the file that belongs to one family. */
export interface SubnetFileFamily {
  /** The network of the whole cluster. */
  network: Prefix;
  /** This host's subnet; host bits are zero here, `.1` in the file. */
  subnet: Prefix;
}

export interface SubnetFile {
  ipv4?: SubnetFileFamily;
  ipv6?: SubnetFileFamily;
  mtu: number;
  /** Whether the daemon masquerades, so that plugin bridge need not. */
  ipMasq: boolean;
}

/** All users may read the file, whatever the daemon's umask is. */
const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

/** Writes the file atomically: readers see the old file or the new one. */
export function writeSubnetFile(path: string, file: SubnetFile): void {
  makeDirectories(directoryOf(path), DIRECTORY_MODE);
  replaceFile(path, printSubnetFile(file), { mode: FILE_MODE, ignoreUmask: true });
}

/** Prints exactly the bytes that flannel writes: shells source the file, and other plugins' parsers know neither quotes nor comments. */
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

/** Returns the first address of the subnet, which its bridge has. */
function first({ subnet }: SubnetFileFamily): string {
  const { address, length } = networkOf(subnet);
  return formatPrefix({ address: addToAddress(address, 1), length });
}

/** The content of an earlier run's file; parts may be missing. Host bits are zero. */
export interface EarlierSubnets {
  ipv4: Partial<SubnetFileFamily>;
  ipv6: Partial<SubnetFileFamily>;
}

/**
 * Reads the valid parts of an earlier run's file: they are hints for the next lease, and a malformed file must not prevent a start.
 *
 * @param report Called for each part that is skipped, with a sentence that names the file.
 * @throws SystemError: the file exists and cannot be read
 */
export function readEarlierSubnets(path: string, report: (problem: string) => void): EarlierSubnets {
  return parseEarlierSubnets(findText(path) ?? "", (problem) => report(`${path}: ${problem}`));
}

/** Parses the text of such a file. A list with more than one prefix is not used. */
export function parseEarlierSubnets(text: string, report: (problem: string) => void): EarlierSubnets {
  const variables = parseDotenv(text, report);
  const prefix = (name: string, family: FamilyName): Prefix | undefined => {
    const prefixes = (variables.get(name) ?? "")
      .split(",")
      .flatMap((element) => prefixIn(element, name, family, report));
    return prefixes.length === 1 ? prefixes[0] : undefined;
  };
  const part = (network: string, subnet: string, family: FamilyName): Partial<SubnetFileFamily> => ({
    ...withValue("network", prefix(network, family)),
    ...withValue("subnet", prefix(subnet, family)),
  });
  return {
    ipv4: part("FLANNEL_NETWORK", "FLANNEL_SUBNET", "ipv4"),
    ipv6: part("FLANNEL_IPV6_NETWORK", "FLANNEL_IPV6_SUBNET", "ipv6"),
  };
}

const withValue = (key: keyof SubnetFileFamily, value: Prefix | undefined): Partial<SubnetFileFamily> =>
  value === undefined ? {} : { [key]: value };

/** Parses one element of a list: returns one prefix, or none if it is empty or invalid. */
function prefixIn(element: string, name: string, family: FamilyName, report: (problem: string) => void): Prefix[] {
  const text = element.trim();
  if (text === "") return [];
  const prefix = parsePrefix(text);
  if (prefix !== undefined && familyOf(prefix.address) === family) return [networkOf(prefix)];
  report(`${name} has ${JSON.stringify(text)}, must be an ${familyWords[family]} prefix; it is ignored`);
  return [];
}
