import { rmSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { createLog } from "../../pkg/cluster/log/log.ts";
import { readDaemonState, stateFileOf } from "../../pkg/subnet-env/daemon-state.ts";
import { createNotifier } from "./notify.ts";
import { createStateReporter } from "./state-reporter.ts";

function standingIn(t: Test) {
  const subnetFile = join(t.testdir(), "subnet.env");
  const log = createLog({ format: "text", level: "info", write: t.fail });
  const notifier = createNotifier({ environment: {}, pid: process.pid, warn: t.fail });
  return { subnetFile, standing: createStateReporter(subnetFile, notifier, log) };
}

t.test("what was told last is told again when the subnet file was written", async (t) => {
  const { subnetFile, standing } = standingIn(t);
  standing.ready("subnet 10.5.1.0/24");
  standing.leaseLost("192.0.2.9 has it");
  const told = readDaemonState(subnetFile);
  t.match(told, { state: "lost", reason: "192.0.2.9 has it" });

  rmSync(stateFileOf(subnetFile));
  standing.repeat();

  t.strictSame(readDaemonState(subnetFile), told, "since when, too");
});

t.test("a lease that is lost before the subnet file is there stays lost, until it is ours again", async (t) => {
  const { subnetFile, standing } = standingIn(t);
  standing.leaseLost("192.0.2.9 has it");
  rmSync(stateFileOf(subnetFile)); // now the subnet file is written: the word has to be a younger one
  standing.ready("subnet 10.5.1.0/24");
  t.ok(standing.isReady());
  t.match(readDaemonState(subnetFile), { state: "lost", reason: "192.0.2.9 has it" });
  standing.leaseHeld();
  t.match(readDaemonState(subnetFile), { state: "ready", reason: "subnet 10.5.1.0/24" });
});

t.test("a lease that is ours again before the subnet file is there makes nobody ready", async (t) => {
  const { subnetFile, standing } = standingIn(t);
  standing.leaseLost("192.0.2.9 has it");
  standing.leaseHeld();
  t.match(readDaemonState(subnetFile), { state: "waiting", reason: "starting" });
});
