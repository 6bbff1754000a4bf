// Two nodes with the same runtime, of which one calls the Go plugins and the other ours: both are given the same commands, and what
// these show has to be the same.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import { projectRoot } from "../lab/project.ts";
import type { Node, Whose } from "./node.ts";

export interface Step {
  claim: string;
  script: string;
  /** What is shown, where a mistake of both would not be seen otherwise. */
  shown?: RegExp;
  /** Where twill means to differ: the page and heading that explain it, and what is shown with ours. Go's plugins show `shown`. */
  differs?: { page: string; heading: string; ours: RegExp };
}

/** A shell function for what is sorted: chains have names made of IDs. */
export const withoutIds = `
  without_ids() { sed -E 's/CNI-(DN-)?[0-9a-f]{20,24}/CNI-\\1HASH/g; s/[0-9a-f]{64}/ID/g'; }`;

/** @param commands Shell functions that the scripts call */
export async function compare(
  t: Test,
  sides: Readonly<Record<Whose, Node>>,
  commands: string,
  steps: readonly Step[],
): Promise<void> {
  for (const { claim, script, shown, differs } of steps) {
    const [go, ours] = await Promise.all([sides.go, sides.ours].map((node) => shows(node, `${commands}\n${script}`)));
    if (shown !== undefined) t.match(go, shown, `${claim}: Go's`);
    if (differs === undefined) {
      t.equal(ours, go, claim);
      continue;
    }
    t.match(readFileSync(join(projectRoot, differs.page), "utf8"), `\n### ${differs.heading}\n`, differs.page);
    t.match(ours, differs.ours, `${claim}: ${differs.heading}`);
  }
}

async function shows(node: Node, script: string): Promise<string> {
  const { stdout, stderr, status } = await node.type(script);
  return normalized(`${stdout}${stderr}${status === 0 ? "" : `exit status ${status}`}`);
}

/** What differs from run to run: IDs, names of namespaces and veth pairs, MACs that nobody asked for (those asked for begin with 02:11), indexes. */
const normalized = (text: string): string =>
  text
    .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, "UUID")
    .replace(/\b([0-9a-f]{64}|[0-9a-f]{12})\b/g, "ID")
    .replace(/\bveth[0-9a-f]{8}\b/g, "VETH")
    .replace(/@if\d+/g, "@PEER")
    .replace(/\b(?!02:11|ff:ff|00:00)[0-9a-f]{2}(:[0-9a-f]{2}){5}\b/g, "MAC")
    .replace(/\bfe80::[0-9a-f:]+/g, "LINK-LOCAL")
    .replace(/\bCNI-(DN-|SN-)?[0-9a-f]{20,24}\b/g, "CNI-$1HASH")
    .replace(/[ \t]+$/gm, "")
    .replace(/ {2,}/g, " ")
    .trim();
