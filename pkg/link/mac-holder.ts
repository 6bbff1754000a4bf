/** Finds the link that has a MAC, for the error when the kernel refuses a second macvlan link with it (EADDRINUSE). */
import { findDirectory } from "../sys/file.ts";
import { findNamespace, isOwnNamespace, OWN_NAMESPACE } from "../sys/namespace.ts";
import { listLinks, openRtnetlink } from "./link.ts";

const NAMED_NAMESPACES = "/run/netns";

/** Returns what to do about a MAC that is in use, with the links that have it: on the host and in namespaces that have a name. */
export function macInUse(mac: string): string {
  const named = (findDirectory(NAMED_NAMESPACES) ?? []).map((name) => `${NAMED_NAMESPACES}/${name}`);
  const paths = [OWN_NAMESPACE, ...named.filter((path) => !isOwnNamespace(path))];
  const holders = paths.flatMap((path) =>
    linksWith(mac, path).map((name) => `"${name}" ${path === OWN_NAMESPACE ? "on the host" : `in ${path}`}`),
  );
  const who =
    holders.length > 0
      ? `${holders.join(" and ")} ${holders.length === 1 ? "has" : "have"} it`
      : "look who has it (ip -d link show type macvlan, in each container)";
  return `a master carries each MAC once, its own included: ${who}; take another "mac", or delete that one`;
}

function linksWith(mac: string, path: string): string[] {
  const namespace = findNamespace(path);
  if (namespace === undefined) return [];
  return listLinks(openRtnetlink(namespace))
    .filter((link) => link.mac === mac && (link.up || link.kind !== "macvlan")) // the refused one is down
    .map(({ name }) => name);
}
