/** Sockets that systemd has opened for this process: socket activation, sd_listen_fds(3). */
import { processId, variable } from "./process.ts";

const FIRST = 3;

/** Returns the descriptors; none where systemd has not passed any. */
export function passedSockets(): number[] {
  if (variable("LISTEN_PID") !== String(processId())) return [];
  return Array.from({ length: Number(variable("LISTEN_FDS") ?? 0) }, (_, i) => FIRST + i);
}
