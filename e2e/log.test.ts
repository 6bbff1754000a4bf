// The record of failed and slow calls, and `twill log`: what a runtime's calls leave there, and that nothing of it changes an answer.
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { type Host, newHost, type Ran } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { ourTools } from "./lab/project.ts";

const file = "cni/twill/calls.log";
const conf = { cniVersion: "1.0.0", name: "net", type: "loopback" };
const wrong = { ...conf, type: "bridge", mtu: "1400" };

const log = (node: Host, ...args: string[]): Ran => node.runInside([join(ourTools, "twill"), "log", ...args]);
const recorded = (node: Host): Record<string, unknown>[] =>
  [`${file}.1`, file]
    .map((name) => join(node.varLib, name))
    .filter((path) => existsSync(path))
    .flatMap((path) => readFileSync(path, "utf8").trimEnd().split("\n"))
    .map((line) => JSON.parse(line));

t.test("a call that fails leaves a line, one that is quick and succeeds none", needsRoot, async (t) => {
  const node = newHost(t);
  t.match(log(node), { status: 0, stdout: "no call has failed or was slow, as /var/lib/cni/twill/calls.log has it\n" });
  t.match(node.cni("loopback", "ADD", conf, { ifName: "lo" }), { status: 0 });
  t.match(node.cni("loopback", "VERSION", conf), { status: 0 });
  t.notOk(existsSync(join(node.varLib, "cni/twill")));
  const { stdout } = node.cni("bridge", "ADD", wrong);
  const { code, msg, details } = stdout as Record<string, unknown>;
  t.match(recorded(node), [
    {
      time: /^20\d\d-\d\d-\d\dT[\d:.]+Z$/,
      plugin: "bridge",
      verb: "ADD",
      network: "net",
      container: "container-0",
      ifname: "eth0",
      error: { code, msg, details },
      ms: Number,
    },
  ]);
  t.equal(statSync(join(node.varLib, file)).mode & 0o7777, 0o600);
  t.match(
    log(node).stdout,
    /^TIME .*\n\S+Z {2}bridge {2}ADD {6}net {6}container-0 {2}eth0 .* 7 {5}"mtu" is "1400", must be/,
  );
  t.match(log(node, "--details").stdout, /\n {4}To fix: write it without quotes/);
  t.match(log(node, "--slow").stdout, "no call of these has failed or was slow\n");
  t.match(log(node, "--since", "yesterday"), { status: 1, stderr: /no time[\s\S]*To fix/ });
});

t.test("a slow call leaves a line, by TWILL_SLOW_MS; TWILL_CALLS is another file, or off", needsRoot, async (t) => {
  const node = newHost(t);
  const call = (environment: Record<string, string>) =>
    node.cni("loopback", "ADD", conf, { ifName: "lo", environment });
  call({ TWILL_SLOW_MS: "0" });
  t.match(recorded(node), [{ plugin: "loopback", verb: "ADD", ms: Number }]);
  t.notOk("error" in (recorded(node)[0] ?? {}));
  call({ TWILL_SLOW_MS: "0", TWILL_CALLS: "/var/lib/other/calls" });
  call({ TWILL_SLOW_MS: "0", TWILL_CALLS: "off" });
  call({ TWILL_SLOW_MS: "many" });
  t.equal(recorded(node).length, 1);
  t.match(JSON.parse(readFileSync(join(node.varLib, "other/calls"), "utf8")), { plugin: "loopback" });
  t.match(log(node, "--slow", "--json"), { stdout: /"plugin": "loopback"/ });
});

t.test("a STATUS that fails again as before leaves no other line", needsRoot, async (t) => {
  const node = newHost(t);
  const status = (name: string) => node.cni("bridge", "STATUS", { ...wrong, cniVersion: "1.1.0", name });
  for (const name of ["one", "two", "one", "two", "one"]) status(name);
  t.match(
    recorded(node).map(({ network }) => network),
    ["one", "two"],
  );
});

