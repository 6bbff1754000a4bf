// Faults of every plugin: each sort of fault, at each of its system calls or at a sample of them.
import t from "tap";
import { inFullRunOnly, inLongRunOnCompleteKernel, type Need, needsKernel } from "../lab/needs.ts";
import { inShares } from "../lab/shares.ts";
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
import { chosenBy, pickFor, sampleFor } from "./sample.ts";
import { type Entry, subjects } from "./subjects.ts";

const asItIs = (subject: Subject): Subject => subject;

interface Sort {
  claim: string;
  find: (subject: Subject, choice: Choice) => Finding[];
  seen?: (entry: Entry) => ((subject: Subject) => Subject) | undefined;
}

/** Those that see most come first. */
const sorts: readonly Sort[] = [
  { claim: "an ADD in which any system call fails leaves nothing", find: failedAdds },
  { claim: "DEL removes what an ADD killed anywhere has made", find: killedAdds },
  {
    claim: "a DEL in which any system call fails does all, or says that it did not",
    find: failedDels,
    seen: ({ ofFailedDel }) => ofFailedDel,
  },
  { claim: "DEL does what a DEL killed anywhere has left", find: killedDels },
  { claim: "GC removes it from the host", find: killedAddsCollected },
  { claim: "another ADD, then DEL, leave nothing of it", find: killedAddsRepeated },
  { claim: "DEL without CNI_NETNS removes it from the host", find: killedAddsWithoutNamespace },
];

/** Of each subject `npm test` has the first sort, and one of the others that the seed decides; `npm run test:all` has all. */
const inEachRun = (name: string, sort: number): boolean => sort === 0 || sort === 1 + pickFor(name, sorts.length - 1);

/**
 * Of subjects of the complete kernel, where a test takes half a minute, so many in each run there, of others one: their links are made and deleted
 * by the code that macvlan shows here.
 */
const SORTS_ON_COMPLETE_KERNEL: Readonly<Record<string, number>> = { "bridge, vlan": 2, vrf: 2 };

t.setTimeout(0); // the whole file has its time from whoever runs it
inShares(Object.fromEntries(Object.entries(subjects).map(([name, entry]) => [name, () => testFaults(name, entry)])));

function testFaults(name: string, entry: Entry): void {
  for (const [i, { claim, find, seen = () => undefined }] of sorts.entries()) {
    const title = `${name}: ${claim}`;
    t.test(title, { ...needsOf(name, entry, i), timeout: 0 }, async (t) => {
      t.comment(chosenBy);
      t.strictSame(find((seen(entry) ?? asItIs)(await entry.make(t)), sampleFor(title)), []);
    });
  }
}

function needsOf(name: string, entry: Entry, sort: number): Need {
  const needs = needsKernel(...(entry.needs ?? []));
  const inGuest = sort < (SORTS_ON_COMPLETE_KERNEL[name] ?? 1) ? needs : inLongRunOnCompleteKernel(needs);
  return inEachRun(name, sort) ? inGuest : inFullRunOnly(inGuest);
}
