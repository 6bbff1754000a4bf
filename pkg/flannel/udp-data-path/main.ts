/**
 * The data path process of the udp backend: carries packets between a TUN device and the hosts of the peers, each packet being the payload of a UDP datagram, as flannel's does. Two worker threads
 * carry, one for each direction; the main thread takes orders (protocol.ts). It is a process of its own so that traffic goes on while the daemon restarts.
 */
import { writeSync } from "node:fs";
import { isMainThread, type MessagePort, parentPort, Worker, workerData } from "node:worker_threads";
import { raiseLoopPriority } from "../../cluster/event-loop/priority.ts";
import { createAlarm, ring } from "../../sys/eventfd.ts";
import { closeFile, Open, openFile, writeExisting } from "../../sys/file.ts";
import { call } from "../../sys/syscall.ts";
import { type DataPath, firstDeadline, serveControl } from "./control.ts";
import { createCounterMemory, readCounters } from "./counters.ts";
import { createPeerRows, type RowChanges } from "./peer-rows.ts";
import { createPeerTableMemory, createPeerTableWriter, networkOf } from "./peer-table.ts";
import { PROCESS_NAME } from "./port-owner.ts";
import { findPredecessor, letHaveDescriptors, type Predecessor } from "./predecessor.ts";
import { type Hello, type Offload, offloads, type Settings, settingsOf } from "./protocol.ts";
import { adoptTun, createTun } from "./tun-device.ts";
import { carryTunToUdp } from "./tun-to-udp.ts";
import { canSegment, enableGro, openRawSocket, openUdpSocket } from "./udp-socket.ts";
import { carryUdpToTun } from "./udp-to-tun.ts";
import type { WorkerEnd, WorkerStart } from "./worker.ts";

const STDOUT = 1;
const STDERR = 2;

const directions = { "tun to udp": carryTunToUdp, "udp to tun": carryUdpToTun } as const;
type Direction = keyof typeof directions;

/** What a worker says before it carries packets; afterwards it says only why it ends. */
const STARTED = "started";

if (isMainThread) await start();
else {
  const port = parentPort as MessagePort; // a worker's
  const { direction, ...start } = workerData as WorkerStart & { direction: Direction };
  port.postMessage(STARTED);
  port.postMessage(directions[direction](start));
}

async function start(): Promise<void> {
  try {
    writeExisting("/proc/self/comm", PROCESS_NAME);
    const settings = settingsOf(process.argv.slice(2));
    say(await run(settings));
  } catch (error) {
    say({ error: (error as Error).message });
    process.exitCode = 1;
  }
}

/** Makes everything that there is to make, or nothing. */
async function run(settings: Settings): Promise<Hello> {
  const { address, port, version, without = [] } = settings;
  const may = (offload: Offload) => !without.includes(offload);
  const predecessor = settings.takeover ? await findPredecessor(settings.socket) : undefined;
  const udp = predecessor?.udp ?? openUdpSocket(address, port);
  const tun = predecessor ? adoptTun(predecessor.tun) : createTun(settings.device, may("vnet-header"));
  const has: Record<Offload, boolean> = {
    "vnet-header": tun.hasVnetHeader,
    "udp-segment": may("udp-segment") && canSegment(udp),
    "udp-gro": may("udp-gro") && enableGro(udp),
  };
  const hello: Hello = {
    hello: {
      version,
      pid: process.pid,
      device: { name: tun.name, index: tun.index },
      address,
      port,
      offloads: offloads.filter((offload) => has[offload]),
    },
  };
  const workers: RunningWorker[] = [];
  const peers = createPeerTableMemory();
  const dataPath = dataPathOf({ memory: peers, descriptors: { tun: tun.fd, udp }, workers, end });
  const serve = () => serveControl(settings.socket, hello, dataPath, predecessor?.until ?? firstDeadline());
  let control = predecessor === undefined ? await serve() : undefined;
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => end(`${signal} came`));
  const start = {
    tun: tun.fd,
    udp,
    raw: openRawSocket() ?? -1,
    peers,
    hasVnetHeader: tun.hasVnetHeader,
    hasUdpOffload: tun.hasUdpOffload,
    canSegment: has["udp-segment"],
  };
  for (const direction of Object.keys(directions) as Direction[]) workers.push(startWorker(direction, start, end));
  process.on("uncaughtException", ({ stack }) => fail(stack));
  raiseLoopPriority(); // orders are rare and short, and must not wait for packets: the threads that carry these exist by now
  if (predecessor !== undefined) {
    try {
      await carryOn(predecessor, dataPath, workers);
      control = await serve();
    } catch (error) {
      end("it cannot carry on");
      throw error;
    }
    if (isEnding()) control.close();
  }
  return hello;

  /** Stops everything; the process ends when the threads have, and device and port are free. */
  function end(reason: string): void {
    if (isEnding()) return;
    log(`ends, since ${reason}`);
    control?.close();
    for (const worker of workers) worker.stop();
  }

  /** Node would wait for the threads, which wait for packets. */
  function fail(stack: string | undefined): void {
    process.exitCode = 1;
    end(`it has failed: ${stack}`);
  }

  function isEnding(): boolean {
    return workers.every((worker) => worker.isEnding);
  }
}

