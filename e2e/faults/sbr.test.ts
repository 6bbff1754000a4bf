// sbr, each system call of it failing or being its last. After each DEL the interface is made anew, as the plugin before would delete it.
import t from "tap";
import { newHost } from "../host.ts";
import { containerWith, interfaceByHand, lines, ownRules, resultByHand } from "../interface-by-hand.ts";
import { needsRoot } from "../needs.ts";
import { brokenDels, failedAdds, killedAdds, type Subject } from "./faults.ts";

const conf = { cniVersion: "1.1.0", name: "net", type: "sbr", addSourceHints: true, prevResult: resultByHand };

function sbr(t: Parameters<typeof newHost>[0]): Subject & { rules: () => string[] } {
  const node = newHost(t);
  const container = containerWith(node);
  return {
    node,
    plugin: "sbr",
    conf,
    call: { ifName: "net1" },
    look: () => [
      ownRules(container),
      lines(container.sh("ip route show table all; ip -6 route show table all")).sort(),
    ],
    afterDel: () => container.sh(`ip link delete net1\n${interfaceByHand}`),
    rules: () => ownRules(container),
  };
}

t.test("sbr: an ADD in which any system call fails leaves rules and routes as they were", needsRoot, async (t) => {
  t.strictSame(failedAdds(sbr(t)), []);
});

t.test("sbr: DEL removes the rules of an ADD killed anywhere", needsRoot, async (t) => {
  t.strictSame(killedAdds(sbr(t)), []);
});

t.test("sbr: a DEL in which any system call fails removes the rules, or says that it did not", needsRoot, async (t) => {
  const subject = sbr(t);
  t.strictSame(brokenDels({ ...subject, look: subject.rules }, { error: "EIO" }), []);
});

t.test("sbr: DEL does what a DEL killed anywhere has left", needsRoot, async (t) => {
  const subject = sbr(t);
  t.strictSame(brokenDels({ ...subject, look: subject.rules }, { signal: "KILL" }), []);
});
