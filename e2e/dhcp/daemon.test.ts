// What the daemon does beside leases: whom it listens to, what it sends, what it bears.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import { testSeed } from "../../pkg/sys/random.testing.ts";
import { needsRoot } from "../lab/needs.ts";
import { ourBin } from "../lab/project.ts";
import { newLab } from "./lab.ts";

const daemon = (...args: string[]) =>
  spawnSync(join(ourBin, "dhcp"), ["daemon", ...args], { encoding: "utf8", timeout: 10_000 });

t.test("flags are Go's, with one dash or two", needsRoot, async (t) => {
  t.match(daemon("-h"), { status: 0, stderr: /^Usage: dhcp daemon/ });
  t.match(daemon("-colour"), { status: 2, stderr: /^dhcp daemon: flag provided but not defined: -colour\n/ });
  t.match(daemon("-timeout", "10"), {
    status: 2,
    stderr: /^dhcp daemon: invalid value "10" for flag -timeout: must be a duration/,
  });
  t.match(daemon("--pidfile=x.pid"), {
    status: 2,
    stderr: /^dhcp daemon: Error writing pidfile "x.pid": path not absolute\n/,
  });
  const lab = await newLab(t, { flags: ["--broadcast=true", "-timeout=1m30s", "--resendmax", "500ms"] });
  t.match(lab.cni("STATUS"), { status: 0 });
});

t.test("socket and PID file are there while it runs, for root alone, and gone afterwards", needsRoot, async (t) => {
  const lab = await newLab(t);
  await lab.daemon.stop();
  t.equal(existsSync(lab.socket), false);
  const pidFile = join(lab.dir, "dhcp.pid");
  const umask = process.umask(0);
  const running = await lab.startDaemon("-pidfile", pidFile).finally(() => process.umask(umask));
  t.equal(statSync(lab.socket).mode & 0o777, 0o600, "whatever the umask");
  t.equal(readFileSync(pidFile, "utf8"), String(running.pid));
  t.equal(statSync(pidFile).mode & 0o777, 0o644);
  const second = daemon("-socketpath", lab.socket);
  t.match(second, {
    status: 1,
    stderr: /Error getting listener: another daemon listens on .*dhcp\.sock\n.*To fix: stop that daemon/,
  });
  t.equal(await running.stop("SIGINT"), 0);
  t.strictSame([existsSync(lab.socket), existsSync(pidFile)], [false, false]);
});

t.test("systemd's socket is taken, and left in place", needsRoot, async (t) => {
  const lab = await newLab(t);
  await lab.daemon.stop();
  const server = createServer();
  t.teardown(() => server.close());
  await new Promise<void>((resolve) => server.listen(lab.socket, resolve));
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  const activated = (count: number) =>
    spawn(
      "sh",
      ["-c", `LISTEN_PID=$$ LISTEN_FDS=${count} exec "$0" daemon -socketpath "$1"`, join(ourBin, "dhcp"), lab.socket],
      {
        stdio: ["ignore", "ignore", "pipe", fd],
      },
    );
  const child = activated(1);
  t.teardown(() => child.kill("SIGKILL"));
  let said = "";
  child.stderr?.on("data", (chunk) => {
    said += chunk;
  });
  t.match(lab.cni("STATUS"), { status: 0, stdout: "" }, "who came before it was ready has waited"); // meanwhile this process does not accept
  child.kill();
  t.equal(await new Promise((resolve) => child.on("close", resolve)), 0, said);
  t.equal(existsSync(lab.socket), true);
  const many = activated(2);
  let refusal = "";
  many.stderr?.on("data", (chunk) => {
    refusal += chunk;
  });
  t.equal(await new Promise((resolve) => many.on("close", resolve)), 1);
  t.match(refusal, "Too many (2) FDs passed through socket activation");
});

t.test("options of the configuration and of CNI_ARGS reach the server", needsRoot, async (t) => {
  const lab = await newLab(t);
  const server = await lab.startServer({ dnsmasq: [] });
  const provide = [
    { option: "host-name", fromArg: "K8S_POD_NAME" },
    { option: "vendor-class-identifier", value: "twill-test" },
    { option: "77", value: "class-a", fromArg: "ABSENT" },
    { option: "12", fromArg: "ALSO_ABSENT" },
  ];
  const request = [{ option: "42" }, { option: "host-name" }];
  const call = { args: "IgnoreUnknown=1;K8S_POD_NAME=web-1;X=a=b" };
  t.match(lab.cni("ADD", lab.network({ provide, request, priority: 50 }), call), {
    status: 0,
    stdout: { routes: [{ dst: "0.0.0.0/0", gw: "10.77.0.1", priority: 50 }] },
  });
  const said = server.output();
  for (const wanted of ["client provides name: web-1", "vendor class: twill-test", "user class: class-a"])
    t.match(said, wanted);
  t.match(said.replace(/\n.*requested options: /g, " "), /1:netmask, 121:.*3:router.*42:ntp-server, *12:hostname/);
  lab.cni("DEL");

  const only = [{ skipDefault: true, option: "1" }, { option: "3" }];
  const from = server.output().length;
  t.match(lab.cni("ADD", lab.network({ request: only })), { status: 0 });
  t.match(server.output().slice(from), /requested options: 1:netmask, 3:router\s*\n/);
  lab.cni("DEL");

  const named = [{ option: "dhcp-client-identifier", value: "\u0001me" }];
  t.match(lab.cni("ADD", lab.network({ provide: named })), { status: 0 });
  t.match(readFileSync(join(lab.dir, "dnsmasq.leases"), "utf8"), / 01:6d:65\n/);
});

