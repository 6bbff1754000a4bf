// npm run profile: records the transcripts of system calls that the build replays (native/transcripts), with plugins of the present sources, and then writes
// what each of them costs (native/transcripts/costs.json). To be run as root; it works in network and mount namespaces of its own.
import { execFileSync, spawnSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { COSTS, costs, profilingHost, replay, TRANSCRIPTS } from "../build.mjs";

/** Where the plugins seem to be: a path that is the same on each machine. */
const PLUGINS = "/run/plugins";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
if (process.getuid() !== 0) throw new Error("recording makes network namespaces, for which it has to be root");
if (process.argv[2] !== "inside") {
  execFileSync(process.execPath, ["build.mjs"], { stdio: "inherit" });
  const inside = ["--net", "--mount", process.execPath, "dev/profile.mjs", "inside"];
  process.exitCode = spawnSync("unshare", inside, { stdio: "inherit" }).status ?? 1;
} else {
  const folder = mkdtempSync(resolve("dist/profile-"));
  try {
    recordAll(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function recordAll(folder) {
  for (const directory of ["/run", "/var/lib"]) execFileSync("mount", ["-t", "tmpfs", "none", directory]);
  for (const directory of ["/run/lock", "/var/lib/cni", PLUGINS]) mkdirSync(directory);
  execFileSync("mount", ["--bind", folder, PLUGINS]);
  execFileSync("ip", ["link", "set", "lo", "up"]);
  for (const namespace of ["first", "second"]) execFileSync("ip", ["netns", "add", namespace]);
  const host = profilingHost();
  // a plugin runs another one in its own process if both are one file
  for (const name of ["bridge", "host-local", "portmap", "firewall", "ptp", "tuning", "loopback"])
    linkSync(host, join(folder, name));
  for (const name of readdirSync(TRANSCRIPTS)) rmSync(join(TRANSCRIPTS, name));
  const bytecode = readFileSync("dist/twill.bytecode");

  /** @returns what the plugin printed */
  const record = (name, namespace, configuration) => {
    const [plugin, verb] = [name.startsWith("host-local") ? "host-local" : name.split("-")[0], name.split("-").at(-1)];
    const file = join(folder, "configuration");
    writeFileSync(file, JSON.stringify({ cniVersion: "1.0.0", name: "network", type: plugin, ...configuration }));
    const { status, stdout, stderr } = spawnSync(host, ["record", resolve(TRANSCRIPTS, `${name}.txt`)], {
      argv0: plugin,
      input: bytecode,
      stdio: ["pipe", "pipe", "pipe", openSync(file, "r")],
      env: {
        PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
        CNI_COMMAND: verb,
        CNI_CONTAINERID: namespace.padEnd(64, "0"),
        CNI_NETNS: `/run/netns/${namespace}`,
        CNI_IFNAME: "eth0",
        CNI_PATH: PLUGINS,
      },
    });
    if (status !== 0) throw new Error(`${name} ended with status ${status}: ${stdout}${stderr}`);
    return stdout.length > 0 ? JSON.parse(stdout) : undefined;
  };

  const ipam = { type: "host-local", ranges: [[{ subnet: "10.88.0.0/16" }]] };
  const ports = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];
  const portmap = { capabilities: { portMappings: true }, runtimeConfig: { portMappings: ports } };
  for (const backend of ["iptables", "nftables"]) {
    const bridge = { bridge: "cni0", isDefaultGateway: true, ipMasq: true, ipMasqBackend: backend, ipam };
    const variant = backend === "iptables" ? "" : `-${backend}`;
    record(`bridge${variant}-ADD`, "first", bridge); // makes the bridge: the next one is the usual case
    const prevResult = record(`bridge${variant}-ADD`, "second", bridge);
    record(`bridge${variant}-CHECK`, "second", { ...bridge, prevResult });
    if (backend === "iptables") {
      record("portmap-ADD", "second", { ...portmap, prevResult });
      record("firewall-ADD", "second", { prevResult });
      record("tuning-ADD", "second", { sysctl: { "net.core.somaxconn": "500" }, prevResult });
      record("firewall-DEL", "second", { prevResult });
      record("portmap-DEL", "second", { ...portmap, prevResult });
    }
    record(`bridge${variant}-DEL`, "first", bridge);
    record(`bridge${variant}-DEL`, "second", { ...bridge, prevResult });
    execFileSync("ip", ["link", "delete", "cni0"]);
  }
  const ptp = { ipMasq: true, ipam };
  const prevResult = record("ptp-ADD", "second", ptp);
  record("ptp-DEL", "second", { ...ptp, prevResult });
  record("host-local-ADD", "second", { ipam });
  record("loopback-ADD", "second", {});
  record("bridge-VERSION", "second", {});
  writeFileSync(COSTS, `${JSON.stringify(costs(replay()), undefined, 2)}\n`);
}
