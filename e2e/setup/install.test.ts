// dev/apt/install.sh with an apt-get that does what maintainer scripts do: what was not enabled before is not enabled afterwards.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { commands } from "../lab/commands.ts";
import { type Need, needsRoot } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";

const onDebian: Need = existsSync("/usr/sbin/update-rc.d") ? needsRoot : { skip: "not Debian: setup installs nothing" };

const install = join(projectRoot, "dev/apt/install.sh");

/** The machine's folders of services are replaced for the script alone: "theirs" is enabled, and a folder for links is given. */
const machine = `
  for folder in /etc/systemd/system /etc/init.d /etc/rc2.d /etc/rc3.d /etc/rc4.d /etc/rc5.d /etc/rcS.d; do
    mount -t tmpfs none $folder
  done
  mkdir /etc/systemd/system/multi-user.target.wants
  ln -s /lib/systemd/system/theirs.service /etc/systemd/system/multi-user.target.wants/
  ln -s ../init.d/theirs /etc/rc2.d/S01theirs
`;

/** What etcd's postinst does: it enables its unit with an alias, and its init script, then starts both. */
const postinst = `
  PATH=$(echo "$2" | sed 's/^DPkg::Path=//')
  ln -s /lib/systemd/system/ours.service /etc/systemd/system/multi-user.target.wants/ours.service
  ln -s /lib/systemd/system/ours.service /etc/systemd/system/alias.service
  printf '#!/bin/sh\\n### BEGIN INIT INFO\\n# Provides: ours\\n# Required-Start:\\n# Required-Stop:\\n# Default-Start: 2 3 4 5\\n# Default-Stop: 0 1 6\\n### END INIT INFO\\n' > /etc/init.d/ours
  chmod 755 /etc/init.d/ours
  for level in 2 3 4 5; do ln -s ../init.d/ours /etc/rc$level.d/S01ours; done
  echo "starts: $(command -v invoke-rc.d) $(command -v deb-systemd-invoke)"
`;

const enabled =
  "echo enabled: $(cd /etc && find systemd/system rc?.d -type l -a '(' -path 'systemd/*' -o -name 'S*' ')' | sort)";
const theirs = "enabled: rc2.d/S01theirs systemd/system/multi-user.target.wants/theirs.service\n";

t.test("setup: what a package enables is disabled again, and started by nobody", onDebian, async (t) => {
  const { status, stdout } = runOn(t, `${postinst}exit 3`, `sh ${install} install ours || echo status $?; ${enabled}`);
  t.equal(status, 0);
  t.match(stdout, "status 3\n", "apt-get's own status");
  t.match(stdout, `starts: ${projectRoot}/dev/apt/invoke-rc.d ${projectRoot}/dev/apt/deb-systemd-invoke\n`);
  t.match(stdout, "setup: not enabled: ours.service\n");
  t.match(stdout, "setup: not enabled: /etc/init.d/ours\n");
  t.ok(stdout.endsWith(theirs), stdout);
});

t.test("setup: what is installed for nobody to start is said by scripts that succeed", async (t) => {
  for (const name of ["invoke-rc.d", "deb-systemd-invoke"])
    t.match(spawnSync(join(projectRoot, "dev/apt", name), ["start", "ours"], { encoding: "utf8" }), {
      status: 0,
      stdout: "",
    });
});

t.test("setup: an interrupted apt-get leaves nothing enabled", onDebian, async (t) => {
  const apt = commands(t, { "apt-get": { script: `${postinst}echo installing; while :; do sleep 0.1; done` } });
  const script = `${machine}PATH=${apt}:$PATH; trap : INT; sh ${install} install ours || true; ${enabled}`;
  const child = spawn("unshare", ["--mount", "sh", "-ec", script], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    printed += text;
    if (text.includes("installing")) process.kill(-(child.pid ?? 0), "SIGINT"); // Ctrl-C goes to all of them
  });
  await once(child, "close");
  t.match(printed, "setup: not enabled: ours.service\n");
  t.ok(printed.endsWith(theirs), printed);
});

/** @param apt What apt-get does. */
function runOn(t: Parameters<typeof commands>[0], apt: string, script: string) {
  const path = commands(t, { "apt-get": { script: apt } });
  return spawnSync("unshare", ["--mount", "sh", "-ec", `${machine}PATH=${path}:$PATH; ${script}`], {
    encoding: "utf8",
  });
}
