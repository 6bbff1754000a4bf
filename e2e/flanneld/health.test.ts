// What the daemon answers over HTTP: real ports, real sockets, and curl as the client.
import { execFile } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import t from "tap";
import { type HealthHandlers, type HealthServer, startHealth } from "../../cmd/flanneld/health.ts";
import { createMetrics } from "../../cmd/flanneld/metrics.ts";
import { AF_UNIX, unixAddress } from "../../cmd/flanneld/notify-socket.ts";
import type { StatusReport } from "../../cmd/flanneld/status/format.ts";
import { writeDaemonState } from "../../pkg/subnet-env/daemon-state.ts";
import { closeFile } from "../../pkg/sys/file.ts";
import { bindSocket, openSocket } from "../../pkg/sys/socket.ts";
import { freePort } from "../lab/free-port.ts";

const SOCK_STREAM = 1;

const report: StatusReport = {
  version: "1.2.3",
  pid: 42,
  since: "2026-01-31T12:00:00.000Z",
  state: "waiting",
  reason: "no network configuration",
  store: { description: "a folder", connected: true, trouble: null },
  own: null,
  peers: [],
  problems: [],
};

const answersOf = (changes: Partial<HealthHandlers> = {}): HealthHandlers => ({
  isReady: () => false,
  status: async () => report,
  metrics: createMetrics("1.2.3"),
  ...changes,
});

interface Test {
  teardown(work: () => unknown): unknown;
}

function newFolder(t: Test): { subnetFile: string; socket: string } {
  const folder = mkdtempSync(join(tmpdir(), `twill-health-${process.pid}-`));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return { subnetFile: join(folder, "run", "subnet.env"), socket: join(folder, "run", "subnet.sock") };
}

interface Started extends HealthServer {
  subnetFile: string;
  socket: string;
  port: number;
}

async function start(t: Test, answers: HealthHandlers, ip = "127.0.0.1"): Promise<Started> {
  const { subnetFile, socket } = newFolder(t);
  const port = await freePort(ip);
  const server = await startHealth({ subnetFile, health: { ip, port, isDefault: false } }, answers);
  t.teardown(() => server.close());
  return { ...server, subnetFile, socket, port };
}

const listen = (server: Server, ip: string): Promise<Server> =>
  new Promise((resolve) => {
    server.listen(0, ip, () => resolve(server));
  });

/** @returns "code type", then the body */
function curl(...args: string[]): Promise<string[]> {
  return new Promise((resolve) => {
    const command = ["-s", "-m", "10", "-w", "\n%{http_code} %{content_type}", ...args];
    execFile("curl", command, (_, stdout) => {
      const end = stdout.lastIndexOf("\n");
      resolve([stdout.slice(end + 1), stdout.slice(0, end)]);
    });
  });
}

t.test("probes get flannel's texts, on the port and on the socket", async (t) => {
  let ready = false;
  const { port, socket } = await start(t, answersOf({ isReady: () => ready }));
  const text = "text/plain; charset=utf-8";
  for (const place of [[`http://127.0.0.1:${port}`], ["--unix-socket", socket, "http://flanneld"]]) {
    const get = (path: string) => curl(...place.slice(0, -1), `${place.at(-1)}${path}`);
    ready = false;
    t.strictSame(await get("/healthz"), [`200 ${text}`, "flanneld is running"]);
    t.strictSame(await get("/readyz"), [`503 ${text}`, "flanneld is not ready yet"]);
    ready = true;
    t.strictSame(await get("/readyz?verbose"), [`200 ${text}`, "flanneld is ready"]);
    t.strictSame(await get("/status"), ["200 application/json", `${JSON.stringify(report)}\n`]);
    const [head, metrics] = await get("/metrics");
    t.equal(head, "200 text/plain; version=0.0.4; charset=utf-8");
    t.match(metrics, /^twill_flanneld_build_info\{version="1\.2\.3"/m);
    t.strictSame(await get("/debug/pprof"), [
      `404 ${text}`,
      'flanneld has no page "/debug/pprof": /healthz, /readyz, /metrics, /status\n',
    ]);
  }
});

t.test("nothing can be changed", async (t) => {
  const { port } = await start(t, answersOf());
  const [head, body] = await curl("-d", "x", `http://127.0.0.1:${port}/healthz`);
  t.equal(head, "405 text/plain; charset=utf-8");
  t.equal(body, "flanneld answers GET and HEAD only\n");
  t.match(await curl("-I", `http://127.0.0.1:${port}/healthz`), ["200 text/plain; charset=utf-8"]);
});

t.test("a status that fails is an answer", async (t) => {
  const failing = async () => {
    throw new Error("the kernel does not answer");
  };
  const { port } = await start(t, answersOf({ status: failing }));
  t.match(await curl(`http://127.0.0.1:${port}/status`), [/^500/, "flanneld: the kernel does not answer\n"]);
  t.match(await curl(`http://127.0.0.1:${port}/healthz`), [/^200/]);
});

t.test("who asks for the status while it is made gets the same one", async (t) => {
  let asked = 0;
  const status = () => {
    asked++;
    return new Promise<StatusReport>((resolve) => setImmediate(resolve, report));
  };
  const { socket } = await start(t, answersOf({ status }));
  const request = "GET /status HTTP/1.1\r\nHost: x\r\n";
  const answered = await talk(socket, `${request}\r\n${request}Connection: close\r\n\r\n`);
  t.equal(answered.split(JSON.stringify(report)).length - 1, 2);
  t.equal(asked, 1);
});

/** @returns all that comes back until the other side closes */
function talk(socket: string, said: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = "";
    connect(socket)
      .setEncoding("utf8")
      .on("data", (text: string) => {
        heard += text;
      })
      .on("close", () => resolve(heard))
      .on("error", reject)
      .write(said);
  });
}

