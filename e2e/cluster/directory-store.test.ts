// Leases in a directory that several processes share: those who start at once, one that is killed while it writes, one that the
// kernel tells of nothing, as on a file system of another machine.
import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import t, { type Test } from "tap";
import { readLease } from "../../pkg/cluster/lease/lease.ts";
import { inFullRunOnly } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";
import { until } from "./until.ts";

const MEMBER = join(projectRoot, "e2e/cluster/directory-member.ts");
/** In a user namespace whose processes may have no inotify. */
const DEAF = [
  "unshare",
  "--user",
  "--map-root-user",
  "sh",
  "-c",
  'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"',
  "sh",
];

function newDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), `twill-directory-${process.pid}-`));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

class Member {
  printed = "";
  private readonly child: ChildProcessByStdio<Writable, Readable, null>;

  constructor(t: Test, directory: string, under: readonly string[] = []) {
    const [program = "", ...args] = [...under, process.execPath, "--import", "tsx", MEMBER, directory];
    const { NODE_OPTIONS: _, ...env } = process.env; // tap's
    this.child = spawn(program, args, { cwd: projectRoot, env, stdio: ["pipe", "pipe", "inherit"] });
    this.child.stdout.setEncoding("utf8").on("data", (part: string) => {
      this.printed += part;
    });
    this.child.stdin.on("error", () => {}); // EPIPE: it has ended
    t.teardown(() => this.kill());
  }

  tell(line: string): void {
    this.child.stdin.write(`${line}\n`);
  }

  lines(first: string): string[] {
    return this.printed.split("\n").filter((line) => line.startsWith(first));
  }

  async says(line: string): Promise<void> {
    await until(`"${line}" in ${this.printed}`, () => this.lines("").includes(line));
  }

  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once("close", resolve));
    if (this.child.exitCode === null && this.child.signalCode === null && this.child.kill("SIGKILL")) await ended;
  }
}

t.test("50 hosts of five processes at once get a subnet each", async (t) => {
  const directory = newDirectory(t);
  const members = Array.from({ length: 5 }, () => new Member(t, directory));
  for (const member of members) await member.says("ready");
  for (const [index, member] of members.entries()) member.tell(`acquire 10 ${1 + 10 * index}`);
  const leased = () => members.flatMap((member) => member.lines("leased "));
  await until("50 leases", () => leased().length === 50);
  t.equal(new Set(leased()).size, 50);
  t.strictSame(
    readdirSync(`${directory}/subnets`).sort(),
    leased()
      .map((line) => line.slice("leased ".length))
      .sort(),
  );
  t.strictSame(readdirSync(directory).sort(), ["lock", "subnets"]);
});

t.test(
  "whoever is killed while it writes leaves a whole lease or none, and no lock",
  inFullRunOnly({ skip: false }),
  async (t) => {
    const directory = newDirectory(t);
    const follower = new Member(t, directory);
    follower.tell("follow");
    await follower.says("has ");
    for (let round = 0; round < 5; round++) {
      const writer = new Member(t, directory);
      const before = follower.lines("has ").length;
      writer.tell("churn");
      await until("some changes", () => follower.lines("has ").length > before + 5 * round);
      await writer.kill();
      for (const key of readdirSync(`${directory}/subnets`))
        readLease(key, readFileSync(`${directory}/subnets/${key}`, "utf8"), 0);
    }
    t.strictSame(follower.lines("malformed"), []);
    const next = new Member(t, directory);
    next.tell("acquire 1 1");
    await until("a lease", () => next.lines("leased ").length === 1);
    t.strictSame(readdirSync(directory).sort(), ["lock", "subnets"]);
  },
);

const lacksUserNamespaces = {
  skip: spawnSync("unshare", DEAF.slice(1, 6).concat("true")).status !== 0 && "cannot make a user namespace",
};

t.test("changes that the kernel does not tell of are found by looking", lacksUserNamespaces, async (t) => {
  const directory = newDirectory(t);
  chmodSync(directory, 0o777);
  const member = new Member(t, directory, DEAF);
  const value = (publicIP: string) => `{"PublicIP":"${publicIP}"}`;
  member.tell("follow");
  await member.says("has ");
  t.strictSame(member.lines("warn"), ["warn cannot watch the leases with inotify: checking them every second"]);
  writeFileSync(`${directory}/subnets/10.3.1.0-24`, value("192.0.2.1"));
  await member.says("has 10.3.1.0-24");
  writeFileSync(`${directory}/subnets/10.3.2.0-24`, value("192.0.2.2"));
  await member.says("has 10.3.1.0-24 10.3.2.0-24");
  rmSync(`${directory}/subnets/10.3.1.0-24`);
  await member.says("has 10.3.2.0-24");
});
