import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import t from "tap";
import { NotANamespace } from "./namespace.ts";
import { identifiedState, identifyNamespace, type NamespaceIdentity } from "./namespace-identity.ts";

const needsRoot = process.getuid?.() === 0 ? {} : { skip: "needs root" };
const name = `twill-identity-${process.pid}`;
const path = `/run/netns/${name}`;
const ip = (...args: string[]) => spawnSync("ip", args);
t.teardown(() => ip("netns", "delete", name));

t.test("a namespace is dead once it is deleted, also when another one has its name", needsRoot, async (t) => {
  ip("netns", "add", name);
  const identity = identifyNamespace(path);
  t.match(identity, { path, inode: /^\d+$/, cookie: /^\d+$/, bootId: /^[0-9a-f-]{36}$/ });
  t.equal(identifiedState(identity), "alive");
  ip("netns", "delete", name);
  t.equal(identifiedState(identity), "dead", "the path is gone");
  ip("netns", "add", name);
  t.equal(identifiedState(identity), "dead", "the path leads to another one");
  t.equal(identifiedState(identifyNamespace(path)), "alive", "which is alive");
  ip("netns", "delete", name);
});

t.test(
  "a namespace is dead when another one has its inode, also where not all paths can be looked at",
  needsRoot,
  async (t) => {
    ip("netns", "add", name);
    const found = identifyNamespace(path);
    t.equal(identifiedState({ ...found, cookie: `${found.cookie}1` }), "dead");
    ip("netns", "delete", name);
  },
);

t.test("a namespace without its path is alive while a process is in it", needsRoot, async (t) => {
  ip("netns", "add", name);
  const identity = identifyNamespace(path);
  const child = spawn("ip", ["netns", "exec", name, "sh", "-c", "echo in; exec cat"], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  await once(child.stdout, "data");
  ip("netns", "delete", name);
  t.equal(identifiedState(identity), "alive");
  child.stdin.end();
  await once(child, "close");
  t.equal(identifiedState(identity), "dead");
});

t.test("a namespace of an earlier boot is dead, and what cannot be examined is unknown", needsRoot, async (t) => {
  const own = identifyNamespace("/proc/self/ns/net");
  t.equal(identifiedState({ ...own, bootId: "of-another-boot" }), "dead");
  const unreadable: NamespaceIdentity = { ...own, inode: "1", path: `/${"x".repeat(300)}` };
  t.equal(identifiedState(unreadable), "unknown", "ENAMETOOLONG");
});

t.test("what is no namespace is refused", needsRoot, async (t) => {
  t.throws(() => identifyNamespace("/etc/passwd"), new NotANamespace("/etc/passwd", "other file"));
  t.throws(() => identifyNamespace("/no/such"), new NotANamespace("/no/such", "missing"));
});
