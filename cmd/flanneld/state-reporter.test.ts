import { rmSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { linesOf } from "../../pkg/cluster/lease/fake.testing.ts";
import { NoConfig, StoreError } from "../../pkg/cluster/lease/store-error.ts";
import { createLog } from "../../pkg/cluster/log/log.ts";
import { readDaemonState, stateFileOf } from "../../pkg/subnet-env/daemon-state.ts";
import { createNotifier } from "./notify.ts";
import { createStateReporter } from "./state-reporter.ts";

function standingIn(t: Test, log = createLog({ format: "text", level: "info", write: t.fail })) {
  const subnetFile = join(t.testdir(), "subnet.env");
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

t.test("what a start waits for is logged, and is trouble of the store only if it is the store's", async (t) => {
  const lines: string[] = [];
  const { subnetFile, standing } = standingIn(t, linesOf(lines));
  const refused = new StoreError("no route");
  standing.cannotJoin(refused);
  t.equal(standing.lastStoreTrouble(), refused);
  standing.cannotJoin(new NoConfig("there is none"));
  t.equal(standing.lastStoreTrouble(), undefined, "it has answered");
  t.match(readDaemonState(subnetFile), { state: "waiting", reason: "there is none" });
  standing.storeTrouble(refused);
  standing.cannotWrite(new Error("the disk is full"));
  t.equal(standing.lastStoreTrouble(), refused, "the disk is not the store");
  t.strictSame(lines, ["warn waiting: no route", "warn waiting: there is none", "warn waiting: the disk is full"]);
});

t.test("an error that ends the start is in the state file; that of a lost lease stays", async (t) => {
  const { subnetFile, standing } = standingIn(t);
  standing.ended(new Error("no external interface found"));
  t.match(readDaemonState(subnetFile), { state: "ended", reason: "no external interface found" });
  const lost = standingIn(t);
  lost.standing.leaseLost("192.0.2.9 has it");
  lost.standing.ended(new Error("out of memory"));
  t.match(readDaemonState(lost.subnetFile), { state: "lost" });
});

t.test("a store that is lost is what a host without subnet waits for, and no state of one that is ready", async (t) => {
  const { subnetFile, standing } = standingIn(t);
  standing.storeTrouble(new StoreError("no route"));
  t.match(readDaemonState(subnetFile), { state: "waiting", reason: "no route" });
  standing.ready("subnet 10.5.1.0/24");
  standing.storeTrouble(new StoreError("no route"));
  t.match(readDaemonState(subnetFile), { state: "ready" });
});
