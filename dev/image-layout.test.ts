// By hand: which blocks come together, and which pages a run then copies.
import t from "tap";
import { arrange, copiedPages, orderFile, readReport, writtenBytes } from "./image-layout.mjs";

const report = readReport(`allocations 900
transcript native/transcripts/bridge-ADD.txt
calls 120
block 1 64 2
block 2 64 2
block 3 64 2
block 4 16384 2
block 5 64 1
block 6 64 1
steps 2000
transcript native/transcripts/bridge-DEL.txt
calls 80
stale system call 1 where it has 2
block 1 64 2
block 2 64 2
block 7 4000 2
steps 1000
transcript native/transcripts/bridge-nftables-CHECK.txt
block 1 64 2
block 2 64 2
block 3 64 1
transcript native/transcripts/bridge-VERSION.txt
block 1 64 2
transcript native/transcripts/host-local-ADD.txt
block 6 64 1
block 8 200 2
`);

t.test("a report gives what each run did", async (t) => {
  const [add, del, check, , hostLocal] = report.runs;
  t.equal(report.allocations, 900);
  t.match(add, { name: "bridge-ADD", plugin: "bridge", verb: "ADD", calls: 120, steps: 2000 });
  t.strictSame(add?.blocks.get(5), { size: 64, isWritten: false });
  t.equal(del?.stale, "system call 1 where it has 2");
  t.match(check, { plugin: "bridge", verb: "CHECK" });
  t.match(hostLocal, { plugin: "host-local", verb: "ADD" });
  t.throws(() => readReport("allocations 1\nSegmentation fault"), /printed "Segmentation fault"/);
});

const parts = arrange(report);

t.test("blocks are parted by who writes to them, those of an ADD next to what is written often", async (t) => {
  t.strictSame(parts, {
    read: [5, 6],
    written: [4, 8, 7],
    writtenByAdd: [3],
    writtenOften: [2],
    writtenAlways: [1],
  });
});

t.test("the file has the program's allocations, then each part's length and numbers", async (t) => {
  const words = new Uint32Array(new Uint8Array(orderFile(report, parts)).buffer);
  t.strictSame([...words], [900, 2, ...parts.read, 3, 4, 8, 7, 1, 3, 1, 2, 1, 1]);
});

t.test("pages that a run writes to are counted once, and of a large block one", async (t) => {
  const copied = copiedPages(report, parts);
  // 4: pages 1 to 4; 8, 7: page 5 and 6; 3, 2, 1: page 6
  t.strictSame(report.runs.map(copied), [2, 2, 1, 1, 1]);
  t.strictSame(report.runs.map(writtenBytes), [192, 4128, 128, 64, 200]);
});
