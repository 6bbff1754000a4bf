// The tests of a plugin: each sort of fault, at each of its system calls or at a sample of them.
import t from "tap";
import { inLongRunOnCompleteKernel, needsKernel } from "../lab/needs.ts";
import {
  type Choice,
  type Finding,
  failedAdds,
  failedDels,
  killedAdds,
  killedAddsCollected,
  killedAddsRepeated,
  killedAddsWithoutNamespace,
  killedDels,
  type Subject,
} from "./faults.ts";
import { chosenBy, sampleFor } from "./sample.ts";
import { type Entry, subjects } from "./subjects.ts";

const asItIs = (subject: Subject): Subject => subject;

interface Sort {
  claim: string;
  find: (subject: Subject, choice: Choice) => Finding[];
  seen?: (entry: Entry) => ((subject: Subject) => Subject) | undefined;
}

/** The first of them are those without which the others say little. */
const sorts: readonly Sort[] = [
  { claim: "an ADD in which any system call fails leaves nothing", find: failedAdds },
  { claim: "DEL removes what an ADD killed anywhere has made", find: killedAdds },
  {
    claim: "a DEL in which any system call fails does all, or says that it did not",
    find: failedDels,
    seen: ({ ofFailedDel }) => ofFailedDel,
  },
  { claim: "GC removes it from the host", find: killedAddsCollected },
  { claim: "another ADD, then DEL, leave nothing of it", find: killedAddsRepeated },
  { claim: "DEL without CNI_NETNS removes it from the host", find: killedAddsWithoutNamespace },
  { claim: "DEL does what a DEL killed anywhere has left", find: killedDels },
];

/**
 * Subjects of the complete kernel, where a test takes half a minute, with as many sorts in each run there. The others' links are made and
 * deleted by the code that macvlan shows here.
 */
const SORTS_ON_COMPLETE_KERNEL: Readonly<Record<string, number>> = { "bridge, vlan": 3, vrf: 3 };

/** @param names Of the table. */
export function testFaults(...names: string[]): void {
  t.setTimeout(0); // the whole file has its time from whoever runs it
  for (const name of names) {
    const entry = subjects[name];
    if (entry === undefined) throw new Error(`${name} is not in the table`);
    for (const [i, { claim, find, seen = () => undefined }] of sorts.entries()) {
      const title = `${name}: ${claim}`;
      const isInEachRun = i < (SORTS_ON_COMPLETE_KERNEL[name] ?? 1);
      const needs = needsKernel(...(entry.needs ?? []));
      t.test(title, { ...(isInEachRun ? needs : inLongRunOnCompleteKernel(needs)), timeout: 0 }, async (t) => {
        t.comment(chosenBy);
        t.strictSame(find((seen(entry) ?? asItIs)(await entry.make(t)), sampleFor(title)), []);
      });
    }
  }
}