/** Carries packets beside the predecessor, then ends that one. */
async function carryOn(predecessor: Predecessor, dataPath: DataPath, workers: RunningWorker[]): Promise<void> {
  dataPath.replace(predecessor.peers, predecessor.own);
  await Promise.all(workers.map(({ started }) => started));
  if (workers.some(({ isEnding }) => isEnding)) throw new Error("it was ended while it started");
  await predecessor.end();
}

interface RunningWorker {
  counters: SharedArrayBuffer;
  isEnding: boolean;
  /** Resolves when it carries packets. */
  started: Promise<void>;
  stop(): void;
}

function startWorker(
  direction: Direction,
  start: Omit<WorkerStart, "alarm" | "counters">,
  end: (reason: string) => void,
): RunningWorker {
  const alarm = createAlarm();
  const counters = createCounterMemory();
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { direction, ...start, alarm, counters },
  });
  const started = new Promise<void>((resolve, reject) => {
    worker.on("message", (message: WorkerEnd | typeof STARTED) => {
      if (message === STARTED) resolve();
      else end(message === "device gone" ? "its device was deleted" : "it was stopped");
    });
    worker.on("error", reject);
  });
  started.catch(() => {}); // told below
  worker.on("error", (error) => {
    process.exitCode = 1;
    end(`the thread "${direction}" has failed: ${error.stack}`);
  });
  const running: RunningWorker = {
    counters,
    isEnding: false,
    started,
    stop() {
      running.isEnding = true;
      ring(alarm);
    },
  };
  return running;
}

interface DataPathParts {
  /** The table of the peers. */
  memory: SharedArrayBuffer;
  descriptors: { tun: number; udp: number };
  workers: readonly RunningWorker[];
  end(reason: string): void;
}

function dataPathOf({ memory, descriptors, workers, end }: DataPathParts): DataPath {
  const rows = createPeerRows();
  let ownSubnet: string | undefined;
  const table = createPeerTableWriter(memory);
  const change = ({ set, remove }: RowChanges) => table.change(set, remove);
  return {
    replace(peers, own) {
      networkOf(own);
      change(rows.replace(peers));
      table.setOwn(own);
      ownSubnet = own;
    },
    change: (set, remove) => change(rows.change(set, remove)),
    counters: () => readCounters(workers.map((worker) => worker.counters)),
    handOver(pid) {
      if (ownSubnet === undefined) throw new Error("it has no table of peers yet");
      letHaveDescriptors(pid);
      return { ...descriptors, peers: rows.all(), own: ownSubnet };
    },
    end,
  };
}

/** Prints the one line that the daemon waits for, and lets go of stdout, which is a pipe to it. */
function say(line: Hello | { error: string }): void {
  try {
    writeSync(STDOUT, `${JSON.stringify(line)}\n`);
  } catch {} // the daemon has ended; packets are carried until the next one connects, or the time for that is over
  const nowhere = openFile("/dev/null", Open.writeOnly);
  call("dup3", undefined, nowhere, STDOUT, 0); // never free in between: a worker that is starting would take the number
  closeFile(nowhere);
}

function log(text: string): void {
  try {
    writeSync(STDERR, `flanneld-udp: ${text}\n`);
  } catch {} // the daemon's stderr may be a pipe that nobody reads any more
}
