/**
 * Parses subnet.env for the CNI plugin: `KEY=value` and nothing else, as the reference plugin does. A program writes the file, so
 * anything unusual in it is a mistake, and no container should be attached with it. Pure.
 */
import { CniError, ErrorCode } from "../cni/error.ts";
import { formatPrefix, networkOf, type Prefix, parsePrefix } from "../ip/address.ts";

export interface SubnetEnv {
  /** The networks of the whole cluster, IPv4 first, without duplicates. */
  networks: readonly Prefix[];
  /** This host's subnets, at most one of each family, IPv4 first. Host bits are zero. */
  subnets: readonly Prefix[];
  mtu: number;
  /** Whether the daemon masquerades. */
  ipMasq: boolean;
}

/** How the value of a variable is read; `read` returns undefined for an invalid one. */
interface Variable<T> {
  read(text: string): T | undefined;
  /** Completes "must be …". */
  allowed: string;
}

const prefix: Variable<Prefix> = {
  read(text) {
    const parsed = parsePrefix(text);
    return parsed && networkOf(parsed);
  },
  allowed: 'a prefix, as "10.1.0.0/16" or "fd00::/48"',
};

const prefixes: Variable<readonly Prefix[]> = {
  read(text) {
    const list = text.split(",").map(prefix.read);
    return list.every((one) => one !== undefined) ? unique(list) : undefined;
  },
  allowed: `${prefix.allowed}, or several with commas between`,
};

const mtu: Variable<number> = {
  read: (text) => (/^[0-9]+$/.test(text) && Number(text) <= 0xffffffff ? Number(text) : undefined),
  allowed: "a number of bytes, as 1450",
};

const ipMasq: Variable<boolean> = { read: (text) => text === "true", allowed: "true or false" };

/**
 * @param path For messages.
 * @throws CniError 6: a malformed value, or a missing variable
 */
export function parseSubnetEnv(text: string, path: string): SubnetEnv {
  const texts = textsIn(text);
  const value = <T>(name: string, variable: Variable<T>): T | undefined => {
    if (!texts.has(name)) return undefined;
    const found = texts.get(name);
    const read = found === undefined ? undefined : variable.read(found);
    if (read === undefined) throw unreadable(path, name, found, variable.allowed);
    return read;
  };
  const networks = [value("FLANNEL_NETWORK", prefixes), value("FLANNEL_IPV6_NETWORK", prefixes)].flatMap(
    (one) => one ?? [],
  );
  const subnets = [value("FLANNEL_SUBNET", prefix), value("FLANNEL_IPV6_SUBNET", prefix)].flatMap((one) => one ?? []);
  const [size, masquerades] = [value("FLANNEL_MTU", mtu), value("FLANNEL_IPMASQ", ipMasq)];
  if (networks.length === 0 || subnets.length === 0 || size === undefined || masquerades === undefined)
    throw incomplete(path, texts);
  return { networks, subnets, mtu: size, ipMasq: masquerades };
}

/** Returns the values by variable; undefined for a line without `=`. Of several lines of one variable the last one is used. */
function textsIn(text: string): Map<string, string | undefined> {
  const texts = new Map<string, string | undefined>();
  for (const line of text.split("\n")) {
    const whole = line.endsWith("\r") ? line.slice(0, -1) : line;
    const equals = whole.indexOf("=");
    if (equals < 0) texts.set(whole, undefined);
    else texts.set(whole.slice(0, equals), whole.slice(equals + 1));
  }
  return texts;
}

function unique(list: readonly Prefix[]): readonly Prefix[] {
  return list.length === 1 ? list : [...new Map(list.map((one) => [formatPrefix(one), one])).values()];
}

function unreadable(path: string, name: string, text: string | undefined, allowed: string): CniError {
  const found = text === undefined ? 'has no "="' : `is ${JSON.stringify(text)}`;
  return new CniError({
    code: ErrorCode.decoding,
    msg: `${path}: ${name} ${found}, must be ${allowed}`,
    remedy,
  });
}

/** Variables of which one in each list is required: a network and a subnet of either family, and the rest. */
const needed: readonly (readonly string[])[] = [
  ["FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK"],
  ["FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET"],
  ["FLANNEL_MTU"],
  ["FLANNEL_IPMASQ"],
];

/** Makes the error about missing variables, with the reference plugin's text. */
function incomplete(path: string, texts: ReadonlyMap<string, unknown>): CniError {
  const missing = needed.filter((names) => !names.some((name) => texts.has(name))).flat();
  return new CniError({ code: ErrorCode.decoding, msg: `${path} is missing ${missing.join(", ")}`, remedy });
}

const remedy = "restart flanneld, which writes it again, and check that nothing else writes the file";
