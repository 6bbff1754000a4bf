// Docker's bridge: a real dockerd in the host's namespace, with files of its own, and a container of one static program.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { unpackedLibraries, withUnpacked } from "../../dev/unpacked.mjs";
import type { Test } from "../../e2e/cluster/program.ts";
import { until } from "../../e2e/cluster/until.ts";
import type { Host } from "../../e2e/lab/host.ts";
import { projectRoot } from "../../e2e/lab/project.ts";

/** Docker as setup unpacked it, else the machine's own. */
const environment = {
  PATH: withUnpacked(projectRoot, process.env["PATH"] ?? ""),
  LD_LIBRARY_PATH: unpackedLibraries(projectRoot),
};

const CGROUPS = "/sys/fs/cgroup";

/**
 * Starts a container on docker0, in place of the host's container: the namespace has that one's name afterwards.
 *
 * @param program A static executable, which stays while it runs as `program serve 1`.
 * @throws Error dockerd does not run here; with what it printed
 */
export async function attachToDocker(t: Test, host: Host, program: string): Promise<void> {
  const folder = join(dirname(host.varLib), "docker");
  mkdirSync(folder);
  const cgroup = host.name;
  const env = { ...environment, DOCKER_HOST: `unix://${folder}/socket` };
  const docker = (...args: string[]): string => {
    const { status, stdout, stderr, error } = spawnSync("docker", args, { env, encoding: "utf8" });
    if (status !== 0) throw new Error(`docker ${args.join(" ")}: ${error?.message ?? stderr}`);
    return stdout.trim();
  };
  const flags = [`--data-root=${folder}/data`, "--exec-root=/run/docker", "--pidfile=/run/docker.pid"];
  const dockerd = startDockerd(host, [...flags, `--host=${env.DOCKER_HOST}`, `--cgroup-parent=/${cgroup}`], env);
  t.teardown(async () => {
    spawnSync("docker", ["rm", "--force", host.name], { env });
    dockerd.child.kill("SIGTERM");
    await dockerd.ended;
    for (const kind of readdirSync(CGROUPS)) removeEmpty(join(CGROUPS, kind, cgroup));
  });
  await until("dockerd answers", () => {
    if (dockerd.child.exitCode !== null) throw new Error(`dockerd has ended: ${dockerd.lastWords()}`);
    return spawnSync("docker", ["version"], { env }).status === 0;
  });
  const image = `tar --directory=${dirname(program)} --create traffic | docker import - bench`;
  spawnSync("sh", ["-c", image], { env });
  docker("run", "--detach", `--name=${host.name}`, "bench", "/traffic", "serve", "1");
  const pid = docker("inspect", "--format={{.State.Pid}}", host.name);
  const [container] = host.containers;
  const ip = (...args: string[]) => spawnSync("ip", ["netns", ...args]);
  ip("delete", container?.name ?? "");
  ip("attach", container?.name ?? "", pid);
}

/** In a mount namespace of its own, for /run; `ip netns exec` would hide the control groups. */
function startDockerd(host: Host, flags: readonly string[], env: Record<string, string>) {
  const script = `mount -t tmpfs none /run && exec dockerd --storage-driver=vfs "$@"`;
  const inside = [`--net=${host.path}`, "unshare", "--mount", "sh", "-c", script, "sh", ...flags];
  const child: ChildProcess = spawn("nsenter", inside, { env, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-1000);
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return { child, ended, lastWords: () => said.trim().split("\n").at(-1) ?? "" };
}

function removeEmpty(folder: string): void {
  if (existsSync(folder)) rmdirSync(folder);
}
