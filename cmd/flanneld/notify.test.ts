import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { onReadable } from "../../pkg/cluster/event-loop/on-readable.ts";
import { Errno } from "../../pkg/sys/errno.ts";
import { closeFile } from "../../pkg/sys/file.ts";
import { bindSocket, openSocket, receiveArrived, SOCK_DGRAM } from "../../pkg/sys/socket.ts";
import { decode } from "../../pkg/sys/text.ts";
import { createNotifier, watchdogMs } from "./notify.ts";
import { AF_UNIX, unixAddress } from "./notify-socket.ts";

interface ServiceManager {
  /** Datagrams that have come since the last call. */
  heard(): string[];
  /** Waits for that many. */
  hears(count: number): Promise<string[]>;
}

function listenAt(t: { teardown(work: () => void): unknown }, path: string): ServiceManager {
  const fd = openSocket(AF_UNIX, SOCK_DGRAM, 0);
  bindSocket(fd, unixAddress(path) ?? new Uint8Array());
  t.teardown(() => closeFile(fd));
  const buffer = new Uint8Array(4096);
  const heard = () => {
    const texts: string[] = [];
    for (let data = receiveArrived(fd, buffer); data; data = receiveArrived(fd, buffer)) texts.push(decode(data));
    return texts;
  };
  const hears = (count: number) =>
    new Promise<string[]>((resolve) => {
      const texts: string[] = [];
      const stop = onReadable(fd, () => {
        texts.push(...heard());
        if (texts.length < count) return;
        stop();
        resolve(texts);
      });
    });
  return { heard, hears };
}

const folder = mkdtempSync(join(tmpdir(), `twill-notify-${process.pid}-`));
t.teardown(() => rmSync(folder, { recursive: true }));

const notifierOf = (environment: Record<string, string>) =>
  createNotifier({ environment, pid: process.pid, warn: (message) => t.fail(message) });

for (const path of [join(folder, "socket"), `@twill-notify-${process.pid}`]) {
  t.test(
    `a service manager at ${path.startsWith("@") ? "an abstract name" : "a path"} hears what is told`,
    async (t) => {
      const manager = listenAt(t, path);
      const notifier = notifierOf({ NOTIFY_SOCKET: path });
      notifier.status("waiting for etcd");
      notifier.ready("10.5.3.0/24, 2 peers\nover vxlan");
      notifier.stopping();
      t.strictSame(manager.heard(), [
        "STATUS=waiting for etcd",
        "READY=1\nSTATUS=10.5.3.0/24, 2 peers over vxlan",
        "STOPPING=1",
      ]);
    },
  );
}

t.test("the watchdog hears of a live event loop until the service stops", async (t) => {
  const path = join(folder, "watchdog");
  const manager = listenAt(t, path);
  const notifier = notifierOf({ NOTIFY_SOCKET: path, WATCHDOG_USEC: "20000", WATCHDOG_PID: String(process.pid) });
  const heard = await manager.hears(3); // more on a machine that is slow to read them
  t.ok(heard.length >= 3);
  t.strictSame([...new Set(heard)], ["WATCHDOG=1"]);
  notifier.stopping();
  t.equal(manager.heard().at(-1), "STOPPING=1");
});

const watchdogs: { environment: Record<string, string>; ms: number | undefined }[] = [
  { environment: {}, ms: undefined },
  { environment: { WATCHDOG_USEC: "30000000" }, ms: 30_000 },
  { environment: { WATCHDOG_USEC: "30000000", WATCHDOG_PID: "7" }, ms: 30_000 },
  { environment: { WATCHDOG_USEC: "30000000", WATCHDOG_PID: "8" }, ms: undefined },
  { environment: { WATCHDOG_USEC: "0" }, ms: undefined },
  { environment: { WATCHDOG_USEC: "soon" }, ms: undefined },
];
for (const { environment, ms } of watchdogs) {
  t.test(`process 7 with ${JSON.stringify(environment)} has a watchdog of ${ms} ms`, async (t) => {
    t.equal(watchdogMs(environment, 7), ms);
  });
}

t.test("without a service manager nothing is done", async () => {
  const notifier = notifierOf({});
  notifier.ready("up");
  notifier.status("still up");
  notifier.stopping();
});

const deaf: { path: string; warning: string }[] = [
  { path: join(folder, "nobody"), warning: "(errno 2)" },
  { path: "relative", warning: "(errno 22)" },
  { path: "@", warning: "(errno 22)" },
  { path: `/${"x".repeat(108)}`, warning: "(errno 22)" },
];
for (const { path, warning } of deaf) {
  t.test(`a socket that does not take messages is warned of once: ${path.slice(-10)}`, async (t) => {
    const warnings: string[] = [];
    const notifier = createNotifier({
      environment: { NOTIFY_SOCKET: path },
      pid: process.pid,
      warn: (message) => warnings.push(message),
    });
    notifier.ready("up");
    notifier.stopping();
    t.strictSame(warnings, [
      `cannot send to the service manager's socket ${path} ${warning}: systemd is not told that flanneld is ready. To fix: check NOTIFY_SOCKET`,
    ]);
  });
}

t.test("without a free descriptor there is a warning, and nothing is thrown", async (t) => {
  const path = join(folder, "unreachable");
  const manager = listenAt(t, path);
  const warnings: string[] = [];
  const { status } = spawnSync("prlimit", ["--pid", String(process.pid), `--nofile=${DESCRIPTORS}:`]);
  t.equal(status, 0);
  const descriptors = takeAllDescriptors();
  const warn = (message: string) => void warnings.push(message);
  const notifier = createNotifier({ environment: { NOTIFY_SOCKET: path }, pid: process.pid, warn });
  notifier.ready("up");
  notifier.stopping();
  for (const fd of descriptors) closeSync(fd);
  notifier.status("there is room again");
  t.strictSame(warnings, [
    `cannot send to the service manager's socket ${path} (errno ${Errno.EMFILE}): systemd is not told that flanneld is ready. To fix: check NOTIFY_SOCKET`,
  ]);
  t.strictSame(manager.heard(), ["STATUS=there is room again"]);
});
/** More than any test here has, few enough to be taken quickly. */
const DESCRIPTORS = 256;

function takeAllDescriptors(): number[] {
  const taken: number[] = [];
  for (;;) {
    try {
      taken.push(openSync("/dev/null", "r"));
    } catch {
      return taken;
    }
  }
}
