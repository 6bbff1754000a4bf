// The mounts of other mount namespaces are in e2e/cnitool.test.ts.
import { mkdtempSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { closeNamespace, makeNamespace, OWN_NAMESPACE } from "./namespace.ts";
import { mountedNamespaces, namespaceState } from "./namespace-state.ts";

const directory = mkdtempSync(join(tmpdir(), "twill-namespace-state-"));
t.teardown(() => rmSync(directory, { recursive: true }));
const file = join(directory, `${process.pid}-bare`);
writeFileSync(file, "");

t.test("a path on which nothing is, is a dead namespace", async (t) => {
  t.equal(namespaceState(`${directory}/gone`), "dead");
  t.equal(namespaceState("/proc/4194304/ns/net"), "dead", "a process that ended");
});

t.test("what cannot be examined is unknown", async (t) => {
  t.equal(namespaceState(`${file}/below`), "unknown", "ENOTDIR");
  t.equal(namespaceState(`/${"x".repeat(300)}`), "unknown", "ENAMETOOLONG");
  symlinkSync("loop", join(directory, "loop"));
  t.equal(namespaceState(join(directory, "loop")), "unknown", "ELOOP");
  t.equal(namespaceState("vm-3f2a"), "unknown", "no path at all");
});

t.test("the namespace of this process is no container's any more", async (t) => {
  t.equal(namespaceState(OWN_NAMESPACE), "unknown");
});

t.test("a file that is not mounted anywhere is dead where all processes can be seen", async (t) => {
  const seesAll = readlinkSync("/proc/self/ns/pid") === "pid:[4026531836]";
  t.equal(namespaceState(file), seesAll ? "dead" : "unknown");
});

const needsRoot = process.getuid?.() === 0 ? {} : { skip: "needs root" };
t.test("a namespace that exists is alive", needsRoot, async (t) => {
  const made = makeNamespace();
  t.equal(namespaceState(`/proc/self/fd/${made.fd}`), "alive");
  closeNamespace(made);
});

t.test("mount points of network namespaces are found in mountinfo", async (t) => {
  const mountinfo = [
    "598 25 0:4 net:[4026532281] /run/netns/cni-1 rw shared:309 - nsfs nsfs rw",
    "599 25 0:4 net:[4026532282] /run/netns/with\\040blank rw - nsfs nsfs rw",
    "600 25 0:4 mnt:[4026532283] /run/mnt/other rw - nsfs nsfs rw",
    "24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "",
  ];
  t.strictSame(mountedNamespaces(mountinfo.join("\n")), [
    { path: "/run/netns/cni-1", inode: "4026532281" },
    { path: "/run/netns/with blank", inode: "4026532282" },
  ]);
});
