// The data path process of the udp backend, built, between two hosts. The other one runs the C program with flannel's wire format, the process itself, or is played by a bare socket.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { compile } from "../../bench/launcher.ts";
import { altered, checksum, data, ipv4Packet, udpPacket } from "../../pkg/flannel/udp-data-path/packet.testing.ts";
import {
  argumentsOf,
  type CounterName,
  type Counters,
  type Hello,
  lineReader,
  offloads,
  type Reply,
  type Request,
  type Settings,
} from "../../pkg/flannel/udp-data-path/protocol.ts";
import { bootMs } from "../../pkg/sys/clock.ts";
import { startPinging } from "../cluster/traffic.ts";
import { until } from "../cluster/until.ts";
import { type Host, newHost } from "../lab/host.ts";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";

const PORT = 8285;
const HOUR_MS = 3_600_000;

/** Host n has 192.0.2.n outside, and 10.1.n.0/24 for its containers. */
type N = 2 | 3;
const otherOf = (n: N): N => (n === 2 ? 3 : 2);
const peerOf = (n: N) => ({ subnet: `10.1.${n}.0/24`, address: `192.0.2.${n}`, port: PORT });

interface Pair {
  hosts: Record<N, Host>;
  directory: string;
}

function newPair(t: Test): Pair {
  const directory = mkdtempSync(join(tmpdir(), "twill-udp-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const hosts = { 2: newHost(t, { containers: 0 }), 3: newHost(t, { containers: 0 }) };
  hosts[2].sh(`ip link add eth0 type veth peer name eth0 netns ${hosts[3].name}`);
  for (const n of [2, 3] as const) {
    hosts[n].sh(`echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
                 ip address add 192.0.2.${n}/24 dev eth0
                 ip link set eth0 up`);
  }
  return { hosts, directory };
}

/** Starts a program on a host. @returns It, and the first line that it prints */
async function started(host: Host, ...command: string[]): Promise<{ child: ChildProcess; line: string }> {
  const child = spawn("ip", ["netns", "exec", host.name, ...command], { stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for await (const chunk of child.stdout) {
    text += chunk;
    if (text.includes("\n")) break;
  }
  return { child, line: text.split("\n")[0] ?? "" };
}

/** What flanneld does with the device. */
const configureDevice = (host: Host, n: N) =>
  host.sh(`ip address add 10.1.${n}.0/32 dev flannel0
           ip link set flannel0 mtu 1472 gso_max_segs 44 up
           ip route add 10.1.0.0/16 dev flannel0`);

interface DataPath {
  child: ChildProcess;
  hello: Hello["hello"];
  socketFile: string;
  /** Connects as a daemon does. */
  daemon(): Promise<Daemon>;
}

interface Daemon {
  hello: unknown;
  ask(request: Request): Promise<Reply>;
  counters(): Promise<Counters>;
  close(): void;
}

const settingsOf = ({ directory }: Pair, n: N, over: Partial<Settings> = {}): Settings => ({
  socket: join(directory, `${n}.sock`),
  device: "flannel0",
  address: `192.0.2.${n}`,
  port: PORT,
  version: "1-test",
  ...over,
});

const script = join(projectRoot, "dist/flanneld-udp.mjs");

/** Starts the process, without a table. */
async function startBare(pair: Pair, n: N, over: Partial<Settings> = {}): Promise<DataPath> {
  const settings = settingsOf(pair, n, over);
  const { child, line } = await started(pair.hosts[n], process.execPath, script, ...argumentsOf(settings));
  const { hello } = JSON.parse(line) as Hello;
  return { child, hello, socketFile: settings.socket, daemon: () => connected(settings.socket) };
}

/** Starts the process, and does what a daemon does then. */
async function start(pair: Pair, n: N, over: Partial<Settings> = {}): Promise<DataPath & { first: Daemon }> {
  const dataPath = await startBare(pair, n, over);
  const first = await dataPath.daemon();
  await first.ask(tableOf(n));
  configureDevice(pair.hosts[n], n);
  return { ...dataPath, first };
}

const tableOf = (n: N, untilMs = bootMs() + HOUR_MS): Request => ({
  peers: [peerOf(otherOf(n))],
  own: peerOf(n).subnet,
  until: untilMs,
});

async function connected(path: string): Promise<Daemon> {
  const socket: Socket = connect(path).setEncoding("utf8");
  const read = lineReader();
  const lines: unknown[] = [];
  const waiting: { resolve(line: unknown): void; reject(error: Error): void }[] = [];
  socket.on("data", (chunk: string) => {
    for (const line of read(chunk)) {
      const next = waiting.shift();
      if (next) next.resolve(line);
      else lines.push(line);
    }
  });
  let error = new Error(`${path} was closed`);
  socket.on("error", (one) => {
    error = one;
  });
  socket.on("close", () => {
    for (const { reject } of waiting.splice(0)) reject(error);
  });
  const nextLine = () =>
    new Promise<unknown>((resolve, reject) => {
      if (lines.length > 0) resolve(lines.shift());
      else if (socket.closed) reject(error);
      else waiting.push({ resolve, reject });
    });
  const ask = async (request: Request) => {
    socket.write(`${JSON.stringify(request)}\n`);
    return (await nextLine()) as Reply;
  };
  return {
    hello: await nextLine(),
    ask,
    async counters() {
      const reply = await ask({ counters: true });
      if (!("counters" in reply)) throw new Error(JSON.stringify(reply));
      return reply.counters;
    },
    close: () => socket.destroy(),
  };
}

/** Starts the C program, whose wire format is flannel's. */
async function startC({ hosts }: Pair, n: N): Promise<ChildProcess> {
  const peer = peerOf(otherOf(n));
  const command = [compile("udp-proxy.c", "udp-proxy"), "flannel0", `192.0.2.${n}`, `${PORT}`, peerOf(n).subnet];
  const { child } = await started(hosts[n], ...command, `${peer.subnet}=${peer.address}`);
  configureDevice(hosts[n], n);
  return child;
}

/** A UDP socket of a host. */
interface Outside {
  send(...packets: (readonly number[])[]): void;
  next(): Promise<number[]>;
}

async function newOutside(t: Test, host: Host, port: number): Promise<Outside> {
  const code = `const socket = require("node:dgram").createSocket("udp4").bind(${port}, () => process.send("ready"));
    socket.on("message", (packet) => process.send([...packet]));
    process.on("message", (packets) => { for (const packet of packets) socket.send(Uint8Array.from(packet), ${PORT}, "192.0.2.2"); });
    process.on("disconnect", () => process.exit());`;
  const child = spawn("ip", ["netns", "exec", host.name, process.execPath, "-e", code], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  t.teardown(() => child.kill());
  await once(child, "message");
  const received: number[][] = [];
  child.on("message", (packet) => received.push(packet as number[]));
  return {
    send: (...packets) => child.send(packets),
    next: () => until("a datagram", () => received.shift()),
  };
}

/** Sends over TCP from one host's overlay address to the other's. @returns Whether it came as it was sent */
async function transfer({ hosts }: Pair, from: N, bytes: number): Promise<boolean> {
  const hash = `require("node:crypto").createHash("sha256")`;
  const server = `const server = require("node:net").createServer({ allowHalfOpen: true }, (socket) => {
      const hash = ${hash};
      socket.on("data", (chunk) => hash.update(chunk)).on("end", () => socket.end(hash.digest("hex"), () => process.exit()));
    }).listen(7777, "10.1.${otherOf(from)}.0", () => console.log("listening"))`;
  const client = `const sent = Buffer.alloc(${bytes}, (i) => 0); for (let i = 0; i < sent.length; i++) sent[i] = (i * 31) ^ (i >> 9);
    const socket = require("node:net").connect(7777, "10.1.${otherOf(from)}.0").setEncoding("utf8"); let answer = "";
    socket.on("data", (text) => answer += text).on("end", () => console.log(answer === ${hash}.update(sent).digest("hex"))).end(sent);`;
  await started(hosts[otherOf(from)], process.execPath, "-e", server);
  return hosts[from].run(process.execPath, "-e", client).stdout.trim() === "true";
}

/** What `ping` reports of one packet. */
function ping(host: Host, to: string, ...options: string[]): string {
  const { stdout, stderr } = host.run("ping", "-c", "1", "-W", "5", ...options, to);
  return `${stdout}${stderr}`;
}
const ANSWERED = /1 received, 0% packet loss/;

t.test("flannel's wire format: the C program and the process carry for each other", needsRoot, async (t) => {
  const pair = newPair(t);
  await startC(pair, 3);
  await start(pair, 2);
  t.match(
    ping(pair.hosts[2], "10.1.3.0"),
    /ttl=62 .*\n\n.*\n1 packets transmitted, 1 received/,
    "the TTL goes down on either side, both ways",
  );
  t.match(ping(pair.hosts[3], "10.1.2.0", "-s", "4000"), ANSWERED, "also in fragments");
  t.ok(await transfer(pair, 2, 5_000_000), "TCP to it");
  t.ok(await transfer(pair, 3, 5_000_000), "TCP from it");
});

t.test("flannel's wire format: one packet, whole and with right checksums, is one datagram", needsRoot, async (t) => {
  const pair = newPair(t);
  await start(pair, 2);
  const outside = await newOutside(t, pair.hosts[3], PORT);
  const pinging = pair.hosts[2].runInsideAtOnce(["ping", "-c", "1", "-W", "60", "-s", "10", "10.1.3.7"]);
  const request = await outside.next();
  t.strictSame([request[0], request[8], request[9]], [0x45, 63, 1], "IPv4, a TTL that is one less, ICMP");
  t.strictSame(request.slice(12, 21), [10, 1, 2, 0, 10, 1, 3, 7, 8]);
  t.equal(request.length, 20 + 8 + 10);
  t.equal(checksum(request.slice(0, 20)), 0);
  const icmp = altered(request.slice(20), 0, 0, 0, 0, 0);
  const sum = checksum(icmp);
  const reply = altered(icmp, 2, sum >> 8, sum & 0xff);
  outside.send(ipv4Packet(1, reply, { source: "10.1.3.7", destination: "10.1.2.0" }));
  t.match(await pinging, { stdout: ANSWERED });
});

const inner = { source: "10.1.3.7", destination: "10.1.2.0" };
const good = udpPacket(data(20), inner);
const refusals: [what: string, datagram: number[], counter: CounterName][] = [
  ["nothing", [], "refusedTruncated"],
  ["19 bytes", good.slice(0, 19), "refusedTruncated"],
  ["less than its length says", good.slice(0, -1), "refusedTruncated"],
  ["more than its length says", [...good, 0], "refusedOversized"],
  ["IPv6", altered(good, 0, 0x60), "refusedNotIPv4"],
  ["an Ethernet frame", [2, 0, 0, 0, 0, 1, ...good], "refusedNotIPv4"],
  ["a header of 16 bytes", altered(good, 0, 0x44), "refusedMalformed"],
  ["a wrong checksum of the header", altered(good, 10, 1, 2), "refusedMalformed"],
  ["a source in no peer's subnet", udpPacket([], { ...inner, source: "10.1.9.1" }), "refusedSource"],
  ["a source of this host", udpPacket([], { ...inner, source: "10.1.2.9" }), "refusedSource"],
  ["a destination elsewhere", udpPacket([], { ...inner, destination: "192.0.2.2" }), "refusedDestination"],
  ["a destination in another subnet", udpPacket([], { ...inner, destination: "10.1.4.1" }), "refusedDestination"],
  ["TTL 1", udpPacket([], { ...inner, ttl: 1 }), "refusedTtlExpired"],
  ["TTL 0", udpPacket([], { ...inner, ttl: 0 }), "refusedTtlExpired"],
];

t.test("what a peer must not send is dropped and counted by its reason", needsRoot, async (t) => {
  const pair = newPair(t);
  const { first } = await start(pair, 2);
  const outside = await newOutside(t, pair.hosts[3], PORT);
  let before = await first.counters();
  for (const [what, datagram, counter] of refusals) {
    outside.send(datagram);
    const after = await until(`${what} to be counted`, async () => {
      const counters = await first.counters();
      return counters[counter] > before[counter] && counters;
    });
    t.strictSame(
      Object.entries(after).flatMap(([name, n]) =>
        n === before[name as CounterName] || /^icmp/.test(name) ? [] : [name],
      ),
      [counter],
      what,
    );
    before = after;
  }
  const error = await outside.next();
  t.strictSame(
    [...error.slice(12, 22)],
    [10, 1, 2, 0, 10, 1, 3, 7, 11, 0],
    "TTL 1 is answered: time exceeded, to its source",
  );
  outside.send(good);
  await until("a good one to be carried", async () => (await first.counters()).receivedPackets === 1);
});

t.test(
  "a flood from who is no peer is counted, takes no memory, and stops nothing",
  inFullRunOnly(needsRoot),
  async (t) => {
    const pair = newPair(t);
    const { first, hello } = await start(pair, 2);
    const memory = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${hello.pid}/status`, "utf8"))?.[1]);
    const stranger = await newOutside(t, pair.hosts[3], 9999);
    const sizes = [0, 20, 1400].map((size) => udpPacket(data(size), inner));
    const flood = Array.from({ length: 3000 }, (_, i) => sizes[i % 3] ?? []);
    stranger.send(...flood);
    const half = await until(
      "half of the flood",
      async () => (await first.counters()).refusedNoPeer >= 1000 && memory(),
    );
    for (let i = 0; i < 5; i++) stranger.send(...flood);
    const peer = await newOutside(t, pair.hosts[3], PORT);
    peer.send(good);
    await until("the peer's packet", async () => (await first.counters()).receivedPackets === 1);
    const counters = await until("most of the flood", async () => {
      const all = await first.counters();
      return all.refusedNoPeer >= 10_000 && all;
    });
    t.equal(counters.receivedPackets, 1);
    t.ok(memory() < half + 20_000, `${memory()} kB, earlier ${half}`);
  },
);

t.test(
  "packets that go nowhere are answered as a router would, fragments but the first are not",
  inFullRunOnly(needsRoot),
  async (t) => {
    const pair = newPair(t);
    const [{ first }] = [await start(pair, 2), await start(pair, 3)];
    const [host] = [pair.hosts[2]];
    t.match(ping(host, "10.1.9.9"), /From 10\.1\.2\.0 icmp_seq=1 Destination Net Unreachable/);
    t.match(
      ping(host, "10.1.2.99"),
      /From 10\.1\.2\.0 icmp_seq=1 Destination Net Unreachable/,
      "its own subnet, without a container",
    );
    t.match(ping(host, "10.1.3.0", "-t", "1"), /From 10\.1\.2\.0 icmp_seq=1 Time to live exceeded/);
    t.match(
      ping(host, "10.1.3.0", "-t", "2"),
      /From 10\.1\.3\.0 icmp_seq=1 Time to live exceeded/,
      "told by the other host",
    );
    const before = await first.counters();
    t.match(ping(host, "10.1.9.9", "-s", "4000", "-W", "1"), /Destination Net Unreachable/);
    const after = await first.counters();
    t.strictSame(
      [
        after.droppedNoRoute - before.droppedNoRoute,
        after.icmpSent - before.icmpSent,
        after.icmpSuppressed - before.icmpSuppressed,
      ],
      [3, 1, 2],
    );
  },
);

t.test(
  "a path with a smaller MTU: fragmentation needed with DF, else fragments, and TCP adapts",
  inFullRunOnly(needsRoot),
  async (t) => {
    const pair = newPair(t);
    await start(pair, 2);
    await start(pair, 3);
    pair.hosts[2].sh("ip route add 192.0.2.3/32 dev eth0 mtu 1300");
    t.match(ping(pair.hosts[2], "10.1.3.0", "-M", "do", "-s", "1400"), /Frag needed and DF set \(mtu = 1272\)/);
    t.match(ping(pair.hosts[2], "10.1.3.0", "-M", "do", "-s", "1244"), ANSWERED, "what fits");
    pair.hosts[2].sh("ip route flush cache");
    t.match(ping(pair.hosts[2], "10.1.3.0", "-M", "dont", "-s", "1400"), ANSWERED);
    t.ok(await transfer(pair, 2, 5_000_000));
  },
);

t.test("without the kernel's offloads packets are carried one by one", inFullRunOnly(needsRoot), async (t) => {
  const pair = newPair(t);
  const plain = await start(pair, 2, { without: offloads });
  const other = await start(pair, 3);
  t.strictSame([plain.hello.offloads, other.hello.offloads], [[], [...offloads]]);
  t.match(ping(pair.hosts[2], "10.1.3.0", "-s", "4000"), ANSWERED);
  t.ok(await transfer(pair, 2, 5_000_000));
  t.ok(await transfer(pair, 3, 5_000_000));
});

/** Exit status and signal. */
async function ended({ child }: { child: ChildProcess }): Promise<unknown> {
  await until("its end", () => child.exitCode !== null || child.signalCode !== null);
  return [child.exitCode, child.signalCode];
}
const hasDevice = (host: Host) => host.run("ip", "link", "show", "flannel0").status === 0;

t.test(
  "traffic goes on while no daemon is connected, and the next one takes the process over",
  needsRoot,
  async (t) => {
    const pair = newPair(t);
    await start(pair, 3);
    const path = await start(pair, 2);
    t.equal(statSync(path.socketFile).mode & 0o777, 0o600);
    path.first.close();
    t.match(ping(pair.hosts[2], "10.1.3.0"), ANSWERED);
    const second = await path.daemon();
    t.strictSame(second.hello, { hello: path.hello });
    t.match(await second.ask({ change: { remove: ["10.1.3.0/24"] } }), { done: true });
    t.match(
      ping(pair.hosts[2], "10.1.3.0"),
      /Destination Net Unreachable/,
      "a change is in effect when it is answered",
    );
    t.match(await second.ask({ change: { set: [peerOf(3)] } }), { done: true });
    t.match(ping(pair.hosts[2], "10.1.3.0"), ANSWERED);
    t.strictSame(await second.ask({ change: { set: [{ ...peerOf(3), subnet: "10.1.3.0" }] } }), {
      error: '"10.1.3.0" is no IPv4 subnet',
    });
    t.strictSame(await second.ask({} as Request), { error: "unknown request {}" });
    t.match(ping(pair.hosts[2], "10.1.3.0"), ANSWERED, "what was refused has changed nothing");
  },
);

t.test(
  "a successor carries on with the same device and socket, before the former process ends",
  needsRoot,
  async (t) => {
    const pair = newPair(t);
    await start(pair, 3);
    const path = await start(pair, 2);
    const pinging = startPinging(t, pair.hosts[2].name, "10.1.3.0");
    await pinging.answers(2);
    const sockets = () => pair.hosts[2].sh("ss -Hulne sport = 8285").match(/ino:\d+/g);
    const before = sockets();
    const next = await startBare(pair, 2, { takeover: true, version: "1-next" });
    t.strictSame(await ended(path), [0, null]);
    await pinging.answers(2);
    t.match(await pinging.stop(), { lost: 0 });
    t.strictSame(next.hello, { ...path.hello, version: "1-next", pid: next.hello.pid });
    t.strictSame(sockets(), before);
    const daemon = await next.daemon();
    t.ok(
      (await daemon.counters()).receivedPackets >= 2,
      "with the table of the former process, no daemon has sent one",
    );
    await daemon.ask({ stop: true });
    t.strictSame(await ended(next), [0, null]);
    t.strictSame([hasDevice(pair.hosts[2]), existsSync(path.socketFile)], [false, false]);
  },
);

t.test(
  "a successor carries on when the daemon that started it has ended meanwhile",
  inFullRunOnly(needsRoot),
  async (t) => {
    const pair = newPair(t);
    await start(pair, 3);
    const path = await start(pair, 2);
    const settings = settingsOf(pair, 2, { takeover: true });
    const command = ["netns", "exec", pair.hosts[2].name, process.execPath, script, ...argumentsOf(settings)];
    const child = spawn("ip", command, { stdio: ["ignore", "pipe", "inherit"] });
    child.stdout.destroy();
    t.strictSame(await ended(path), [0, null]);
    await until("it listens", () => existsSync(path.socketFile));
    t.match(ping(pair.hosts[2], "10.1.3.0"), ANSWERED);
    const daemon = await connected(path.socketFile);
    t.match(await daemon.ask({ stop: true }), { done: true });
    t.strictSame(await ended({ child }), [0, null]);
  },
);

t.test(
  "a successor that cannot listen ends, though it carries packets already, and leaves nothing",
  inFullRunOnly(needsRoot),
  async (t) => {
    const pair = newPair(t);
    const path = await start(pair, 2);
    const readOnly = `mount --bind ${pair.directory} ${pair.directory} && mount -o remount,bind,ro ${pair.directory}`;
    t.match(await refusal(pair, { takeover: true }, "sh", "-c", `${readOnly} && exec "$@"`, "sh"), {
      status: 1,
      error: /^cannot listen on .*2\.sock: .*EROFS.* To fix: make its directory writable/,
    });
    t.strictSame(await ended(path), [0, null]);
    t.notOk(hasDevice(pair.hosts[2]));
  },
);

t.test("a successor that cannot take over changes nothing", inFullRunOnly(needsRoot), async (t) => {
  const pair = newPair(t);
  t.match(await refusal(pair, { takeover: true }), {
    status: 1,
    error: /^cannot take over from the data path process on .*2\.sock: connect ENOENT/,
  });
  const path = await startBare(pair, 2);
  t.match(await refusal(pair, { takeover: true }), { error: /2\.sock: it has no table of peers yet$/ });
  const daemon = await path.daemon();
  t.match(await daemon.ask(tableOf(2)), { done: true });
  const asleep = await path.daemon();
  process.kill(path.hello.pid, "SIGSTOP");
  t.match(await refusal(pair, { takeover: true }), { error: /2\.sock: no answer within 5 s$/ });
  process.kill(path.hello.pid, "SIGCONT");
  t.strictSame(asleep.hello, { hello: path.hello });
  t.ok(hasDevice(pair.hosts[2]));
});

t.test("no packet to a peer is lost while thousands of others come and go", needsRoot, async (t) => {
  const pair = newPair(t);
  await start(pair, 3);
  const { first } = await start(pair, 2);
  const before = await first.counters();
  const pinging = startPinging(t, pair.hosts[2].name, "10.1.3.0");
  await pinging.answers(1);
  const all = Array.from({ length: 4000 }, (_, i) => `10.${16 + (i >> 8)}.${i & 0xff}.0/24`);
  for (let round = 1; round <= 5; round++) {
    const set = all.map((subnet) => ({ subnet, address: `192.0.2.${100 + round}`, port: PORT }));
    t.match(await first.ask({ change: { set: [...set, peerOf(3)] } }), { done: true });
    t.match(await first.ask({ change: { remove: all } }), { done: true });
    await pinging.answers(1 + round);
  }
  t.match(await pinging.stop(), { lost: 0 });
  const after = await first.counters();
  t.strictSame([after.droppedNoRoute, after.refusedNoPeer], [before.droppedNoRoute, before.refusedNoPeer]);
});

const ends: [what: string, end: (path: DataPath & { first: Daemon }, host: Host) => unknown][] = [
  ["it is told to stop", ({ first }) => first.ask({ stop: true })],
  ["SIGTERM comes", ({ hello }) => process.kill(hello.pid, "SIGTERM")],
  ["its device is deleted", (_, host) => host.sh("ip link del flannel0")],
  ["the time after the daemon's clean end is over", ({ first }) => first.ask({ detach: { forMs: 0 } })],
  [
    "the daemon is killed, and the lease ends",
    async ({ first }) => {
      await first.ask({ until: bootMs() + 100 });
      first.close();
    },
  ],
  [
    "the lease ends without a daemon, though somebody looks at the counters",
    async ({ first, daemon }) => {
      await (await daemon()).counters();
      await first.ask({ until: 0 });
      first.close();
    },
  ],
];

t.test("it ends, and leaves nothing, so that the next one can start", needsRoot, async (t) => {
  const pair = newPair(t);
  for (const [what, end] of ends) {
    const path = await start(pair, 2);
    await end(path, pair.hosts[2]);
    t.strictSame(await ended(path), [0, null], what);
    t.strictSame([hasDevice(pair.hosts[2]), existsSync(path.socketFile)], [false, false]);
  }
});

/** What it prints when it cannot start. */
async function refusal(pair: Pair, over: Partial<Settings>, ...under: string[]): Promise<unknown> {
  const command = [process.execPath, script, ...argumentsOf(settingsOf(pair, 2, over))];
  const { child, line } = await started(pair.hosts[2], ...under, ...command);
  await ended({ child });
  return { status: child.exitCode, ...(JSON.parse(line) as object) };
}

t.test(
  "what it cannot start with is named with the remedy, and nothing is left",
  inFullRunOnly(needsRoot),
  async (t) => {
    const pair = newPair(t);
    const { directory, hosts } = pair;
    const free = { socket: join(directory, "free.sock"), port: 9000, device: "flannel1" };
    await startC(pair, 2);
    t.match(await refusal(pair, { ...free, port: PORT }), {
      status: 1,
      error:
        /^UDP port 8285 of 192\.0\.2\.2 is taken by udp-proxy \(process \d+\)\. To fix: end it, or set another "Port"/,
    });
    t.match(await refusal(pair, { ...free, device: "flannel0" }), {
      error: /^another program has the TUN device flannel0 open, .* To fix: end that program/,
    });
    t.match(await refusal(pair, { ...free, device: "eth0" }), {
      error:
        "there is a link eth0 that is no TUN device. To fix: see what it is (ip -d link show eth0), and delete or rename it",
    });
    t.match(await refusal(pair, { ...free, address: "192.0.2.77" }), {
      error: /^this host has no address 192\.0\.2\.77\. To fix: /,
    });
    t.match(await refusal(pair, free, "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh"), {
      error: /^there is no \/dev\/net\/tun, which the udp backend needs\. To fix: load the module \(modprobe tun\)/,
    });
    t.match(await refusal(pair, free, "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"), {
      error: /^\/dev\/net\/tun may not be opened, .* To fix: run flanneld as root/,
    });
    const running = await startBare(pair, 2, free);
    t.match(await refusal(pair, { ...free, socket: join(directory, "other.sock"), device: "flannel2" }), {
      error: `UDP port 9000 of 192.0.2.2 is taken by the data path (process ${running.hello.pid}) of a flanneld with another --subnet-file`,
    });
    t.match(await refusal(pair, { ...free, device: "flannel2", port: 9001 }), {
      error: /^another data path process listens on .*free\.sock\. To fix: /,
    });
    t.match(JSON.stringify(hosts[2].json("ip", "-j", "link")), /^((?!flannel2).)*$/);
    process.kill(running.hello.pid, "SIGKILL");
    await ended(running);
    t.ok(existsSync(free.socket));
    const again = await startBare(pair, 2, free);
    t.ok(again.hello.pid !== running.hello.pid, "a socket that a killed process has left is no obstacle");
  },
);
