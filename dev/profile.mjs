// npm run profile: records the transcripts of system calls that the build replays (native/transcripts), with plugins of the present sources, and then writes
// what each of them costs (native/transcripts/costs.json). To be run as root; it works in network and mount namespaces of its own.
import { execFileSync, spawnSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { COSTS, costs, profilingHost, replay, TRANSCRIPTS } from "../build.mjs";
import { namesOf } from "./image-layout.mjs";

/** Where the plugins seem to be: a path that is the same on each machine. */
const PLUGINS = "/run/plugins";

/** Those that are recorded. */
const RECORDED = [
  ...["bridge", "ptp", "macvlan", "host-device", "loopback", "host-local", "static"],
  ...["portmap", "firewall", "bandwidth", "tuning", "sbr"],
];

/** Returns the plugins that work on what bridge has made, by the names of their transcripts, with their configurations. */
function chained(hostPort) {
  const portMappings = [{ hostPort, containerPort: 80, protocol: "tcp" }];
  const published = { capabilities: { portMappings: true }, runtimeConfig: { portMappings } };
  return {
    portmap: published,
    "portmap-nftables": { ...published, backend: "nftables" },
    firewall: {},
    "firewall-nftables": { backend: "nftables" },
    tuning: { mtu: 1400, sysctl: { "net.ipv4.conf.eth0.arp_filter": "1" } },
    bandwidth: { ingressRate: 1e8, ingressBurst: 1e6, egressRate: 1e8, egressBurst: 1e6 },
    sbr: {},
  };
}

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
  for (const name of RECORDED) linkSync(host, join(folder, name));
  for (const name of readdirSync(TRANSCRIPTS)) rmSync(join(TRANSCRIPTS, name));
  const bytecode = readFileSync("dist/twill.bytecode");

  /** @returns what the plugin printed */
  const record = (name, namespace, configuration) => {
    const { plugin, verb } = namesOf(name);
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

  /** Records each verb. @param name Of the transcripts, without the verb. @param prevResult Of the plugins before. */
  const recordVerbs = (name, configuration, prevResult) => {
    const result = record(`${name}-ADD`, "second", { ...configuration, prevResult });
    record(`${name}-CHECK`, "second", { ...configuration, prevResult: result });
    record(`${name}-DEL`, "second", { ...configuration, prevResult: result });
  };

  const ipam = { type: "host-local", ranges: [[{ subnet: "10.88.0.0/16" }]] };
  for (const backend of ["iptables", "nftables"]) {
    const bridge = { bridge: "cni0", isDefaultGateway: true, ipMasq: true, ipMasqBackend: backend, ipam };
    const variant = backend === "iptables" ? "" : `-${backend}`;
    const others = record(`bridge${variant}-ADD`, "first", bridge); // makes the bridge: the next one is the usual case
    const prevResult = record(`bridge${variant}-ADD`, "second", bridge);
    record(`bridge${variant}-CHECK`, "second", { ...bridge, prevResult });
    if (backend === "iptables") {
      for (const [name, configuration] of Object.entries(chained(8081)))
        record(`${name}-ADD`, "first", { ...configuration, prevResult: others }); // makes what containers share
      for (const [name, configuration] of Object.entries(chained(8080))) recordVerbs(name, configuration, prevResult);
    }
    record(`bridge${variant}-DEL`, "first", bridge);
    record(`bridge${variant}-DEL`, "second", { ...bridge, prevResult });
    execFileSync("ip", ["link", "delete", "cni0"]);
  }
  recordVerbs("ptp", { ipMasq: true, ipam });
  execFileSync("ip", ["link", "add", "uplink", "up", "type", "veth", "peer", "name", "far"]);
  recordVerbs("macvlan", { master: "uplink", ipam });
  recordVerbs("host-device", { device: "uplink", ipam });
  recordVerbs("host-local", { ipam });
  recordVerbs("static", { ipam: { type: "static", addresses: [{ address: "10.88.0.2/16" }] } });
  recordVerbs("loopback", {});
  record("bridge-VERSION", "second", {});
  writeFileSync(COSTS, `${JSON.stringify(costs(replay()), undefined, 2)}\n`);
}
