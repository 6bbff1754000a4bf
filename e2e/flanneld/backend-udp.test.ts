// The udp backend: two hosts with daemons and their data path processes, which share a folder of leases.
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { getPriority, tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { closeFile } from "../../pkg/sys/file.ts";
import { call } from "../../pkg/sys/syscall.ts";
import { encode } from "../../pkg/sys/text.ts";
import { type Program, startProgram } from "../cluster/program.ts";
import { startPinging } from "../cluster/traffic.ts";
import { until } from "../cluster/until.ts";
import { type Host, newHost } from "../lab/host.ts";
import { inFullRunOnly, inLongRunOnly, needsKernel, needsRoot } from "../lab/needs.ts";
import { ourTools, projectRoot } from "../lab/project.ts";

const udp = { Type: "udp" };

const flanneld = join(ourTools, "flanneld");

interface Cluster {
  /** The folder of the leases. */
  leases: string;
  /** 192.0.2.1 and 192.0.2.2. */
  hosts: readonly [Member, Member];
  configure(network: object): void;
  /** Writes a lease of somebody, as `10.5.77.0-24`; removes it without a value. */
  lease(key: string, value?: object): void;
}

interface Member extends Host {
  subnetFile: string;
  start(...flags: string[]): Program;
  startUnder(command: readonly string[]): Program;
  /** Starts that build of the daemon, by another command, and waits until it is ready. */
  joinWith(program: string, under?: readonly string[]): Promise<Program>;
  /** Starts a daemon and waits until it is ready. */
  join(...flags: string[]): Promise<Program>;
  subnetEnv(): string;
  /** The host as its own only container, with the first address of its subnet. */
  pod(): string;
  metrics(): string;
  status(): Status;
  /** What runs in there besides daemons: the data path processes. */
  dataPaths(): number[];
}

interface Status {
  state: string;
  own: { backend: string; device: string; mtu: number; dataPath: Record<string, number> | null };
  peers: { backend: string; reach: string }[];
  problems: { text: string; remedy: string }[];
}

interface Device {
  mtu: number;
  flags: string[];
  gso_max_segs: number;
  linkinfo: object;
  addr_info: { family: string; local: string; prefixlen: number }[];
}

const ipv4Of = ({ addr_info }: Device): string[] =>
  addr_info.filter(({ family }) => family === "inet").map(({ local, prefixlen }) => `${local}/${prefixlen}`);

function newCluster(t: Test, network: object = { Backend: udp }): Cluster {
  const folder = mkdtempSync(join(tmpdir(), `twill-udp-${process.pid}-`)); // a short path, for the sockets
  const leases = join(folder, "leases");
  mkdirSync(join(leases, "subnets"), { recursive: true });
  const configure = (network: object) =>
    writeFileSync(join(leases, "config"), JSON.stringify({ Network: "10.5.0.0/16", ...network }));
  configure(network);
  const hosts = [1, 2].map((n) => newMember(t, { n, folder, leases })) as [Member, Member];
  hosts[0].sh(`ip link add eth0 type veth peer name eth0 netns ${hosts[1].name}`);
  hosts.forEach((host, i) => {
    host.sh(`ip address add 192.0.2.${i + 1}/24 dev eth0; ip link set eth0 up`);
  });
  t.teardown(() => rmSync(folder, { recursive: true }));
  return {
    hosts,
    leases,
    configure,
    lease(key, value) {
      const file = join(leases, "subnets", key);
      if (value === undefined) rmSync(file);
      else writeFileSync(file, JSON.stringify(value));
    },
  };
}

function newMember(t: Test, { n, folder, leases }: { n: number; folder: string; leases: string }): Member {
  const host = newHost(t, { containers: 0 });
  const subnetFile = join(folder, `${n}`, "subnet.env");
  const options = [`--subnet-dir=${leases}`, `--subnet-file=${subnetFile}`, "--iface=eth0"];
  const command = [flanneld, ...options];
  const start = (...flags: string[]) => startProgram(t, host.name, [...command, ...flags]);
  const ready = async (daemon: Program) => {
    await daemon.prints(" ready ");
    return daemon;
  };
  const subnetEnv = () => (existsSync(subnetFile) ? readFileSync(subnetFile, "utf8") : "");
  return {
    ...host,
    subnetFile,
    start,
    startUnder: (under) => startProgram(t, host.name, [...under, ...command]),
    joinWith: (program, under = []) => ready(startProgram(t, host.name, [...under, program, ...options])),
    join: (...flags) => ready(start(...flags)),
    pod() {
      const [, address = ""] = /^FLANNEL_SUBNET=(.*)\/24$/m.exec(subnetEnv()) ?? [];
      host.sh(`ip address replace ${address}/24 dev lo`);
      return address;
    },
    subnetEnv,
    metrics: () => host.sh(`curl -s --unix-socket ${subnetFile.replace("env", "sock")} http://flanneld/metrics`),
    status() {
      const { stdout } = host.runInside([flanneld, "--status", "--json", `--subnet-file=${subnetFile}`]);
      return JSON.parse(stdout || "{}") as Status;
    },
    dataPaths() {
      const pids = host.run("ip", "netns", "pids", host.name).stdout.split("\n").filter(Boolean).map(Number);
      return pids.filter((pid) => commandOf(pid).includes("flanneld-udp.mjs"));
    },
  };
}

/** The descriptor of the daemon's connection to its data path. */
function connectionOf(host: Member): { pid: number; fd: number } {
  const socket = host.subnetFile.replace(/env$/, "udp");
  const [, inode] = new RegExp(`${socket} \\d+ +\\* (\\d+)`).exec(host.sh("ss -Hx state connected")) ?? [];
  const pids = host.run("ip", "netns", "pids", host.name).stdout.split("\n").filter(Boolean).map(Number);
  for (const pid of pids) {
    const fd = descriptorsOf(pid).find((fd) => targetOf(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`);
    if (fd !== undefined) return { pid, fd: Number(fd) };
  }
  throw new Error(`nobody is connected to ${socket}`);
}

/** The descriptors of a process; none when it has just ended. */
function descriptorsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
}

/** What a link leads to; "" when it has just gone. */
function targetOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** Writes to a descriptor of another process. */
function writeTo({ pid, fd }: { pid: number; fd: number }, text: string): void {
  const theirs = call("pidfd_open", undefined, pid, 0);
  const ours = call("pidfd_getfd", undefined, theirs, fd, 0);
  call("write", undefined, ours, encode(text), text.length);
  closeFile(ours);
  closeFile(theirs);
}

/** The arguments of a process; "" when it has just ended. */
function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

t.test("device, route, lease and subnet.env are flannel's; containers reach each other", needsRoot, async (t) => {
  const { hosts, leases } = newCluster(t, {}); // as flannel, it takes a missing Backend for udp
  const daemons = await Promise.all(hosts.map((host) => host.join("--ip-masq")));
  const [one, two] = hosts;
  const base = one.pod().replace(/\.1$/, ".0");
  const there = two.pod();
  await daemons[0]?.prints('"Backend" is missing: every host uses udp');
  t.equal(
    one.subnetEnv(),
    `FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=${base.replace(/0$/, "1")}/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n`,
  );
  t.equal(
    readFileSync(join(leases, "subnets", `${base}-24`), "utf8").trim(),
    '{"PublicIP":"192.0.2.1","PublicIPv6":null}',
  );
  const [device] = one.json("ip", "-d", "-j", "address", "show", "flannel0") as Device[];
  t.match(device, {
    mtu: 1472,
    gso_max_segs: 44,
    linkinfo: { info_kind: "tun", info_data: { type: "tun", pi: false } },
  });
  for (const flag of ["UP", "POINTOPOINT", "NOARP"]) t.ok(device?.flags.includes(flag), flag);
  t.strictSame(device && ipv4Of(device), [`${base}/32`]);
  t.equal(device?.addr_info.length, 1, "no link-local address of IPv6");
  t.strictSame(one.sh("ip route show dev flannel0").trim(), "10.5.0.0/16 proto 143");
  t.match(one.sh("ss -Huln sport = 8285"), "192.0.2.1:8285");

  await until("a ping of full size", () => one.run("ping", "-c1", "-W1", "-Mdo", "-s1444", there).status === 0);
  const { own, peers, problems } = one.status();
  t.match(own, { backend: "udp", device: "flannel0", mtu: 1472 });
  t.ok((own.dataPath?.["sentPackets"] ?? 0) > 0 && (own.dataPath?.["receivedPackets"] ?? 0) > 0);
  t.match(peers, [{ backend: "udp", reach: "yes" }]);
  t.strictSame(problems, []);
  t.match(
    one.runInside([flanneld, "--status", `--subnet-file=${one.subnetFile}`]).stdout,
    /^data path +sent packets \d/m,
  );
  t.match(one.metrics(), /^twill_flanneld_data_path_total\{counter="receivedBytes"\} [1-9]/m);
});

t.test("the loops of daemon and data path come before the threads that carry packets", needsRoot, async (t) => {
  const {
    hosts: [host],
  } = newCluster(t);
  const started = getPriority() + 3;
  const daemon = host.startUnder(["nice", "--adjustment=3"]);
  await daemon.prints(" ready ");
  const [path = 0] = host.dataPaths();
  const threadsOf = (pid: number) =>
    host
      .sh(`ps -L -o tid=,ni=,comm= -p ${pid}`)
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .map(([tid, niceness, name]) => ({ isMain: Number(tid) === pid, niceness: Number(niceness), name }));
  const loopOf = (pid: number) => threadsOf(pid).find(({ isMain }) => isMain)?.niceness;
  const first = Math.min(-10, started);
  t.strictSame([loopOf(daemon.pid), loopOf(path)], [first, first]);
  const carriers = threadsOf(path).filter(({ isMain, name }) => !isMain && name === "flanneld-udp");
  t.strictSame(
    carriers.map(({ niceness }) => niceness),
    [started, started],
  );
});

t.test("no ping is lost while the daemon restarts; a data path that ends comes back", needsRoot, async (t) => {
  const { hosts } = newCluster(t);
  let [daemon] = await Promise.all(hosts.map((host) => host.join()));
  const [one, two] = hosts;
  const there = two.pod();
  const subnet = one.pod();
  await until("a ping", () => one.run("ping", "-c1", "-W1", there).status === 0);
  const [process1] = one.dataPaths();

  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    const pinging = startPinging(t, one.name, there);
    await pinging.answers(3);
    await daemon?.end(signal);
    await pinging.answers(6);
    daemon = await one.join();
    await pinging.answers(9);
    t.match(await pinging.stop(), { lost: 0 }, signal);
    t.strictSame(one.dataPaths(), [process1], "the same process");
    t.match(daemon.printed(), "took over the data path process");
    t.equal(one.pod(), subnet);
  }

  for (const [what, end] of [
    ["it is killed", () => process.kill(process1 ?? 0, "SIGKILL")],
    ["its device is deleted", () => one.sh("ip link delete flannel0")],
  ] as const) {
    const before = one.dataPaths();
    end();
    const next = await until(`another one: ${what}`, () => one.dataPaths().find((pid) => !before.includes(pid)));
    await until("a ping", () => one.run("ping", "-c1", "-W1", there).status === 0);
    t.strictSame(one.dataPaths(), [next], what);
  }
  const before = one.dataPaths();
  one.sh("ip link set flannel0 mtu 1400; ip route del 10.5.0.0/16; ip address flush dev flannel0");
  await until(
    "device and route are repaired",
    () => one.run("ping", "-c1", "-W1", "-Mdo", "-s1444", there).status === 0,
  );
  t.match(daemon?.printed(), "repaired entries that another process had changed");
  for (const name of ["tunnel", "flannel0"]) {
    one.sh(`for name in flannel0 tunnel; do ip link set $name name ${name} 2> /dev/null && break; done`);
    await until(`its name is known: ${name}`, () => one.status().own.device === name);
  }

  for (const host of hosts) host.sh("ip link set eth0 mtu 1400");
  await until("subnet.env follows the interface's MTU", () => one.subnetEnv().includes("FLANNEL_MTU=1372\n"));
  await until("a ping of that size", () => one.run("ping", "-c1", "-W1", "-Mdo", "-s1344", there).status === 0);
  t.strictSame(one.dataPaths(), before, "by the same process");
  one.sh("ip address del 192.0.2.1/24 dev eth0; ip address add 192.0.2.11/24 dev eth0");
  await until("a ping from the new address", () => one.run("ping", "-c1", "-W1", there).status === 0);
  t.match(one.sh("ss -Huln sport = 8285"), "192.0.2.11:8285");
  t.strictSame(one.status().problems, []);
});

t.test("a data path that closes the connection, and lives, is connected to again", needsRoot, async (t) => {
  const { hosts } = newCluster(t);
  const [one] = hosts;
  const daemon = await one.join();
  const before = one.dataPaths();
  writeTo(connectionOf(one), "no JSON\n");
  await daemon.prints("took over the data path process");
  t.strictSame(one.dataPaths(), before);
  await until("it answers", () => one.status().own.dataPath !== null);
});

t.test("a data path that does not answer any more is replaced", inLongRunOnly(needsRoot), async (t) => {
  const { hosts } = newCluster(t);
  const [daemon] = await Promise.all(hosts.map((host) => host.join()));
  const [one, two] = hosts;
  const [hanging = 0] = one.dataPaths();
  process.kill(hanging, "SIGSTOP");
  t.match(one.status(), { own: { dataPath: null } }, "somebody has asked it for its counters");
  await daemon?.prints("ending the data path process, which does not answer within 10 s");
  const next = await until("another one", () => one.dataPaths().find((pid) => pid !== hanging));
  const there = two.pod();
  one.pod();
  await until("a ping", () => one.run("ping", "-c1", "-W1", there).status === 0);
  t.strictSame(one.dataPaths(), [next]);
  process.kill(next, "SIGSTOP");
  await daemon?.end("SIGKILL");
  const another = await one.join();
  t.match(another.printed(), "ending the data path process, which does not answer within 10 s", "at a start as well");
  t.notOk(one.dataPaths().includes(next));
});

t.test("a data path that hangs is told, and ended when another one is needed", inFullRunOnly(needsRoot), async (t) => {
  const { hosts } = newCluster(t);
  const [one] = hosts;
  await one.join();
  const [hanging = 0] = one.dataPaths();
  process.kill(hanging, "SIGSTOP");
  t.match(one.status(), { state: "ready", own: { device: "flannel0", dataPath: null } });
  one.sh("ip address del 192.0.2.1/24 dev eth0; ip address add 192.0.2.11/24 dev eth0");
  await until("another one", () => one.dataPaths().find((pid) => pid !== hanging));
  await until("a socket with the new address", () => one.sh("ss -Huln sport = 8285").includes("192.0.2.11:8285"));
  t.notOk(one.dataPaths().includes(hanging));
});

/** A copy of the daemon, whose data path can be made another build. */
function newBuild(leases: string) {
  const build = join(leases, "..", "build");
  for (const file of ["bin/flanneld", "flanneld.mjs", "flanneld-udp.mjs", "koffi.node"])
    cpSync(join(projectRoot, "dist", file), join(build, file));
  return { flanneld: join(build, "bin/flanneld"), dataPath: join(build, "flanneld-udp.mjs") };
}

t.test("files that are replaced while the daemon runs are for the next one", inFullRunOnly(needsRoot), async (t) => {
  const { hosts, leases } = newCluster(t);
  const [one] = hosts;
  const { flanneld, dataPath } = newBuild(leases);
  const daemon = await one.joinWith(flanneld);
  const before = one.dataPaths();
  appendFileSync(dataPath, "\n");
  one.sh("ip link set flannel0 mtu 1400");
  await daemon.prints("repaired entries");
  t.strictSame(one.dataPaths(), before);
  await daemon.end("SIGTERM");
  const next = await one.joinWith(flanneld);
  t.match(next.printed(), "replacing the data path process: it has another build");
  t.notSame(one.dataPaths(), before);
});

t.test(
  "no ping is lost when another build takes over; what cannot hand over is replaced",
  inFullRunOnly(needsRoot),
  async (t) => {
    const { hosts, leases } = newCluster(t);
    const [one, two] = hosts;
    const { flanneld, dataPath } = newBuild(leases);
    const current = readFileSync(dataPath, "utf8");
    writeFileSync(dataPath, current.replaceAll("handOver", "unheardOf")); // as a build that knows no such request
    let [daemon] = await Promise.all([one.joinWith(flanneld), two.join()]);
    const deviceIndex = () => (one.json("ip", "-j", "link", "show", "flannel0") as { ifindex: number }[])[0]?.ifindex;
    const upgrade = async (text: string) => {
      writeFileSync(dataPath, text);
      await daemon?.end("SIGTERM");
      const before = { pids: one.dataPaths(), index: deviceIndex() };
      daemon = await one.joinWith(flanneld);
      t.equal(one.dataPaths().length, 1);
      t.notSame(one.dataPaths(), before.pids);
      return deviceIndex() === before.index;
    };
    const there = two.pod();
    one.pod();
    t.equal(await upgrade(current), false, "another device");
    t.match(daemon.printed(), /packets are lost while the data path process is replaced.*unknown request/);
    await until("a ping", () => one.run("ping", "-c1", "-W1", there).status === 0);
    const pinging = startPinging(t, one.name, there);
    await pinging.answers(2);
    t.equal(await upgrade(`${current}\n`), true, "the same device");
    await pinging.answers(2);
    t.match(await pinging.stop(), { lost: 0 });
    t.match(daemon.printed(), "carries on with device and socket of the former one");
  },
);

t.test("a data path whose descriptors may not be taken is replaced", inFullRunOnly(needsRoot), async (t) => {
  const cluster = newCluster(t);
  const [one] = cluster.hosts;
  const { isSameDevice, printed } = await upgrade(cluster, ["setpriv", "--bounding-set=-sys_ptrace,-sys_admin"]);
  t.notOk(isSameDevice);
  t.match(printed, /packets are lost while the data path process is replaced.*pidfd_getfd: EPERM.*ptrace_scope/);
  t.equal(one.dataPaths().length, 1);
});

t.test(
  "Yama: with the unit's capabilities a new build takes over, but not with scope 2",
  needsKernel("yama"),
  async (t) => {
    const file = "/proc/sys/kernel/yama/ptrace_scope"; // 3 cannot be taken back, and refuses as 2 does
    const before = readFileSync(file, "utf8");
    t.teardown(() => writeFileSync(file, before));
    const [, capabilities = ""] =
      /^CapabilityBoundingSet=(.*)$/m.exec(readFileSync(join(projectRoot, "conf/flanneld.service"), "utf8")) ?? [];
    const kept = capabilities.split(" ").map((name) => `+${name.replace("CAP_", "").toLowerCase()}`);
    const asInUnit = ["setpriv", `--bounding-set=-all,${kept.join(",")}`];
    for (const [scope, isSame] of [
      ["0", true],
      ["1", true],
      ["2", false],
    ] as const) {
      writeFileSync(file, scope);
      const { isSameDevice } = await upgrade(newCluster(t), asInUnit, asInUnit);
      t.equal(isSameDevice, isSame, `kernel.yama.ptrace_scope=${scope}`);
    }
  },
);

/** Has a daemon of another build start on the first host, and after it the present one. */
async function upgrade({ hosts: [host], leases }: Cluster, under: readonly string[], before: readonly string[] = []) {
  const former = newBuild(leases);
  appendFileSync(former.dataPath, "\n");
  const daemon = await host.joinWith(former.flanneld, before);
  const deviceIndex = () => (host.json("ip", "-j", "link", "show", "flannel0") as { ifindex: number }[])[0]?.ifindex;
  const index = deviceIndex();
  await daemon.end("SIGTERM");
  const next = await host.joinWith(flanneld, under);
  return { isSameDevice: deviceIndex() === index, printed: next.printed() };
}

t.test("another backend while udp runs leaves nothing of it, and so does the way back", needsRoot, async (t) => {
  const { hosts, configure } = newCluster(t);
  const restart = async (signal: "SIGKILL" | "SIGTERM", daemons: readonly Program[]) => {
    await Promise.all(daemons.map((daemon) => daemon.end(signal)));
    return Promise.all(hosts.map((host) => host.join()));
  };
  let daemons: readonly Program[] = await Promise.all(hosts.map((host) => host.join()));
  const [one, two] = hosts;
  const reaches = () => one.run("ping", "-c1", "-W1", two.pod()).status === 0;
  await until("a ping", reaches);
  configure({ Backend: { Type: "host-gw" } });
  daemons = await restart("SIGKILL", daemons);
  await until("a ping by host-gw", reaches);
  for (const host of hosts) {
    await until("the data path has ended", () => host.dataPaths().length === 0); // it may answer for a moment beside the new routes
    await until("its device is gone", () => !host.sh("ip link; ip route").includes("flannel0"));
    await until("its port is free", () => host.sh("ss -Huln sport = 8285") === "");
  }
  configure({ Backend: udp });
  daemons = await restart("SIGTERM", daemons);
  await until("a ping by udp", reaches);
  for (const host of hosts)
    t.match(
      host.sh("ip route show 10.5.0.0/16 table main; ip route show root 10.5.0.0/16"),
      /^10\.5\.0\.0\/16 dev flannel0 proto 143 *$/m,
    );
  t.notMatch(one.sh("ip route"), "via");
});

t.test("leases that lead nowhere are told; hosts that go are forgotten", needsRoot, async (t) => {
  const { hosts, lease } = newCluster(t);
  const [one] = hosts;
  lease("10.5.77.0-24", { PublicIP: "0.0.0.0", PublicIPv6: null });
  lease("10.5.78.0-24", { PublicIP: "10.5.79.9", PublicIPv6: null });
  lease("10.5.81.0-24", { PublicIP: "192.0.2.9", PublicIPv6: null, BackendType: "vxlan" });
  lease("10.5.82.0-24", { PublicIP: "192.0.2.2", PublicIPv6: null });
  await one.join();
  lease("10.5.80.0-24", { PublicIP: "192.0.2.1", PublicIPv6: null });
  await until("all leases are known", () => one.status().peers.length === 5);
  const told = one.status().problems.map(({ text }) => text);
  for (const part of [
    "10.5.77.0-24 cannot be reached: it has no PublicIP",
    "10.5.78.0-24 (10.5.79.9) cannot be reached: its public address 10.5.79.9 is in the cluster network, and no other route than the one into the tunnel leads there",
    "10.5.80.0-24 (192.0.2.1) cannot be reached: its public address 192.0.2.1 is our own",
    '10.5.81.0-24 (192.0.2.9) cannot be reached: its backend is "vxlan", ours is "udp"',
  ])
    t.ok(
      told.some((text) => text.includes(part)),
      part,
    );
  const unreachable = (address: string) => one.run("ping", "-c1", "-W1", address).stdout.includes("Net Unreachable");
  t.ok(unreachable("10.5.77.1"), "there is no such peer");
  t.notOk(unreachable("10.5.82.1"));
  lease("10.5.82.0-24");
  await until("the peer is forgotten", () => unreachable("10.5.82.1"));
  lease("10.5.83.0-24", { PublicIP: "192.0.2.2", PublicIPv6: null });
  await until("another is known", () => !unreachable("10.5.83.1"));
});

const refusals: {
  what: string;
  before?: string;
  after?: string;
  under?: readonly string[];
  rest?: object;
  told: RegExp;
}[] = [
  {
    what: "there is no /dev/net/tun",
    under: ["sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh"],
    told: /there is no \/dev\/net\/tun.*modprobe tun/,
  },
  {
    what: "/dev/net/tun may not be opened",
    under: ["sh", "-c", 'mount -t tmpfs -o nodev none /dev/net && mknod /dev/net/tun c 10 200 && exec "$@"', "sh"],
    told: /\/dev\/net\/tun may not be opened.*--device=\/dev\/net\/tun/,
  },
  {
    what: "the interface's MTU is too small",
    before: "ip link set eth0 mtu 600",
    after: "ip link set eth0 mtu 1500",
    told: /an MTU of 600 \(eth0\) leaves 572 bytes .* raise it to 604/,
  },
  {
    what: "the network has IPv6",
    before: "ip address add fd00:a::1/64 dev eth0 nodad",
    rest: { EnableIPv6: true, IPv6Network: "fd00:5::/48" },
    told: /the backend udp carries IPv4 only, .* use "Backend": \{"Type": "vxlan"\}/,
  },
  {
    what: "the port is taken",
    before: "setsid socat UDP-LISTEN:8285,bind=192.0.2.1,fork /dev/null > /dev/null 2>&1 &",
    told: /UDP port 8285 of 192\.0\.2\.1 is taken by .*socat.*"Port" in the Backend/,
  },
];

t.test("what a host lacks is told, and nothing is half made", inFullRunOnly(needsRoot), async (t) => {
  const { hosts, configure } = newCluster(t);
  const [one] = hosts;
  for (const { what, before = "true", after = "true", under = [], rest = {}, told } of refusals) {
    configure({ Backend: udp, ...rest });
    one.sh(before);
    if (before.includes("socat")) await until("the port is taken", () => one.sh("ss -Huln sport = 8285"));
    const links = one.sh("ip -br link; ip route");
    const daemon = one.startUnder(under);
    await daemon.says(told);
    await until("no process is left", () => one.dataPaths().length === 0);
    t.equal(one.sh("ip -br link; ip route"), links, what);
    await daemon.end("SIGTERM");
    one.sh(after);
  }
});
