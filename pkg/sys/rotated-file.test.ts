import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { appendRotated, readEnd, readRotated } from "./rotated-file.ts";
import { encode } from "./text.ts";

function newFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), "twill-rotated-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

t.test("a full file becomes the older one, and both are read in their order", async (t) => {
  const folder = newFolder(t);
  const path = join(folder, "log");
  t.equal(readRotated(path), undefined);
  for (let i = 0; i < 25; i++) appendRotated(path, encode(`line ${i}\n`), { mode: 0o600, largest: 50 });
  const lines = (readRotated(path) ?? "").trimEnd().split("\n");
  t.equal(lines.at(-1), "line 24");
  t.strictSame(
    lines,
    Array.from({ length: lines.length }, (_, i) => `line ${25 - lines.length + i}`),
    "the last ones, without a gap",
  );
  t.ok(lines.length >= 7, "at least as many as one file holds");
  t.strictSame(readdirSync(folder), ["log", "log.1"].slice(0, readdirSync(folder).length).sort());
  t.ok(statSync(join(folder, "log.1")).size < 60);
  t.equal(statSync(path).mode & 0o777, 0o600);
});

t.test("another file's end is read, also where it is shorter than asked for", async (t) => {
  const path = join(newFolder(t), "log");
  t.equal(readEnd(path, 3), undefined);
  writeFileSync(path, "one\ntwo\n");
  t.equal(readEnd(path, 4), "two\n");
  t.equal(readEnd(path, 400), "one\ntwo\n");
});

t.test("a symbolic link, a FIFO and a directory at the path are refused and left alone", async (t) => {
  const folder = newFolder(t);
  const target = join(folder, "target");
  writeFileSync(target, "theirs\n");
  symlinkSync(target, join(folder, "link"));
  spawnSync("mkfifo", [join(folder, "fifo")]);
  const append = (name: string) => () => appendRotated(join(folder, name), encode("x\n"), { mode: 0o600, largest: 9 });
  t.throws(append("link"), { code: "ELOOP" });
  t.throws(append("fifo"), { code: /ENXIO|EINVAL/ });
  t.throws(append("."), { code: "EISDIR" });
  t.equal(readFileSync(target, "utf8"), "theirs\n");
});
