// dhcp, the plugin, each system call of it failing or being its last: what the daemon then holds.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { newLab } from "../dhcp/lab.ts";
import { needsRoot } from "../needs.ts";
import { brokenDels, failedAdds, killedAdds, type Subject } from "./faults.ts";

async function dhcp(t: Test): Promise<Subject> {
  const lab = await newLab(t);
  await lab.startServer({ dnsmasq: [] });
  const held = () => {
    const { status } = lab.cni("CHECK");
    return { status, journal: readdirSync(join(lab.dir, "dhcp.leases")).length };
  };
  return { node: lab.node, plugin: "dhcp", conf: lab.network(), look: held };
}

t.test("dhcp: an ADD in which any system call fails holds no lease", needsRoot, async (t) => {
  t.strictSame(failedAdds(await dhcp(t)), []);
});

t.test("dhcp: DEL gives back what an ADD killed anywhere has got", needsRoot, async (t) => {
  t.strictSame(killedAdds(await dhcp(t)), []);
});

t.test("dhcp: DEL does what a DEL killed anywhere has left", needsRoot, async (t) => {
  t.strictSame(brokenDels(await dhcp(t), { signal: "KILL" }), []);
});
