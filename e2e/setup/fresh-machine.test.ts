// What each purpose of dev/setup.mjs leaves behind on a fresh Debian: a root of its own, made by debootstrap from this machine's
// package sources, with layers for what is written. docs/setup.md has the list that is checked here.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { copyInto, installDebian } from "../lab/fresh-debian.ts";
import { inLongRunOnly, needsRoot } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";

const dir = mkdtempSync(join(tmpdir(), `twill-${process.pid}-fresh-`));
const root = join(dir, "root");
t.teardown(() => rmSync(dir, { recursive: true, force: true }));

/** A standard installation has them; whether a purpose asks for one of them makes no difference there. */
const standard = "systemd-sysv udev kmod iproute2 procps iputils-ping ca-certificates cron".split(" ");

/** The state that a package may change for good, but for the package's own files below /usr. */
const lookAround = `
  dpkg-query -W -f 'package \${Package}\\n'
  systemctl list-unit-files --state=enabled --no-legend --no-pager | sed 's/^/enabled /'
  find /etc/systemd -type l -printf 'link %p\\n'
  find /etc/rc?.d -name 'S*' -printf 'started by init: %p\\n'
  sed 's/:.*//; s/^/user /' /etc/passwd
  sed 's/:.*//; s/^/group /' /etc/group
  find /usr/sbin/policy-rc.d /usr/lib/sysctl.d /etc/sysctl.d /etc/modprobe.d /etc/modules-load.d /usr/lib/modules-load.d -type f -printf 'file %p\\n' 2>/dev/null
  find /etc/cron* /etc/default /etc/polkit-1 /usr/share/polkit-1 /usr/share/dbus-1/system* /etc/dbus-1 /usr/lib/udev -type f -printf 'file %p\\n' 2>/dev/null
  true`;

/** Mounts are this process tree's own, and end with it. NODE_OPTIONS are the test runner's, with files that the machine does not have. */
const inRoot = `
  layers=$1 root=$2 project=$3; shift 3
  m=$layers/merged
  mount -t overlay overlay -o "lowerdir=$root,upperdir=$layers/files,workdir=$layers/work" $m
  mkdir -p $m/src
  mount -t overlay overlay -o "lowerdir=$project,upperdir=$layers/project,workdir=$layers/project-work" $m/src
  mount -t proc proc $m/proc && mount --rbind /dev $m/dev && mount -t tmpfs none $m/run && mount -t tmpfs none $m/tmp
  exec chroot $m /usr/bin/env -u NODE_OPTIONS -C /src "$@"`;

interface Machine {
  command(...command: string[]): [program: string, args: string[]];
  run(...command: string[]): string;
}

function freshMachine(name: string): Machine {
  const layers = join(dir, name);
  for (const folder of ["files", "work", "merged", "project", "project-work"])
    mkdirSync(join(layers, folder), { recursive: true });
  const enter = ["--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", inRoot, "sh", layers, root, projectRoot];
  const command = (...command: string[]): [string, string[]] => ["unshare", [...enter, ...command]];
  const run = (...words: string[]) => {
    const { status, stdout, stderr } = spawnSync(...command(...words), { encoding: "utf8", timeout: 600_000 });
    if (status !== 0) throw new Error(`${words.join(" ")}: exit status ${status}: ${stdout}${stderr}`);
    return stdout;
  };
  run("rm", "-rf", "node_modules/.cache", "dist"); // what is unpacked and built is, again; npm packages are taken over
  return { command, run };
}

/** What a purpose may add, besides packages: groups and files of configuration that concern only its own programs. */
const additions: Record<string, readonly string[]> = {
  build: [],
  demo: [],
  all: [],
  kernel: ["group rdma"],
};

t.test("setup on a fresh machine", inLongRunOnly(needsRoot), async (t) => {
  installDebian(root, standard);
  copyInto(root, process.execPath);

  for (const [purpose, expected] of Object.entries(additions)) {
    await t.test(`${purpose}: nothing is enabled, nobody is added`, async (t) => {
      const machine = freshMachine(purpose);
      const before = machine.run("sh", "-c", lookAround).split("\n");
      machine.run(process.execPath, "dev/setup.mjs", purpose);
      const after = machine.run("sh", "-c", lookAround).split("\n");

      const added = after.filter((line) => !before.includes(line));
      t.strictSame(
        added.filter((line) => !line.startsWith("package ")),
        expected,
      );
      t.ok(
        added.some((line) => line.startsWith("package ")),
        "sees the packages",
      );
      t.strictSame(
        before.filter((line) => !after.includes(line)),
        [],
        "and nothing is taken away",
      );
      t.equal(
        machine.run(process.execPath, "dev/setup.mjs", purpose).includes("Debian packages"),
        false,
        "a second run",
      );
    });
  }

  await t.test("killed while packages are installed, it leaves no policy-rc.d", async (t) => {
    const machine = freshMachine("killed");
    const setup = spawn(...machine.command(process.execPath, "dev/setup.mjs", "demo"), {
      stdio: ["ignore", "pipe", "ignore"],
    });
    for await (const text of setup.stdout.setEncoding("utf8")) if (text.includes("Unpacking ")) break;
    setup.kill("SIGKILL"); // unshare's child, the first process of its namespace, goes with it, and so do all
    if (setup.exitCode === null && setup.signalCode === null) await once(setup, "exit");
    t.equal(
      machine.run("find", "/usr/sbin", "/etc/rc2.d", "(", "-name", "policy-rc.d", "-o", "-name", "S*etcd", ")"),
      "",
    );
    machine.run("dpkg", "--configure", "-a");
    machine.run(process.execPath, "dev/setup.mjs", "demo");
  });
});
