import { rmSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { createLog } from "../../pkg/observe/log.ts";
import { readDaemonState, stateFileOf } from "../../pkg/subnet/daemon-state.ts";
import { createNotifier } from "./notify.ts";
import { createStanding } from "./standing.ts";

t.test("what was told last is told again when the subnet file was written", async (t) => {
  const subnetFile = join(t.testdir(), "subnet.env");
  const log = createLog({ format: "text", level: "info", write: t.fail });
  const standing = createStanding(subnetFile, createNotifier({ environment: {}, pid: process.pid, warn: t.fail }), log);
  standing.ready("has 10.5.1.0/24");
  standing.lost("192.0.2.9 has it");
  const told = readDaemonState(subnetFile);
  t.match(told, { state: "lost", reason: "192.0.2.9 has it" });

  rmSync(stateFileOf(subnetFile));
  standing.repeat();

  t.strictSame(readDaemonState(subnetFile), told, "since when, too");
});
