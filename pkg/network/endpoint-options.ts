/** The options of one connection (`connect --driver-opt KEY=VALUE`), under Docker's names or shorter ones. Pure. */
import { invalidConf } from "../cni/error.ts";
import { nearest } from "../config/edit-distance.ts";

/** A setting of the container's interface. */
export interface EndpointSysctl {
  /** As it was written: "net.ipv4.conf.IFNAME.log_martians". */
  key: string;
  /** Returns its path below /proc/sys/net for an interface. */
  pathFor(ifName: string): string;
  value: string;
}

export interface EndpointOptions {
  sysctls: readonly EndpointSysctl[];
  /** The name of the interface; undefined: the next ethN. */
  ifName: string | undefined;
}

const SYSCTLS = "com.docker.network.endpoint.sysctls";
const IFNAME = "com.docker.network.endpoint.ifname";
const shortNames: Readonly<Record<string, string>> = { sysctls: SYSCTLS, ifname: IFNAME };

/** Parses the values of the flag. One that was given twice counts as the last. @throws CniError 7: an unknown option, or a wrong value */
export function parseEndpointOptions(given: readonly string[]): EndpointOptions {
  const options = new Map(given.map(parseOption));
  return {
    sysctls: (options.get(SYSCTLS) ?? "").split(",").filter(Boolean).map(parseSysctl),
    ifName: options.get(IFNAME),
  };
}

/** Docker reads the flag as a line of CSV, so that its users write a value with commas in quotes. */
function parseOption(text: string): [name: string, value: string] {
  const [, plain = text] = /^"(.*)"$/.exec(text) ?? [];
  const [key = "", ...rest] = plain.split("=");
  if (rest.length === 0)
    throw invalidConf(`invalid driver option ${JSON.stringify(text)}`, "write --driver-opt KEY=VALUE");
  const name = shortNames[key] ?? key;
  if (name === SYSCTLS || name === IFNAME) return [name, rest.join("=")];
  const known = [SYSCTLS, IFNAME, ...Object.keys(shortNames)];
  const meant = nearest(key, known);
  throw invalidConf(
    `a connection has no driver option ${JSON.stringify(key)}`,
    meant === undefined ? `use one of ${known.join(", ")}` : `did you mean ${meant}?`,
  );
}

function parseSysctl(text: string): EndpointSysctl {
  const [, family, directory, name, value] =
    /^net\.(ipv4|ipv6|mpls)\.([a-z]+)\.IFNAME\.([a-z0-9_]+)=(.+)$/.exec(text.trim()) ?? [];
  if (family === undefined || directory === undefined || name === undefined || value === undefined)
    throw invalidConf(
      `invalid sysctl ${JSON.stringify(text)}`,
      "write it as net.ipv4.conf.IFNAME.log_martians=1: of net.ipv4, net.ipv6 or net.mpls, with IFNAME for the interface",
    );
  return {
    key: `net.${family}.${directory}.IFNAME.${name}`,
    pathFor: (ifName) => `${family}/${directory}/${ifName}/${name}`,
    value,
  };
}