t.test(
  "100 calls fail at once while the file is full: no line is lost or torn, and the size is bounded",
  needsRoot,
  async (t) => {
    const node = newHost(t);
    mkdirSync(join(node.varLib, "cni/twill"));
    const old = { time: "2026-01-01T00:00:00.000Z", plugin: "old", verb: "ADD", ms: 1, container: "x".repeat(900) };
    const line = `${JSON.stringify(old)}\n`;
    writeFileSync(join(node.varLib, file), line.repeat(Math.floor((2_048_000 - 5000) / line.length)), { mode: 0o600 });
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => node.cniAtOnce("bridge", "ADD", wrong, { containerId: `c${i}` })),
    );
    const containers = recorded(node).map(({ container }) => container);
    for (let i = 0; i < 100; i++) t.ok(containers.includes(`c${i}`), `c${i}`);
    t.ok(existsSync(join(node.varLib, `${file}.1`)), "it was full meanwhile");
    t.ok(statSync(join(node.varLib, `${file}.1`)).size < 2_048_000 + 100 * 2048);
    t.equal(JSON.parse(log(node, "--json").stdout).length, 1000);
    t.strictSame(
      JSON.parse(log(node, "--json", "-n", "100").stdout).map(({ plugin }: { plugin: string }) => plugin),
      Array(100).fill("bridge"),
    );
  },
);

t.test("what prevents the line does not change the answer", needsRoot, async (t) => {
  const node = newHost(t);
  const answer = node.cni("bridge", "ADD", wrong);
  const target = join(node.varLib, "target");
  writeFileSync(target, "theirs\n");
  node.sh(`rm -r /var/lib/cni/twill; mkdir /var/lib/cni/twill; ln -s /var/lib/target /var/lib/${file}`);
  t.strictSame(node.cni("bridge", "ADD", wrong), answer, "a symbolic link");
  t.equal(readFileSync(target, "utf8"), "theirs\n");
  node.sh(`rm /var/lib/${file}; mkfifo /var/lib/${file}`);
  t.strictSame(node.cni("bridge", "ADD", wrong), answer, "a FIFO");
  node.sh("rm -r /var/lib/cni/twill; echo > /var/lib/cni/twill");
  t.strictSame(node.cni("bridge", "ADD", wrong), answer, "a file where the directory should be");
  const mounted = (options: string) => ["sh", "-c", `mount -t tmpfs ${options} none /var/lib/cni && exec "$@"`, "sh"];
  t.strictSame(node.cni("bridge", "ADD", wrong, { under: mounted("-o ro") }), answer, "a read-only file system");
  const full = [
    "sh",
    "-c",
    `mount -t tmpfs -o size=4k none /var/lib/cni && { head -c 9000 /dev/zero > /var/lib/cni/x; exec "$@"; } 2> /dev/null`,
    "sh",
  ];
  t.strictSame(node.cni("bridge", "ADD", wrong, { under: full }), answer, "a full disk");
});

t.test("values of CNI_ARGS and passwords do not get into the record", needsRoot, async (t) => {
  const node = newHost(t);
  node.cni("bridge", "ADD", { ...conf, type: "bridge" }, { args: "K8S_POD_NAME=web;DB=hunter2;" });
  node.cni("bridge", "ADD", { ...wrong, password: "hunter2" });
  t.equal(recorded(node).length, 2);
  t.match(recorded(node)[0], { error: { code: 4, msg: /CNI_ARGS/ } });
  t.notMatch(readFileSync(join(node.varLib, file), "utf8"), /hunter2/);
});

t.test("--follow shows calls as they end", needsRoot, async (t) => {
  const node = newHost(t);
  node.cni("bridge", "ADD", wrong, { containerId: "before" });
  const script = `mkfifo /var/lib/told; ${join(ourTools, "twill")} log --follow > /var/lib/told & head -n 3 /var/lib/told; kill $!`;
  const following = node.runInsideAtOnce(["sh", "-c", script]);
  node.cni("bridge", "ADD", wrong, { containerId: "after" });
  t.match((await following).stdout, /^TIME.*\n.*before.*\n.*after.*\n$/);
});
