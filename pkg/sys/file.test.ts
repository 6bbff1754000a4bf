// Runs on Node and, through e2e/engine, on the plugins' engine: tests here are synchronous and use tap's basic assertions only.
import t from "tap";
import { isErrno } from "./errno.ts";
import {
  appendFile,
  createFile,
  directoryOf,
  fileSystemType,
  findDirectory,
  findStat,
  findText,
  forEachName,
  linkFile,
  listDirectory,
  makeDirectories,
  overwriteFile,
  readFile,
  readLink,
  readRecord,
  readText,
  removeDirectory,
  removeFile,
  rename,
  replaceFile,
  setModified,
  syncFile,
  withDirectoryLock,
  withLock,
  writeExisting,
  writeFile,
  writeNewFile,
} from "./file.ts";
import { lazy } from "./lazy.ts";
import { temporaryDirectory } from "./temporary-directory.testing.ts";

/** Made by the first test: at top level, where the engine's build of the tests is frozen, nothing may differ from load to load. */
const folder = lazy(() => temporaryDirectory(t, "sys"));
const path = (name: string) => `${folder()}/${name}`;

/** The errno's name of what `work` throws. */
function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "none";
}

t.test("a file that has a second name is one file with two", (t) => {
  writeFile(path("one"), "1", { mode: 0o600 });
  t.equal(findStat(path("one"))?.links, 1);
  t.equal(linkFile(path("one"), path("two")), true);
  syncFile(path("two"));
  t.equal(findStat(path("two"))?.links, 2);
  t.equal(findStat(path("two"))?.inode, findStat(path("one"))?.inode);
  t.equal(linkFile(path("one"), path("two")), false, "the name is taken");
  t.equal(
    refusal(() => linkFile(path("nothing"), path("three"))),
    "ENOENT",
  );
  t.end();
});

t.test("a replacement has the mode that it is given, whatever the umask", (t) => {
  replaceFile(path("open"), "", { mode: 0o666, ignoreUmask: true });
  t.equal(findStat(path("open"))?.mode, 0o666);
  replaceFile(path("open"), "", { mode: 0o666 });
  t.not(findStat(path("open"))?.mode, 0o666, "which it has not otherwise");
  t.end();
});

t.test("what was written is read", (t) => {
  writeFile(path("text"), "größer als π", { mode: 0o644 });
  t.equal(readText(path("text")), "größer als π");
  writeFile(path("text"), new Uint8Array([0, 255, 10]), { mode: 0o644 });
  t.strictSame([...readFile(path("text"))], [0, 255, 10]);
  appendFile(path("text"), "x", { mode: 0o644 });
  t.equal(readFile(path("text")).length, 4);
  writeExisting(path("text"), "yy");
  t.equal(readFile(path("text")).length, 4, "an existing file is not cut: sysctls are written this way");
  t.end();
});

t.test("files larger than the first buffer are read whole", (t) => {
  const data = new Uint8Array(100_000).map((_, i) => i % 251);
  writeFile(path("large"), data, { mode: 0o600 });
  t.strictSame(readFile(path("large")), data);
  t.end();
});

t.test("absent files and folders are undefined where asked so, and ENOENT otherwise", (t) => {
  t.equal(findText(path("no")), undefined);
  t.equal(findText(path("no/deeper")), undefined);
  t.equal(findDirectory(path("no")), undefined);
  t.equal(findStat(path("no")), undefined);
  t.throws(() => fileSystemType(path("no")), { code: "ENOENT" });
  t.equal(
    refusal(() => readText(path("no"))),
    "ENOENT",
  );
  t.equal(
    refusal(() => listDirectory(path("no"))),
    "ENOENT",
  );
  t.equal(
    refusal(() => writeExisting(path("no"), "")),
    "ENOENT",
  );
  t.equal(removeFile(path("no")), false);
  t.equal(removeDirectory(path("no")), false);
  t.end();
});

