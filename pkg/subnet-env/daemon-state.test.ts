import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import {
  type DaemonState,
  parseDaemonState,
  readDaemonState,
  socketOf,
  stateFileOf,
  writeDaemonState,
} from "./daemon-state.ts";

const names: [subnetFile: string, stateFile: string, socket: string][] = [
  ["/run/flannel/subnet.env", "/run/flannel/subnet.state", "/run/flannel/subnet.sock"],
  ["/run/flannel/hostgw", "/run/flannel/hostgw.state", "/run/flannel/hostgw.sock"],
  ["/run/a.env/b.env.env", "/run/a.env/b.env.state", "/run/a.env/b.env.sock"],
  ["/run/environment", "/run/environment.state", "/run/environment.sock"],
];
for (const [subnetFile, stateFile, socket] of names) {
  t.test(`beside ${subnetFile}`, async (t) => {
    t.strictSame([stateFileOf(subnetFile), socketOf(subnetFile)], [stateFile, socket]);
  });
}

const waiting: DaemonState = {
  pid: 7,
  since: "2026-01-31T12:00:00.000Z",
  state: "waiting",
  reason: "etcd http://127.0.0.1:2379 does not answer",
};

t.test("what the daemon says of itself is read again, by everybody", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), `twill-${process.pid}-daemon-state-`));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const subnetFile = join(folder, "flannel/subnet.env");
  t.equal(readDaemonState(subnetFile), undefined, "there is none");
  writeDaemonState(subnetFile, { ...waiting, state: "ready" });
  writeDaemonState(subnetFile, waiting);
  t.strictSame(readDaemonState(subnetFile), waiting);
  t.equal(statSync(stateFileOf(subnetFile)).mode % 0o1000, 0o644);
  t.strictSame(readdirSync(join(folder, "flannel")), ["subnet.state"]);
  writeFileSync(stateFileOf(subnetFile), "{");
  t.equal(readDaemonState(subnetFile), undefined, "half of it");
});

t.test("what is no state is none", async (t) => {
  for (const other of [
    null,
    [],
    1,
    {},
    { ...waiting, pid: "7" },
    { ...waiting, state: "asleep" },
    { ...waiting, reason: 1 },
  ])
    t.equal(parseDaemonState(JSON.stringify(other)), undefined, JSON.stringify(other));
});
