// What plugins and tools do when they are merely started: runtimes run every executable of the plugin directory without
// arguments to learn its version, and read what it prints.
import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { needsRoot } from "./lab/needs.ts";
import { goBin, ourBin, ourTools, projectRoot } from "./lab/project.ts";

const { version } = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8")) as { version: string };
const names = readdirSync(ourBin);
const LONGEST_MS = 20_000; // of a loaded machine; Nomad waits 3 s

const start = (command: string, args: string[] = [], env: Record<string, string> = {}): SpawnSyncReturns<string> =>
  spawnSync(command, args, { env, encoding: "utf8", timeout: LONGEST_MS, stdio: ["ignore", "pipe", "pipe"] });

/** As Nomad's client: of both streams together the first word that hashicorp/go-version takes for a semantic version. */
function nomadVersion(output: string): string | undefined {
  const semantic = /^v?\d+(\.\d+)*?(-[0-9][0-9A-Za-z~-]*(\.[0-9A-Za-z~-]+)*)?(\+[0-9A-Za-z~-]+(\.[0-9A-Za-z~-]+)*)?$/;
  return output.split(/\s+/).find((word) => semantic.test(word));
}

/** As nerdctl: what follows on the first line that begins so, to its end. */
function nerdctlVersion(stderr: string): string | undefined {
  const line = stderr.split("\n").find((text) => text.startsWith("CNI firewall plugin "));
  const word = line?.slice("CNI firewall plugin ".length).trim();
  return word !== undefined && /^v?\d+\.\d+\.\d+(\+[0-9A-Za-z.-]+)?$/.test(word) ? word : undefined;
}

const numbers = (text = "0"): number[] => text.replace(/^v/, "").split(/[.+-]/).slice(0, 3).map(Number);

t.test("Nomad's and nerdctl's way of reading finds release 1.9.1", async (t) => {
  t.equal(names.length, 21);
  for (const name of names) {
    const { status, stdout, stderr } = start(join(ourBin, name));
    t.match({ status, stdout }, { status: 0, stdout: "" }, name);
    t.equal(stderr.split("\n")[0], `CNI ${name} plugin v1.9.1+twill.${version}`);
    const found = nomadVersion(stdout + stderr);
    t.equal(found, `v1.9.1+twill.${version}`, name);
    const [major = 0, minor = 0] = numbers(found);
    t.ok(major > 0 || minor >= 4, `${name}: at least 0.4.0`);
  }
  const [major, minor = 0] = numbers(nerdctlVersion(start(join(ourBin, "firewall")).stderr));
  t.ok(major === 1 && minor >= 8, "from 1.7.1 on nerdctl isolates networks");
});

t.test("stream, exit status and protocol versions are the Go plugins'", needsRoot, async (t) => {
  const both = readdirSync(goBin).filter((name) => names.includes(name));
  t.ok(both.length >= 10, both.join(" "));
  for (const name of both) {
    const [ours, theirs] = [start(join(ourBin, name)), start(join(goBin, name))];
    t.equal(ours.status, theirs.status, name);
    t.equal(ours.stdout, theirs.stdout);
    const [first = "", versions = ""] = theirs.stderr.split("\n");
    t.match(first, new RegExp(`^CNI ${name} plugin `));
    const [, ourVersions = ""] = ours.stderr.split("\n");
    t.equal(ourVersions.replace(", 1.1.0", ""), versions.replace(", 1.1.0", ""), "Debian's release is older");
  }
});

/** How a caller may leave stdin. Each gives `sh -c` what runs the plugin "$0". */
const inputs = {
  closed: 'exec "$0" <&-',
  "/dev/null": 'exec "$0" </dev/null',
  "a terminal": 'exec script --quiet --return --command "$0" /dev/null',
};

