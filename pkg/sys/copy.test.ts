import { execFileSync } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { copyContent, copyEntry, realPath } from "./copy.ts";

function folder(t: { teardown(work: () => void): unknown }): string {
  const made = mkdtempSync(join(tmpdir(), "twill-copy-"));
  t.teardown(() => rmSync(made, { recursive: true }));
  return made;
}
const sh = (script: string, cwd: string): string => execFileSync("sh", ["-ec", script], { cwd, encoding: "utf8" });
const isRoot = process.getuid?.() === 0;

t.test("a copy has the content, mode, owner and time of the file", async (t) => {
  const dir = folder(t);
  sh(`head -c 100000 /dev/urandom > one; chmod 2751 one; touch -d @1000000000.123456789 one`, dir);
  if (isRoot) sh("chown 12:34 one; chmod 2751 one", dir);
  copyEntry(join(dir, "one"), join(dir, "two"));
  sh("cmp one two", dir);
  const seen = (name: string) => sh(`find ${name} -printf '%m %U:%G %T@ %s'`, dir);
  t.equal(seen("two"), seen("one"));
});

t.test("a copy of a symbolic link leads where the link does, also nowhere", async (t) => {
  const dir = folder(t);
  sh("ln -s ../no/where one; touch -h -d @1000000000.5 one", dir);
  copyEntry(join(dir, "one"), join(dir, "two"));
  t.equal(sh("find two -printf '%l %T@'", dir), "../no/where 1000000000.5000000000");
});

t.test("an empty file is copied, whatever the umask", async (t) => {
  const dir = folder(t);
  sh("touch one", dir);
  const before = process.umask(0o77);
  t.teardown(() => process.umask(before));
  copyContent(join(dir, "one"), join(dir, "two"), 0o755);
  t.equal(sh("find two -printf '%m %s'", dir), "755 0");
});

t.test("a FIFO, a directory, what is not there and what is in the way are refused", async (t) => {
  const dir = folder(t);
  sh("mkfifo fifo; mkdir folder; touch one two", dir);
  for (const [name, code] of [
    ["fifo", "EINVAL"],
    ["folder", "EINVAL"],
    ["none", "ENOENT"],
  ] as const)
    t.throws(() => copyEntry(join(dir, name), join(dir, "copy")), { code });
  t.throws(() => copyEntry(join(dir, "one"), join(dir, "two")), { code: "EEXIST" });
});

t.test("the real path has no symbolic links", async (t) => {
  const dir = folder(t);
  sh("mkdir -p a/b; ln -s a c; ln -s /none d", dir);
  t.equal(realPath(join(dir, "c/../c/b/")), join(realpathSync(dir), "a/b"));
  t.throws(() => realPath(join(dir, "d")), { code: "ENOENT" });
});
