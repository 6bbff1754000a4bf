// A machine for pages whose commands are run as they stand, and for container runtimes: a network namespace of its own, and processes,
// mounts and host name too. What commands write below /etc, /run, /opt, /usr/local and /var is gone with it.
import { existsSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { unpackedLibraries } from "../../dev/unpacked.mjs";
import { startProgram, type Test } from "../cluster/program.ts";
import { until } from "../cluster/until.ts";
import { type Host, newHost, type Ran } from "../lab/host.ts";
import "../lab/search-path.ts";
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { projectRoot } from "../lab/project.ts";

export interface Machine extends Host {
  /** Runs a script in the project's folder, as an administrator would. */
  type(script: string): Promise<Ran>;
}

/** Where the project is in there. */
const PROJECT = "/mnt";

/**
 * The first process of the machine. The controllers of /sys/fs/cgroup stay the machine's own, since Docker needs them. The loop reaps
 * what services leave.
 */
const init = `
  project=$1 name=$2
  hostname $name
  mount --rbind "$project" ${PROJECT}
  mount -t tmpfs none /media
  mkdir /media/cgroup && mount --rbind /sys/fs/cgroup /media/cgroup
  mount -t sysfs none /sys && mount --rbind /media/cgroup /sys/fs/cgroup
  for folder in etc opt usr/local; do
    mkdir -p /media/$folder/upper /media/$folder/work
    mount -t overlay none -o lowerdir=/$folder,upperdir=/media/$folder/upper,workdir=/media/$folder/work /$folder
  done
  for folder in /run /var/lib /var/log /var/cache; do mount -t tmpfs none $folder; done
  rm -rf /etc/cni /etc/docker /etc/systemd /opt/twill
  mkdir -p /run/lock /run/root /etc/systemd/system /etc/docker /run/commands
  ln -s ${PROJECT}/e2e/tutorials/systemctl.mjs /run/commands/systemctl
  echo the machine is up
  while :; do sleep 1000 & wait $!; done`;

let made = 0;

export async function newMachine(t: Test, name: string): Promise<Machine> {
  const host = newHost(t, { containers: 0 });
  const cgroup = `twill-${process.pid}-${++made}`;
  t.teardown(() => until("the end of all processes", () => removeCgroups(cgroup))); // the last teardown runs first
  const own = ["nsenter", `--mount=/proc/${process.pid}/ns/mnt`];
  const apart = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"];
  const program = startProgram(t, host.name, [...own, ...apart, "sh", "-ec", init, "init", projectRoot, name]);
  await program.says(/the machine is up/);
  const first = readFileSync(`/proc/${program.pid}/task/${program.pid}/children`, "utf8").trim();
  const enter = ["--target", first, "--mount", "--pid", "--net", "--uts", "--ipc"];
  const inThere = (path: string) => path.replace(projectRoot, PROJECT);
  const folders = (process.env["PATH"] ?? "").split(":").map(inThere);
  const environment = {
    HOME: "/run/root",
    PATH: ["/run/commands", "/usr/local/bin", ...folders].join(":"),
    LD_LIBRARY_PATH: unpackedLibraries(projectRoot).replaceAll(projectRoot, PROJECT),
  };
  const type = async (script: string): Promise<Ran> => {
    const child = spawn("nsenter", [...enter, "sh", "-ec", `cd ${PROJECT}\n${script}`], { env: environment });
    const ended = new Promise<Pick<Ran, "status" | "signal">>((resolve, reject) => {
      child.on("error", reject).on("exit", (status, signal) => resolve({ status, signal }));
    });
    child.stdin.end();
    const [stdout, stderr, end] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    return { ...end, stdout, stderr };
  };
  await type(`
    [ -d /sys/fs/cgroup/pids ] && hierarchy=/sys/fs/cgroup/pids || hierarchy=/sys/fs/cgroup
    echo $hierarchy/${cgroup} > /run/cgroup
    echo '{"cgroup-parent": "/${cgroup}"}' > /etc/docker/daemon.json`);
  return { ...host, type };
}

/**
 * Removes those of services and of Docker, of all hierarchies.
 *
 * @throws Error a process is still in one of them
 */
function removeCgroups(name: string): true {
  const root = "/sys/fs/cgroup";
  const hierarchies = [root, ...readdirSync(root).map((entry) => join(root, entry))];
  for (const folder of hierarchies.map((path) => join(path, name)).filter((path) => existsSync(path))) remove(folder);
  return true;
}

function remove(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) remove(join(folder, entry.name));
  rmdirSync(folder);
}
