/** TWILL_LOG=/path: writes one line of JSON for every call, so that an administrator sees what plugins did when they succeeded, too. */

import type { JsonObject } from "../config/json.ts";
import { monotonicMs, nowMs } from "../sys/clock.ts";
import { appendFile } from "../sys/file.ts";
import type { Answer } from "./answer.ts";
import { encodeResult } from "./encode-result.ts";
import { errorObject } from "./error.ts";
import type { Streams } from "./process-io.ts";

interface LoggedCall {
  plugin: string;
  verb: string;
  containerId?: string;
  ifName?: string;
  streams: Pick<Streams, "environment" | "stderr">;
}

/**
 * Runs `work`, and appends a line about it to the file named by TWILL_LOG, if any. A line that cannot be written does not fail the
 * call.
 */
export function withCallLog(call: LoggedCall, work: () => Answer): Answer {
  const { environment, stderr } = call.streams;
  const path = environment["TWILL_LOG"] ?? "";
  if (path === "") return work();
  const started = monotonicMs();
  const answer = work();
  const ms = Math.round((monotonicMs() - started) * 1000) / 1000;
  try {
    appendFile(path, `${JSON.stringify({ time: new Date(nowMs()).toISOString(), ...entryOf(call, answer), ms })}\n`, {
      mode: 0o600,
    });
  } catch (error) {
    stderr(`${call.plugin}: cannot write TWILL_LOG: ${String(error)}\n`);
  }
  return answer;
}

function entryOf({ plugin, verb, containerId, ifName }: LoggedCall, answer: Answer): JsonObject {
  const { cniVersion, network, result, error } = answer;
  return {
    plugin,
    verb,
    ...(network !== undefined && { network }),
    ...(containerId && { container: containerId }),
    ...(ifName && { ifname: ifName }),
    ...(result && { result: encodeResult(result, cniVersion) }),
    ...(error && { error: errorObject(error) }),
  };
}