t.test("createFile makes it once", (t) => {
  t.equal(createFile(path("once"), "first", { mode: 0o600 }), true);
  t.equal(createFile(path("once"), "second", { mode: 0o600 }), false);
  t.equal(readText(path("once")), "first");
  t.equal(findStat(path("once"))?.mode, 0o600);
  t.equal(
    refusal(() => createFile(path("no/once"), "", { mode: 0o600 })),
    "ENOENT",
  );
  t.end();
});

t.test("writeNewFile makes it once", (t) => {
  t.equal(writeNewFile(path("new"), "first", { mode: 0o600 }), true);
  t.equal(findStat(path("new"))?.mode, 0o600);
  t.equal(writeNewFile(path("new"), "second", { mode: 0o600 }), false);
  t.equal(readText(path("new")), "first");
  t.equal(
    refusal(() => writeNewFile(path("no/new"), "", { mode: 0o600 })),
    "ENOENT",
  );
  t.end();
});

t.test("replaceFile leaves no temporary file, also on failure", (t) => {
  replaceFile(path("state"), "old", { mode: 0o640 });
  replaceFile(path("state"), "new", { mode: 0o640 });
  t.equal(readText(path("state")), "new");
  makeDirectories(path("folder"), 0o755);
  t.equal(
    refusal(() => replaceFile(path("folder"), "x", { mode: 0o600 })),
    "EISDIR",
  );
  t.strictSame(
    listDirectory(folder()).filter((name) => name.includes("tmp")),
    [],
  );
  t.end();
});

t.test("directories are made with those above them, and listed sorted", (t) => {
  makeDirectories(path("a/b/c"), 0o755);
  makeDirectories(path("a/b/c"), 0o755);
  for (const name of ["z", "y", "é"]) writeFile(path(`a/b/${name}`), "", { mode: 0o600 });
  t.strictSame(listDirectory(path("a/b")), ["c", "y", "z", "é"]);
  t.equal(
    refusal(() => removeDirectory(path("a"))),
    "ENOTEMPTY",
  );
  t.equal(
    refusal(() => makeDirectories(path("a/b/z"), 0o755)),
    "EEXIST",
  );
  t.equal(
    refusal(() => makeDirectories(path("a/b/z/deeper"), 0o755)),
    "ENOTDIR",
  );
  t.equal(
    refusal(() => makeDirectories("/proc/none/deeper", 0o755)),
    "ENOENT",
    "where the kernel makes no directories",
  );
  for (const name of ["z", "y", "é"]) removeFile(path(`a/b/${name}`));
  for (const name of ["a/b/c", "a/b", "a"]) t.equal(removeDirectory(path(name)), true);
  t.end();
});

t.test("a directory with many entries is listed whole", (t) => {
  makeDirectories(path("many"), 0o755);
  const names = Array.from({ length: 2000 }, (_, i) => `entry-${String(i).padStart(4, "0")}`);
  for (const name of names) writeFile(path(`many/${name}`), "", { mode: 0o600 });
  t.strictSame(listDirectory(path("many")), names);
  for (const name of names) removeFile(path(`many/${name}`));
  removeDirectory(path("many"));
  t.end();
});

t.test("stat tells what a name stands for", (t) => {
  writeFile(path("five"), "12345", { mode: 0o604 });
  const five = findStat(path("five"));
  t.equal(five?.type, "file");
  t.equal(five?.size, 5);
  t.equal(findStat(folder())?.type, "directory");
  t.equal(findStat("/proc/self", "link")?.type, "link");
  t.equal(findStat("/proc/self")?.type, "directory");
  t.ok((five?.modifiedNs ?? 0n) > 1_600_000_000_000_000_000n, "nanoseconds since 1970");
  rename(path("five"), path("5"));
  t.equal(findStat(path("5"))?.inode, five?.inode, "the same file under another name");
  t.end();
});

t.test("links and file systems", (t) => {
  t.match(readLink("/proc/self/ns/net"), /^net:\[\d+\]$/);
  t.equal(fileSystemType("/proc"), 0x9fa0);
  t.end();
});

t.test("a text with NUL never reaches the kernel", (t) => {
  t.equal(
    refusal(() => readText("/etc/passwd\0.json")),
    "EINVAL",
  );
  t.end();
});