t.test("a wrong option is refused before anybody is asked", needsRoot, async (t) => {
  const lab = await newLab(t);
  const refused = (ipam: object, args = "") => lab.cni("ADD", lab.network(ipam), { args }).stdout;
  t.match(refused({ provide: [{ option: "doNotparseMe", value: "x" }] }), {
    code: 7,
    msg: 'Can not parse option "doNotparseMe"',
    details: /To fix: use one of dhcp-client-identifier, .*, or a number up to 255/,
  });
  t.match(refused({ request: [{ option: "256" }] }), { code: 7, msg: 'Can not parse option "256"' });
  t.match(refused({ provide: [{ option: "12", fromArg: "N" }] }, `N=${"x".repeat(256)}`), {
    code: 7,
    msg: /^value too long for option "12" from CNI_ARGS "N"/,
  });
  const { ipam: _, ...without } = lab.network();
  t.match(lab.cni("ADD", without).stdout, { code: 7, msg: '"ipam" is missing' });
  t.notMatch(lab.daemon.output(), "searching for a lease");
});

t.test("routes of options 33 and 121, and the MTU", needsRoot, async (t) => {
  const lab = await newLab(t, { containers: 2 });
  const classful = await lab.startServer({
    udhcpd: ["opt router 10.77.0.1", "opt routes 192.168.5.0 10.77.0.5", "opt mtu 1400"],
  });
  t.match((lab.cni("ADD").stdout as { routes: unknown }).routes, [
    { dst: "192.168.5.0/24", gw: "10.77.0.5" },
    { dst: "0.0.0.0/0", gw: "10.77.0.1" },
  ]);
  t.match(lab.node.containers[0]?.sh("ip link show eth0"), "mtu 1400");
  await classful.stop();
  await lab.startServer({
    udhcpd: [
      "opt router 10.77.0.1",
      "opt routes 192.168.5.0 10.77.0.5",
      "opt staticroutes 10.9.0.0/16 0.0.0.0, 0.0.0.0/0 10.77.0.9",
      "opt mtu 9000",
    ],
  });
  t.strictSame((lab.cni("ADD", lab.network(), { container: 1 }).stdout as { routes: unknown }).routes, [
    { dst: "10.9.0.0/16", gw: "0.0.0.0", scope: 253 },
    { dst: "0.0.0.0/0", gw: "10.77.0.9" },
  ]);
  t.match(lab.node.containers[1]?.sh("ip link show eth0"), "mtu 1500", "it is not raised");
});

t.test("an address that somebody has is declined, and another one is had", needsRoot, async (t) => {
  const lab = await newLab(t, { containers: 2 });
  const [victim, squatter] = lab.node.containers;
  victim?.sh("ip link set eth0 address 02:00:00:00:00:01");
  squatter?.sh("ip address add 10.77.0.10/24 dev eth0; ip link set eth0 up");
  const server = await lab.startServer({
    dnsmasq: ["--dhcp-host=02:00:00:00:00:01,10.77.0.10"],
    range: "10.77.0.20,10.77.0.30,120",
  });
  const { status, stdout } = lab.cni("ADD");
  t.match({ status, stdout }, { status: 0, stdout: { ips: [{ address: /^10\.77\.0\.[23]\d\/24$/ }] } });
  t.match(server.output(), "DHCPDECLINE(br0) 10.77.0.10");
  t.match(lab.daemon.output(), "another host uses 10.77.0.10: declined");
});

t.test("a runtime that gives up ends the search", needsRoot, async (t) => {
  const lab = await newLab(t);
  const given = lab.cniAtOnce("ADD", lab.network(), { timeoutMs: 1500 });
  await lab.daemon.until(/searching for a lease/);
  t.match(await given, { signal: "SIGKILL" });
  await lab.daemon.until(/container-0\/net\/eth0: no caller waits for it/);
});

