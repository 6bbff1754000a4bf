/** Which network a command of `twill run` gets, and which options belong to it. Pure. */
import { type CniError, invalidConf } from "../cni/error.ts";

export type RunMode =
  /** A new network namespace without links but lo. */
  | { kind: "none" }
  /** That of the host. */
  | { kind: "host" }
  /** That of another container, with its host name and files. */
  | { kind: "container"; container: string }
  /** A new one that is connected to a network. */
  | { kind: "network"; network: string };

/** Reads `--network`. @throws CniError 7 */
export function runModeOf(text: string): RunMode {
  if (text === "none" || text === "host") return { kind: text };
  const container = /^container:(.*)$/.exec(text)?.[1];
  if (container === "")
    throw invalidConf(
      "invalid --network container: without a name",
      "write --network container:NAME (twill run --name)",
    );
  return container === undefined ? { kind: "network", network: text } : { kind: "container", container };
}

/** How often options are given that not every mode has. */
export interface GivenOptions {
  addresses: number;
  aliases: number;
  dns: number;
  exposed: number;
  hostName: number;
  links: number;
  mac: number;
  published: number;
}

/** Docker's texts. */
const conflicts: readonly {
  kind: RunMode["kind"];
  option: keyof GivenOptions;
  text: string;
  remedy: string;
}[] = [
  ...(["none", "host", "container"] as const).flatMap((kind) => [
    {
      kind,
      option: "addresses" as const,
      text: "user specified IP address is supported on user defined networks only",
      remedy: "remove --ip and --ip6, or create a network: twill network create --subnet …",
    },
    {
      kind,
      option: "aliases" as const,
      text: "network-scoped alias is supported only for containers in user defined networks",
      remedy: "remove --alias, or create a network: twill network create",
    },
    {
      kind,
      option: "mac" as const,
      text: "conflicting options: mac-address and the network mode",
      remedy: "remove --mac: there is no interface of the command's own",
    },
    {
      kind,
      option: "links" as const,
      text:
        kind === "none"
          ? "links are of no use without a network"
          : `conflicting options: ${kind} type network${kind === "host" ? "ing" : ""} can't be used with links. This would result in undefined behavior`,
      remedy: "remove --link",
    },
  ]),
  {
    kind: "container",
    option: "hostName",
    text: "conflicting options: hostname and the network mode",
    remedy: "remove --hostname: it is that of the other container",
  },
  {
    kind: "container",
    option: "dns",
    text: "conflicting options: dns and the network mode",
    remedy: "remove --dns and --dns-search: resolv.conf is that of the other container",
  },
  {
    kind: "container",
    option: "published",
    text: "conflicting options: port publishing and the container type network mode",
    remedy: "publish the ports of the other container (-p, -P)",
  },
  {
    kind: "container",
    option: "exposed",
    text: "conflicting options: port exposing and the container type network mode",
    remedy: "expose the ports of the other container",
  },
];

/** @throws CniError 7: an option that this mode has not */
export function refuseConflicts({ kind }: RunMode, given: GivenOptions): void {
  const conflict = conflicts.find((one) => one.kind === kind && given[one.option] > 0);
  if (conflict !== undefined) throw invalidConf(conflict.text, conflict.remedy);
}

/** Docker's rule: a letter or digit first, and at least two characters. */
const containerName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}$/;

/** @throws CniError 7 with Docker's text */
export function refuseContainerName(name: string): void {
  if (containerName.test(name)) return;
  throw invalidConf(
    `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    "choose a --name of 2 to 128 such characters",
  );
}

/** Returns Docker's refusal of a name that is taken. */
export const isNameTaken = (name: string, id: string): CniError =>
  invalidConf(
    `Conflict. The container name "/${name}" is already in use by container "${id}"`,
    "choose another --name, or end that one first",
  );