for (const [environment, variables] of Object.entries({ nothing: {}, VERSION: { CNI_COMMAND: "VERSION" } })) {
  t.test(`every plugin returns whatever its stdin is, called with ${environment}`, async (t) => {
    for (const name of names) {
      const file = join(ourBin, name);
      for (const [what, script] of Object.entries(inputs)) {
        const env = { PATH: "/usr/bin:/bin", ...variables };
        const { status, signal } = start("sh", ["-c", script, file], env);
        t.strictSame({ status, signal }, { status: 0, signal: null }, `${name}, ${what}`);
      }
      const child = spawn(file, { env: variables, stdio: ["pipe", "ignore", "ignore"], timeout: LONGEST_MS });
      t.strictSame(await once(child, "exit"), [0, null], `${name}, a pipe that never ends`);
    }
  });

  t.test(`every plugin touches nothing, called with ${environment}`, needsRoot, async (t) => {
    const traced = ["-f", "-qq", "-e", "signal=none", "-e", "trace=%file,%network,%process,%desc"];
    const harmless =
      /^(execve|exit_group|exit|write|arch_prctl|set_tid_address|poll|madvise|mmap|munmap|mprotect|brk)\(/;
    for (const name of names) {
      const { stderr } = start("strace", [...traced, "-o", "|cat >&2", join(ourBin, name)], {
        PATH: "/usr/bin:/bin",
        ...variables,
      });
      const calls = stderr.split("\n").filter((line) => /^(\d+ +)?\w+\(/.test(line));
      const named = calls.map((line) => line.replace(/^\d+ +/, ""));
      t.ok(
        named.some((line) => line.startsWith("execve(")),
        "sees the calls",
      );
      t.strictSame(
        named.filter((line) => !harmless.test(line)),
        [],
        name,
      );
    }
  });
}

/** On a machine of its own for the moment: `find` names what was made. */
const emptyMachine = `
mount --make-rprivate /
for folder in /run /var/lib /tmp /etc; do mount -t tmpfs none $folder; done
"$@" </dev/null
echo "status $?"
find /run /var/lib /tmp /etc -mindepth 1 -not -path "/run/mount*"`;

t.test("the tools print how they are used and change nothing when they are merely started", needsRoot, async (t) => {
  for (const [tool, help] of Object.entries({
    twill: /^twill \S+: /,
    cnitool: /cnitool/,
    "mk-docker-opts": /^Usage: mk-docker-opts /,
  })) {
    const inside = ["--net", "--mount", "sh", "-c", emptyMachine, "sh", join(ourTools, tool)];
    const { stdout, stderr } = start("unshare", inside, { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" });
    t.match(stdout, help, tool);
    t.match(stdout, /\nstatus 0\n$/, `${tool}: ${stderr}`);
    t.equal(stderr, "", tool);
  }
});

t.test("a tool that is called as a plugin gives an error object, and writes no file", needsRoot, async (t) => {
  for (const tool of readdirSync(ourTools)) {
    const inside = ["--net", "--mount", "sh", "-c", emptyMachine, "sh", join(ourTools, tool)];
    const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", CNI_COMMAND: "VERSION" };
    const { stdout, stderr } = start("unshare", inside, env);
    const [answer = "", rest] = stdout.split("status ");
    t.match(JSON.parse(answer), { msg: /is not a plugin of this executable|not a CNI plugin/ }, tool);
    t.equal(rest, "1\n", `${tool}: ${stderr}`);
  }
});

t.test("twill and cnitool tell their version", async (t) => {
  t.match(start(join(ourTools, "twill"), ["--version"]), { status: 0, stdout: `twill ${version}, CNI `, stderr: "" });
  const told = start(join(ourTools, "cnitool"), ["--version"]);
  t.match(told, { status: 0, stdout: `cnitool ${version} (twill), CNI 0.1.0 to 1.1.0\n`, stderr: "" });
});

t.test("only mk-docker-opts.sh writes its file at once, as flannel's script does", needsRoot, async (t) => {
  const inside = ["--net", "--mount", "sh", "-c", emptyMachine, "sh", join(ourTools, "mk-docker-opts.sh")];
  const { stdout } = start("unshare", inside, { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" });
  t.equal(stdout, "status 0\n/run/docker_opts.env\n");
});
