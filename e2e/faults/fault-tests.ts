// The tests of a plugin: each sort of fault, at each of its system calls or at a sample of them.
import t from "tap";
import { needsKernel } from "../lab/needs.ts";
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

const sorts: readonly Sort[] = [
  { claim: "an ADD in which any system call fails leaves nothing", find: failedAdds },
  { claim: "DEL removes what an ADD killed anywhere has made", find: killedAdds },
  { claim: "GC removes it from the host", find: killedAddsCollected },
  { claim: "another ADD, then DEL, leave nothing of it", find: killedAddsRepeated },
  { claim: "DEL without CNI_NETNS removes it from the host", find: killedAddsWithoutNamespace },
  {
    claim: "a DEL in which any system call fails does all, or says that it did not",
    find: failedDels,
    seen: ({ ofFailedDel }) => ofFailedDel,
  },
  { claim: "DEL does what a DEL killed anywhere has left", find: killedDels },
];

/** @param names Of the table. */
export function testFaults(...names: string[]): void {
  t.setTimeout(0); // the whole file has its time from whoever runs it
  for (const name of names) {
    const entry = subjects[name];
    if (entry === undefined) throw new Error(`${name} is not in the table`);
    for (const { claim, find, seen = () => undefined } of sorts) {
      const title = `${name}: ${claim}`;
      t.test(title, { ...needsKernel(...(entry.needs ?? [])), timeout: 0 }, async (t) => {
        t.comment(chosenBy);
        t.strictSame(find((seen(entry) ?? asItIs)(await entry.make(t)), sampleFor(title)), []);
      });
    }
  }
}
