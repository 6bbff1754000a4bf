// Our plugin and daemon with those of Debian's Go plugins, crosswise: what one side begins, the other goes on with. Its own file, since the
// harness of the other plugins knows of no daemons.
import t, { type Test } from "tap";
import { type Lab, newLab } from "../dhcp/lab.ts";
import { needsRoot } from "../lab/needs.ts";
import { goBin, ourBin } from "../lab/project.ts";

/** A lab with the daemon of either side. */
async function labWith(t: Test, bin: string): Promise<Lab> {
  const lab = await newLab(t);
  if (bin === ourBin) return lab;
  await lab.daemon.stop();
  await lab.startGoDaemon();
  return lab;
}

const options = ["--dhcp-option=6,10.77.0.53"];
const ipOf = (stdout: unknown) => (stdout as { ips: { address: string }[] }).ips[0]?.address;

for (const [whose, bin] of Object.entries({ ours: ourBin, Go: goBin })) {
  t.test(`daemon ${whose}: both plugins get, check and give back the same lease`, needsRoot, async (t) => {
    const lab = await labWith(t, bin);
    await lab.startServer({ dnsmasq: options });
    const conf = lab.network({}, { cniVersion: "1.0.0" });
    const added = Object.fromEntries(
      [ourBin, goBin].map((plugin) => {
        const { status, stdout } = lab.cni("ADD", conf, { bin: plugin });
        t.equal(status, 0, JSON.stringify(stdout));
        return [plugin, stdout];
      }),
    );
    t.match(added[goBin], added[ourBin] as object, "the result is the same");
    t.match(added[ourBin], { ips: [{ gateway: "10.77.0.1" }], routes: [{ dst: "0.0.0.0/0", gw: "10.77.0.1" }] });
    for (const plugin of [ourBin, goBin])
      t.match(lab.cni("CHECK", { ...conf, prevResult: added[plugin] }, { bin: plugin }), { status: 0, stdout: "" });
    t.match(lab.cni("DEL", conf, { bin: bin === ourBin ? goBin : ourBin }), { status: 0, stdout: "" });
    t.match(lab.cni("STATUS", { ...conf, cniVersion: "1.1.0" }), { status: 0 });
    t.match(lab.cni("GC", { ...conf, cniVersion: "1.1.0", "cni.dev/valid-attachments": [] }), { status: 0 });
  });
}

t.test(
  "Leases outlive the daemon: the same client has the same address when the Go daemon makes way for ours, and back",
  needsRoot,
  async (t) => {
    const lab = await newLab(t);
    await lab.daemon.stop();
    const go = await lab.startGoDaemon();
    await lab.startServer({ dnsmasq: options });
    const conf = lab.network({}, { cniVersion: "1.0.0" });
    const address = ipOf(lab.cni("ADD", conf, { bin: goBin }).stdout);
    await go.stop();
    const ours = await lab.startDaemon();
    t.equal(ipOf(lab.cni("ADD", conf, { bin: goBin }).stdout), address);
    await ours.stop();
    await lab.startGoDaemon();
    t.equal(ipOf(lab.cni("ADD", conf).stdout), address);
  },
);

t.test("Name servers and MTU count: with the Go daemon there are none", needsRoot, async (t) => {
  for (const [bin, dns] of [
    [ourBin, { nameservers: ["10.77.0.53"] }],
    [goBin, undefined],
  ] as const) {
    const lab = await labWith(t, bin);
    await lab.startServer({ dnsmasq: options });
    t.strictSame((lab.cni("ADD").stdout as { dns?: object }).dns, dns);
  }
});

t.test("CHECK takes no lease: the Go daemon does", needsRoot, async (t) => {
  for (const [bin, status] of [
    [ourBin, 1],
    [goBin, 0],
  ] as const) {
    const lab = await labWith(t, bin);
    await lab.startServer({ dnsmasq: options });
    const conf = lab.network({}, { cniVersion: "1.0.0" });
    t.equal(lab.cni("CHECK", conf, { bin }).status, status);
    t.equal((await lab.leases(1 - status)).length, 1 - status);
  }
});

t.test("DEL succeeds without a daemon: Go's fails", needsRoot, async (t) => {
  const lab = await newLab(t);
  await lab.daemon.stop();
  const conf = lab.network({}, { cniVersion: "1.0.0" });
  t.match(lab.cni("DEL", conf, { bin: goBin }), { status: 1, stdout: { msg: /^error dialing DHCP daemon/ } });
  t.match(lab.cni("DEL", conf), { status: 0 });
});
