// The demo's own small world: a host, two containers and somebody else's computer, all of them network namespaces.
//
// This process leaves for a network and a mount namespace of its own, with an empty /run and /var/lib: that is the demo's
// host. Everything the demo makes hangs on it, so however the process ends (Ctrl-C, SIGTERM, SIGKILL) the kernel takes all
// of it back, and the machine never saw it. Rejected: tidying up in signal handlers, which SIGKILL and a second Ctrl-C prevent.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { call } from "../../pkg/sys/syscall.ts";
import { withUnpacked } from "../unpacked.mjs";

/** linux/sched.h */
const CLONE_NEWNS = 0x20000;
const CLONE_NEWNET = 0x40000000;

export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
export const pluginFolder = join(root, "dist/plugins");
export const toolFolder = join(root, "dist/bin");
/** On the demo's own file system. */
export const configurations = "/var/lib/demo/net.d";

export const containers = ["c1", "c2"] as const;
export const outside = "outside";
/** The wire between host and outside: 192.0.2.0/24 is set aside for examples (RFC 5737). */
export const uplink = { name: "up0", address: "192.0.2.1/24" } as const;
export const outsideAddress = "192.0.2.2";

/** From here on this process, and every program it starts, is on the demo's host. */
export function enterHost(): void {
  process.env["PATH"] = withUnpacked(root, process.env["PATH"] ?? ""); // etcd
  call("unshare", "the demo's namespaces", CLONE_NEWNS | CLONE_NEWNET);
  run("mount --make-rprivate /"); // what is mounted from here on, nobody else sees
  run("mount -t tmpfs twill-demo /run");
  run("mount -t tmpfs twill-demo /var/lib");
  run("ip link set lo up");
}

/** Namespaces for two containers, still without a network, and a computer that knows of the host's address and no other. */
export function makeNeighbours(): void {
  for (const name of [...containers, outside]) run(`ip netns add ${name}`);
  run(`ip link add ${uplink.name} type veth peer name eth0 netns ${outside}`);
  run(`ip address add ${uplink.address} dev ${uplink.name}`);
  run(`ip link set ${uplink.name} up`);
  run(`ip -n ${outside} address add ${outsideAddress}/24 dev eth0`);
  run(`ip -n ${outside} link set eth0 up`);
  run(`ip netns exec ${outside} nft -f -`, callers);
}

/** The outside remembers who sends it a ping. */
const callers = `
table inet demo {
  set callers { type ipv4_addr; flags dynamic; size 16; }
  chain incoming {
    type filter hook input priority 0;
    icmp type echo-request update @callers { ip saddr }
  }
}
`;

/** The source addresses that the outside has seen. */
export function callersSeenOutside(): string[] {
  const { nftables } = JSON.parse(run(`ip netns exec ${outside} nft -j list set inet demo callers`)) as {
    nftables: { set?: { elem?: string[] } }[];
  };
  return nftables.flatMap(({ set }) => set?.elem ?? []);
}

export function forgetCallers(): void {
  run(`ip netns exec ${outside} nft flush set inet demo callers`);
}

/** What plugins have made on the host: its links but for those of the demo, rules of iptables with a container in their comment, and reserved addresses. */
export function madeHere(): string {
  const links = (JSON.parse(run("ip -j link show")) as { ifname: string }[]).map(({ ifname }) => ifname);
  const rules = run("iptables -t nat -S")
    .split("\n")
    .filter((rule) => rule.includes("--comment"));
  const folder = "/var/lib/cni/networks";
  const reserved = (existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : []).filter(
    (file) => /\/[\d.]+$/.test(file),
  );
  return [...links.filter((name) => name !== "lo" && name !== uplink.name), ...rules, ...reserved].join("\n");
}

/** Milliseconds until the answer came; undefined when none did. */
export function pingFrom(container: string, address: string): number | undefined {
  const { stdout } = started(`ip netns exec ${container} ping -c 1 -W 1 ${address}`);
  const time = /time[=<]([\d.]+) ms/.exec(stdout)?.[1];
  return time === undefined ? undefined : Number(time);
}

/** @returns What the command printed. @throws Error with what it complained about. */
export function run(command: string, stdin = ""): string {
  const { status, signal, stdout, stderr } = started(command, stdin);
  if (status !== 0) throw new Error(`${command}: exit status ${status ?? signal}: ${stderr || stdout}`);
  return stdout;
}

function started(command: string, input = "") {
  const [program = "", ...args] = command.split(" ");
  const outcome = spawnSync(program, args, { input, encoding: "utf8", timeout: 10_000 });
  if (outcome.error !== undefined) throw outcome.error;
  return outcome;
}