t.test("two ADDs of one container share a search, and DEL ends it for both", needsRoot, async (t) => {
  const lab = await newLab(t);
  const both = [lab.cniAtOnce("ADD"), lab.cniAtOnce("ADD")];
  await lab.daemon.until(/searching for a lease/);
  await new Promise<void>((resolve) => {
    const look = () => (openFiles(lab.daemon.pid, "socket") >= 5 ? resolve() : setImmediate(look)); // listener, two callers, two packet sockets
    look();
  });
  t.equal(lab.daemon.output().match(/searching for a lease/g)?.length, 1);
  t.match(await lab.cniAtOnce("DEL"), { status: 0 });
  for (const one of both)
    t.match(await one, { status: 1, stdout: { code: 999, msg: "error calling DHCP.Allocate: released" } });
});

const openFiles = (pid: number, kind: string): number =>
  spawnSync("ls", ["-l", `/proc/${pid}/fd`], { encoding: "utf8" })
    .stdout.split("\n")
    .filter((line) => line.includes(kind)).length;

t.test("forty containers at once", needsRoot, async (t) => {
  const lab = await newLab(t, { containers: 40 });
  await lab.startServer({ dnsmasq: [] });
  const calls = (verb: "ADD" | "DEL") =>
    Promise.all(lab.node.containers.map((_, container) => lab.cniAtOnce(verb, lab.network(), { container })));
  const results = await calls("ADD");
  t.strictSame(
    results.filter(({ status }) => status !== 0),
    [],
  );
  const addresses = results.map(({ stdout }) => (stdout as { ips: { address: string }[] }).ips[0]?.address);
  t.equal(new Set(addresses).size, 40);
  t.strictSame(
    (await calls("DEL")).filter(({ status }) => status !== 0),
    [],
  );
});

/** Sends nonsense to every client, from the server's port. */
const babbler = `
const socket = require("node:dgram").createSocket({ type: "udp4", reuseAddr: true });
let state = Number(process.argv[1]);
const random = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};
socket.bind(67, () => {
  socket.setBroadcast(true);
  const next = (left) => {
    if (left === 0) return socket.close();
    const bytes = Buffer.alloc(random(4) === 0 ? random(240) : 240 + random(700), 0);
    for (let i = 0; i < bytes.length; i++) if (i >= 240 || random(3) === 0) bytes[i] = random(256);
    if (bytes.length > 240) { bytes[0] = 2; bytes.writeUInt32BE(0x63825363, 236); }
    socket.send(bytes, 68, "255.255.255.255", () => next(left - 1));
  };
  next(2000);
});`;

t.test("nonsense on the network and on the socket changes nothing", needsRoot, async (t) => {
  const seed = testSeed();
  const lab = await newLab(t, { containers: 2 });
  lab.node.containers[1]?.sh(
    "ip address add 10.77.0.66/24 dev eth0; ip link set eth0 up; ip route add default dev eth0",
  );
  const waiting = lab.cniAtOnce("ADD");
  await lab.daemon.until(/searching for a lease/);
  t.match(lab.node.containers[1]?.run("node", "-e", babbler, String(seed)), { status: 0, stderr: "" }, `seed ${seed}`);
  for (const text of ["GET / HTTP/1.1\r\n\r\n", "CONNECT /_goRPC_ HTTP/1.0\n\n\x02\x40\x00", "x".repeat(9000), ""])
    await say(lab.socket, text);
  await lab.startServer({ dnsmasq: [] });
  t.match(await waiting, { status: 0, stdout: { ips: [{ address: /^10\.77/ }] } });
  t.match(lab.cni("STATUS"), { status: 0 });
});

function say(path: string, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.end(text));
    socket.on("close", () => resolve());
    socket.on("error", reject);
    socket.resume();
  });
}

t.test("in a container, paths of the host begin elsewhere", needsRoot, async (t) => {
  const lab = await newLab(t);
  await lab.daemon.stop();
  const prefix = join(lab.dir, "host");
  spawnSync("mkdir", ["-p", prefix]);
  spawnSync("ln", ["-s", "/run", join(prefix, "run")]);
  spawnSync("ln", ["-s", lab.dir, join(prefix, "sock")]);
  const elsewhere = await lab.startDaemon("-hostprefix", prefix, "-socketpath", "/sock/dhcp.sock");
  await lab.startServer({ dnsmasq: [] });
  t.match(lab.cni("ADD"), { status: 0 });
  t.match(elsewhere.output(), `listening on ${prefix}/sock/dhcp.sock`);
});

t.test("a bound lease holds no socket, and nothing of the namespace", needsRoot, async (t) => {
  const lab = await newLab(t, { containers: 3 });
  await lab.startServer({ dnsmasq: [] });
  t.match(lab.cni("STATUS"), { status: 0 });
  const before = openFiles(lab.daemon.pid, "->");
  for (const container of [0, 1, 2]) t.match(lab.cni("ADD", lab.network(), { container }), { status: 0 });
  await new Promise<void>((resolve) => {
    const look = () => (openFiles(lab.daemon.pid, "->") <= before ? resolve() : setImmediate(look)); // the second process closes them
    look();
  });
  t.ok(openFiles(lab.daemon.pid, "->") <= before);
});
