/** Takes the device and the socket over from a process of another build, which carries packets until this one does: none is lost. */
import { once } from "node:events";
import { createConnection } from "node:net";
import { isErrno } from "../../sys/errno.ts";
import { closeFile } from "../../sys/file.ts";
import { waitReadable } from "../../sys/poll.ts";
import { ask, call } from "../../sys/syscall.ts";
import { type HandedOver, type Hello, lineReader, type Reply, type Request } from "./protocol.ts";

export interface Predecessor extends Omit<HandedOver["handedOver"], "tun" | "udp"> {
  /** Descriptors of this process. */
  tun: number;
  udp: number;
  /** Ends it. */
  end(): Promise<void>;
}

/** It answers within milliseconds. */
const ANSWER_MS = 5000;
const SIGKILL = 9;
/** linux/prctl.h: "Yama", for the security module of which Ubuntu's kernels let only ancestors have a descriptor. */
const PR_SET_PTRACER = 0x59616d61;

/** Lets that process have this one's descriptors, which is refused by Yama else. */
export function letHaveDescriptors(pid: number): void {
  ask("prctl", PR_SET_PTRACER, pid, 0, 0, 0); // refused without Yama, where it is not needed
}

/** Connects to the process that listens there, and asks for what it has. @throws Error why not; that process carries on */
export async function findPredecessor(path: string): Promise<Predecessor> {
  const socket = createConnection(path).setEncoding("utf8");
  const read = lineReader();
  const lines: unknown[] = [];
  socket.on("data", (chunk: string) => lines.push(...read(chunk)));
  socket.on("error", () => {}); // told to whoever waits for a line
  socket.on("end", () => socket.destroy(new Error("it has ended")));
  socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error(`no answer within ${ANSWER_MS / 1000} s`)));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  const nextLine = async (): Promise<unknown> => {
    while (lines.length === 0) await once(socket, "data");
    return lines.shift();
  };
  const tell = (request: Request) => socket.write(`${JSON.stringify(request)}\n`);
  try {
    const { hello } = (await nextLine()) as Hello;
    tell({ handOver: { to: process.pid } });
    const reply = (await nextLine()) as Reply;
    if (!("handedOver" in reply)) throw new Error("error" in reply ? reply.error : "no answer to the request");
    const { tun, udp, ...rest } = reply.handedOver;
    const theirs = openProcess(hello.pid);
    const [ourTun, ourUdp] = descriptorsOf(theirs, [tun, udp] as const);
    socket.setTimeout(0); // what follows waits for this process
    socket.unref(); // which ends where it cannot carry on
    return {
      ...rest,
      tun: ourTun,
      udp: ourUdp,
      async end() {
        const late = setTimeout(() => ask("kill", hello.pid, SIGKILL), ANSWER_MS); // as long as the connection is open the PID is its own
        tell({ stop: true });
        await closed;
        clearTimeout(late);
        waitReadable([theirs], ANSWER_MS); // one that is killed may close the connection before the socket on which it listens
        closeFile(theirs);
      },
    };
  } catch (error) {
    socket.destroy();
    throw new Error(`cannot take over from the data path process on ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Opens a descriptor for the process, readable once it has ended. */
function openProcess(pid: number): number {
  return taking(() => call("pidfd_open", undefined, pid, 0));
}

/** Returns descriptors of this process for what that one has open. */
function descriptorsOf(process: number, theirs: readonly [number, number]): [number, number] {
  const take = (fd: number) => taking(() => call("pidfd_getfd", undefined, process, fd, 0));
  return [take(theirs[0]), take(theirs[1])];
}

/** @throws Error says that the kernel is too old, or by what it refuses */
function taking(work: () => number): number {
  try {
    return work();
  } catch (error) {
    if (isErrno(error, "ENOSYS")) throw new Error("this kernel cannot hand descriptors over, Linux 5.6 can");
    if (isErrno(error, "EPERM", "EACCES"))
      throw new Error(
        `it may not have that one's descriptors (${(error as Error).message}), as where the sysctl kernel.yama.ptrace_scope is 2 or 3, or that one has more capabilities`,
        { cause: error },
      );
    throw error;
  }
}
