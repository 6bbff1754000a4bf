// Runs as root or not: the "host" is a directory, and the container's root one below it.
import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { closeFile } from "./file.ts";
import { openRoot, rewriteInRoot, UnsafeFile } from "./rooted-file.ts";

function newRoot(t: Test): {
  host: string;
  root: string;
  rewrite: (path: string, change?: (text: string) => string) => void;
} {
  const host = mkdtempSync(join(tmpdir(), "twill-root-"));
  t.teardown(() => rmSync(host, { recursive: true }));
  const root = join(host, "root");
  mkdirSync(join(root, "etc"), { recursive: true });
  writeFileSync(join(host, "precious"), "precious\n");
  return {
    host,
    root,
    rewrite(path, change = () => "changed\n") {
      const fd = openRoot(root);
      try {
        rewriteInRoot(fd, path, change);
      } finally {
        closeFile(fd);
      }
    },
  };
}

t.test("a file is rewritten in place", async (t) => {
  const { root, rewrite } = newRoot(t);
  const file = join(root, "etc/hosts");
  writeFileSync(file, "a long line\n");
  const inode = execFileSync("stat", ["-c%i", file], { encoding: "utf8" });
  rewrite("etc/hosts", (text) => text.slice(2, 6));
  t.equal(readFileSync(file, "utf8"), "long");
  t.equal(execFileSync("stat", ["-c%i", file], { encoding: "utf8" }), inode);
});

t.test("no link in the root leads to a file of the host", async (t) => {
  const { host, root, rewrite } = newRoot(t);
  const link = join(root, "etc/hosts");
  for (const target of [
    join(host, "precious"),
    "../../precious",
    "/../precious",
    "../../../../../../../../etc/hostname",
  ]) {
    symlinkSync(target, link);
    t.throws(() => rewrite("etc/hosts"), { code: "ENOENT" }, target);
    rmSync(link);
  }
  symlinkSync("/proc/self/root/../precious", link);
  t.throws(() => rewrite("etc/hosts"));
  t.equal(readFileSync(join(host, "precious"), "utf8"), "precious\n");
});

t.test("a link within the root is followed, as images have it", async (t) => {
  const { root, rewrite } = newRoot(t);
  writeFileSync(join(root, "stub"), "stub\n");
  symlinkSync("/stub", join(root, "etc/resolv.conf"));
  rewrite("etc/resolv.conf");
  t.equal(readFileSync(join(root, "stub"), "utf8"), "changed\n");
});

t.test("what is no plain file, or has another name, is refused, and nothing waits for it", async (t) => {
  const { host, root, rewrite } = newRoot(t);
  const path = join(root, "etc/hosts");
  execFileSync("mkfifo", [path]);
  t.throws(() => rewrite("etc/hosts"), UnsafeFile);
  rmSync(path);
  mkdirSync(path);
  t.throws(() => rewrite("etc/hosts"), UnsafeFile);
  rmSync(path, { recursive: true });
  linkSync(join(host, "precious"), path);
  t.throws(() => rewrite("etc/hosts"), { message: "/etc/hosts has 2 names (hard links)" });
  t.equal(readFileSync(path, "utf8"), "precious\n");
  rmSync(path);
  symlinkSync("hosts", path);
  t.throws(() => rewrite("etc/hosts"), UnsafeFile);
});