t.test("a lock is held for the time of the work, of a file and of a directory", (t) => {
  for (const place of [path("lock"), folder()]) {
    const options = { mode: 0o600, timeoutMs: 20 };
    const seen = withLock(place, options, () => refusal(() => withLock(place, options, () => "never")));
    t.equal(seen, "EAGAIN", "nobody else gets it meanwhile");
    t.equal(
      withLock(place, options, () => 42),
      42,
      "afterwards it is free",
    );
  }
  t.end();
});

t.test("the lock of a directory makes the directory, and who has it may remove that", (t) => {
  const [place, options] = [path("locked"), { mode: 0o700, timeoutMs: 20 }];
  const nested = () => withDirectoryLock(place, options, () => "inside");
  t.equal(
    withDirectoryLock(place, options, () => refusal(nested)),
    "EAGAIN",
    "nobody else gets it meanwhile",
  );
  const afterRemoval = withDirectoryLock(place, options, () => {
    removeDirectory(place);
    return nested();
  });
  t.equal(afterRemoval, "inside", "the new one is free");
  t.ok(removeDirectory(place));
  t.end();
});

t.test("isErrno knows errors of the kernel only", (t) => {
  try {
    readText(path("no"));
  } catch (error) {
    t.equal(isErrno(error, "EACCES", "ENOENT"), true);
    t.equal(isErrno(error, "EACCES"), false);
    t.equal(String(error), `SystemError: openat ${path("no")}: ENOENT`);
  }
  t.equal(isErrno(new Error("ENOENT"), "ENOENT"), false);
  t.end();
});

t.test("directoryOf", (t) => {
  t.strictSame(["/a/b", "/a", "a/b", "a", "/"].map(directoryOf), ["/a", "/", "a", ".", "/"]);
  t.end();
});

t.test("overwriting in place leaves the new text alone, shorter or longer", (t) => {
  for (const text of ["10.0.0.100", "10.0.0.2", "", "10.0.0.3"]) {
    overwriteFile(path("place"), text, { mode: 0o600 });
    t.equal(readText(path("place")), text);
  }
  t.equal(findStat(path("place"))?.mode, 0o600);
  t.end();
});

t.test("a directory keeps the time it was given until it changes", (t) => {
  makeDirectories(path("stamped"), 0o700);
  const stamp = 1_600_000_000_123_456_789n;
  setModified(path("stamped"), stamp);
  t.equal(findStat(path("stamped"))?.modifiedNs, stamp);
  writeFile(path("stamped/file"), "", { mode: 0o600 });
  t.not(findStat(path("stamped"))?.modifiedNs, stamp);

  const names: string[] = [];
  forEachName(path("stamped"), (name) => {
    names.push(name);
    removeFile(path(`stamped/${name}`));
  });
  t.strictSame(names, ["file"]);
  let visits = 0;
  forEachName("/proc", () => (++visits === 3 ? "stop" : undefined));
  t.equal(visits, 3, "and no further than it is wanted");
  t.strictSame(findDirectory(path("stamped")), []);
  t.end();
});

t.test("a record is its text, and what cannot be one is told instead of thrown", (t) => {
  const name = path("record");
  t.equal(readRecord(name), undefined, "missing");
  writeFile(name, "text\n", { mode: 0o600 });
  t.equal(readRecord(name), "text\n");
  writeFile(name, "", { mode: 0o600 });
  t.equal(readRecord(name), "", "empty");
  writeFile(name, new Uint8Array((1 << 20) + 1), { mode: 0o600 });
  t.strictSame(readRecord(name), { problem: "has more than 1024 kB" });
  t.strictSame(readRecord(folder()), { problem: "is a directory" });
  t.strictSame(readRecord("/dev/zero"), { problem: "has more than 1024 kB" }, "does not go on for ever");
  t.strictSame(readRecord("/dev/null"), { problem: "is a FIFO or a device" });
  t.strictSame(readRecord(`/proc/self/fd/${1 << 20}`), undefined, "a link that leads nowhere");
  removeFile(name);
  t.end();
});