t.test("the socket is root's alone, and gone with the daemon", async (t) => {
  const { subnetFile, socket } = newFolder(t);
  const server = await startHealth({ subnetFile, health: undefined }, answersOf());
  t.equal(lstatSync(socket).mode & 0o777, 0o600);
  await server.close();
  t.notOk(existsSync(socket));
});

t.test("a dead daemon's socket is replaced", async (t) => {
  const { subnetFile, socket } = newFolder(t);
  mkdirSync(dirname(socket));
  const dead = openSocket(AF_UNIX, SOCK_STREAM, 0);
  bindSocket(dead, unixAddress(socket) ?? new Uint8Array());
  closeFile(dead);
  const server = await startHealth({ subnetFile, health: undefined }, answersOf());
  t.teardown(() => server.close());
  t.match(await curl("--unix-socket", socket, "http://flanneld/healthz"), [/^200/]);
});

t.test("a living daemon's socket is left alone, and the daemon named", async (t) => {
  const { subnetFile, socket } = await start(t, answersOf());
  const second = () => startHealth({ subnetFile, health: undefined }, answersOf());
  const remedy = `uses subnet file ${subnetFile}. To fix: stop that one first, or give this one its own --subnet-file`;
  await t.rejects(second(), { name: "CannotListen", message: `another flanneld ${remedy}` });
  writeDaemonState(subnetFile, { pid: 4711, since: report.since, state: "ready", reason: "it has 10.5.3.0/24" });
  await t.rejects(second(), { name: "CannotListen", message: `another flanneld (pid 4711) ${remedy}` });
  t.match(await curl("--unix-socket", socket, "http://flanneld/healthz"), [/^200/]);
});

t.test("of daemons that start at once, one has the socket", async (t) => {
  const { subnetFile } = newFolder(t);
  const starts = Array.from({ length: 4 }, () => startHealth({ subnetFile, health: undefined }, answersOf()));
  const outcomes = await Promise.allSettled(starts);
  const started = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  t.teardown(() => Promise.all(started.map((server) => server.close())));
  t.equal(started.length, 1);
});

t.test("a file in the socket's place is not ours to remove", async (t) => {
  const { subnetFile, socket } = newFolder(t);
  mkdirSync(dirname(socket));
  writeFileSync(socket, "precious");
  await t.rejects(startHealth({ subnetFile, health: undefined }, answersOf()), {
    name: "CannotListen",
    message: `${socket} exists and is not a socket. To fix: move it away, or use another --subnet-file`,
  });
  t.equal(readFileSync(socket, "utf8"), "precious");
});

t.test("a path that no socket can have is refused", async (t) => {
  const subnetFile = `/tmp/${"x".repeat(200)}/subnet.env`;
  await t.rejects(startHealth({ subnetFile, health: undefined }, answersOf()), {
    name: "CannotListen",
    message: `the path of socket ${subnetFile.replace(/env$/, "sock")}, beside subnet file ${subnetFile}, is longer than 107 bytes, the kernel's limit. To fix: use a shorter --subnet-file`,
  });
});

t.test("a port in use is an error with its remedy, and nothing stays", async (t) => {
  const other = await listen(createServer(), "127.0.0.1");
  t.teardown(() => other.close());
  const { port } = other.address() as AddressInfo;
  const { subnetFile, socket } = newFolder(t);
  await t.rejects(startHealth({ subnetFile, health: { ip: "127.0.0.1", port, isDefault: false } }, answersOf()), {
    name: "CannotListen",
    message: `cannot listen for health checks on 127.0.0.1:${port}: another program uses it. To fix: stop that program (ss -ltnp shows it), or use another --healthz-port`,
  });
  t.notOk(existsSync(socket));
});

t.test("an address that this host does not have is an error with its remedy", async (t) => {
  for (const [ip, place] of [
    ["203.0.113.7", "203.0.113.7:10"],
    ["2001:db8::7", "[2001:db8::7]:10"],
  ] as const)
    await t.rejects(
      startHealth({ subnetFile: newFolder(t).subnetFile, health: { ip, port: 10, isDefault: false } }, answersOf()),
      {
        name: "CannotListen",
        message: `cannot listen for health checks on ${place}: this host does not have the address. To fix: use one that it has, or --healthz-ip=0.0.0.0`,
      },
    );
});

t.test("IPv6 is served too", async (t) => {
  const { port } = await start(t, answersOf(), "::1");
  t.match(await curl(`http://[::1]:${port}/healthz`), [/^200/, "flanneld is running"]);
});

t.test("an end waits for a request under way, but not for ever", async (t) => {
  let arrived = () => {};
  const arrival = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const status = () => {
    arrived();
    return new Promise<never>(() => {});
  };
  const { socket, close } = await start(t, answersOf({ status }));
  const idle = connect(socket);
  await new Promise((resolve) => idle.once("connect", resolve));
  const cut = curl("--unix-socket", socket, "http://flanneld/status");
  await arrival; // connections are accepted in their order: the idle one is as well
  await close();
  t.match(await cut, ["000 ", ""]);
});
