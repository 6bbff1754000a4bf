// host-local, each system call of it failing or being its last.
import t from "tap";
import { newHost } from "../host.ts";
import { needsRoot } from "../needs.ts";
import { filesBelow } from "../snapshot.ts";
import { brokenDels, failedAdds, killedAdds, type Subject, withoutRoundRobin } from "./faults.ts";

const conf = {
  cniVersion: "1.1.0",
  name: "net",
  type: "host-local",
  ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] },
};

function hostLocal(t: Parameters<typeof newHost>[0]): Subject {
  const node = newHost(t);
  const look = () => withoutRoundRobin({ namespaces: {}, files: filesBelow(node.varLib) });
  return { node, plugin: "host-local", conf, look };
}

t.test("host-local: an ADD in which any system call fails reserves nothing", needsRoot, async (t) => {
  t.strictSame(failedAdds(hostLocal(t)), []);
});

t.test("host-local: DEL takes back what an ADD killed anywhere has reserved", needsRoot, async (t) => {
  t.strictSame(killedAdds(hostLocal(t)), []);
});

t.test(
  "host-local: a DEL in which any system call fails frees the addresses or says that it did not",
  needsRoot,
  async (t) => {
    t.strictSame(brokenDels(withoutIndex(hostLocal(t)), { error: "EIO" }), []);
  },
);

t.test("host-local: DEL does what a DEL killed anywhere has left", needsRoot, async (t) => {
  t.strictSame(brokenDels(hostLocal(t), { signal: "KILL" }), []);
});

/** The index may be behind: the reservations are what counts. */
function withoutIndex(subject: Subject): Subject {
  const look = () => Object.entries(filesBelow(subject.node.varLib)).filter(([path]) => !/\.twill|last_/.test(path));
  return { ...subject, look };
}
