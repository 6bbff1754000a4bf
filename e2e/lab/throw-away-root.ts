// A node for tests of what is installed on it: a mount and a network namespace, where directories of commands, plugins and
// configurations can be filled, and are the machine's own again afterwards. Debian's Go plugins are in /usr/lib/cni.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import type { Ran } from "./host.ts";
import { goBin, ourTools, projectRoot } from "./project.ts";
import "./search-path.ts";

export interface Root {
  /** Runs a script there, in the project's folder. */
  run(script: string): Ran;
  /** The same for its effect. @returns What it printed, trimmed. @throws Error with its stderr when it fails */
  sh(script: string): string;
  /** Paths, modes, owners, times, sizes and checksums of all files and links in the directories that can be filled. */
  files(): string;
}

/** The Go plugins as they are on the machine. */
export const untouched = "/run/go";

/** `twill` is what `npm run build` has made; the runtimes are files by which they are found, no more. */
const prepare = `
mount --make-rprivate /
for folder in /run /var/lib /opt /usr/local/bin; do mount -t tmpfs none $folder; done
mkdir /run/upper /run/work
mount -t overlay none -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
rm -rf /etc/cni /etc/containers /etc/containerd
mkdir ${untouched} /run/cni
mount --bind ${goBin} ${untouched}
mount -t tmpfs none /run/cni && cp -a ${goBin}/. /run/cni && mount --move /run/cni /usr/lib/cni
ip link set lo up
echo the root is there
exec sleep infinity`;

export async function newRoot(t: { teardown(work: () => unknown): unknown }): Promise<Root> {
  const child: ChildProcess = spawn("unshare", ["--mount", "--net", "sh", "-ec", prepare], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  t.teardown(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const answers = once(child.stdout ?? child, "data");
  const [text] = await Promise.race([answers, ended]);
  if (!String(text).includes("the root is there")) throw new Error(`the root cannot be made: ${text}`);
  const run = (script: string): Ran => {
    const enter = ["--target", String(child.pid), "--mount", "--net", "sh", "-ec", `cd ${projectRoot}\n${script}`];
    const { status, signal, stdout, stderr } = spawnSync("nsenter", enter, {
      encoding: "utf8",
      timeout: LONGEST_SCRIPT_MS,
      env: { PATH: `${ourTools}:${process.env["PATH"]}` },
    });
    return { status, signal, stdout, stderr };
  };
  const sh = (script: string): string => {
    const { status, stdout, stderr } = run(script);
    if (status !== 0) throw new Error(`${script}: exit status ${status}: ${stdout}${stderr}`);
    return stdout.trim();
  };
  return {
    run,
    sh,
    files: () =>
      sh(`
        folders="/usr/lib/cni /opt /usr/local/bin /var/lib"
        find $folders -not -type d -printf '%p %m %U:%G %T@ %s %l\\n' | sort
        find $folders -type f -exec cksum {} + | sort -k 3`),
  };
}
const LONGEST_SCRIPT_MS = 60_000;
