// The form of what a build left: its listing without what is another one each time.
import { listAll } from "./listing.ts";
import type { Node } from "./node.ts";

const random: readonly [RegExp, string][] = [
  [/\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b/g, "{mac}"],
  [/\b10\.77\.0\.(?!(0|1|255)\b)\d+/g, "{leased}"],
  [/(?<=dhcp\.leases\/)[0-9a-f]{16}\b/g, "{random}"],
  [/\bveth[0-9a-f]{8}\b/g, "{veth}"],
  [/"stamp":"\d+"|(?<= directory )\d+$/g, "{time}"],
];

export interface Difference {
  /** The builds that leave it otherwise. */
  builds: readonly string[];
  why: string;
  /** In what way an earlier build leaves a line of this one's. @returns undefined: it has no such line */
  earlier(line: string): string | undefined;
}

/** What an earlier build ignores, or takes for what it is. */
export const known: Record<"ownerRules" | "aliases" | "attributes", Difference> = {
  ownerRules: {
    builds: ["0.1.0-7ef44b8"],
    why: "iptables' chains of an attachment have a rule with its address and name, which changes no packet: GC and reload of earlier builds skip it",
    earlier: (line) =>
      /^(nft table ip6? nat chain|ip6?tables-legacy nat -A) CNI-(DN-)?[0-9a-f]+ .*(counter return|-j RETURN)$/.test(
        line,
      )
        ? undefined
        : line,
  },
  aliases: {
    builds: ["0.1.0-7ef44b8"],
    why: "a link that was made in a container has its owner's alias, so that a late DEL leaves another attachment's: earlier builds do not read it there",
    earlier: (line) => line.replace(/^(c\d+: link \S+ .*alias )"cni [^"]*"/, '$1""'),
  },
  attributes: {
    builds: ["0.1.0-7ef44b8", "0.1.0-f2c7bd8"],
    why: "host-device's record has the attributes that the device had on the host: earlier builds look for the keys that they know, and restore none",
    earlier: (line) => line.replace(/(\/host-device\/[\s\S]*),\n\s*"attributes": \{[\s\S]*?\n\s*\}/, "$1"),
  },
};

const normalized = (line: string): string =>
  random.reduce((text, [pattern, name]) => text.replace(pattern, name), line);

export const formOf = (node: Node): string[] => listAll(node).map(normalized);

/** Lines as an earlier build leaves them. @param seen Gets the known differences that there were. */
export function asEarlier(build: string, lines: readonly string[], seen: Set<Difference>): string[] {
  const differences = Object.values(known).filter(({ builds }) => builds.includes(build));
  return differences.reduce<string[]>(
    (before, difference) =>
      before.flatMap((line) => {
        const earlier = difference.earlier(line);
        if (earlier !== line) seen.add(difference);
        return earlier ?? [];
      }),
    [...lines],
  );
}
