/** The sysctls that this host's administrator allows networks to set: a file with a regular expression in each line. */
import { CniError, ErrorCode, invalidConf } from "../../pkg/cni/error.ts";
import { findText } from "../../pkg/sys/file.ts";
import type { Sysctl } from "./netconf.ts";

const ALLOW_LIST = "/etc/cni/tuning/allowlist.conf";

/** Refuses sysctls that are not allowed; without the file, all are. @throws CniError 7 */
export function refuseForbidden(sysctls: readonly Sysctl[]): void {
  const text = sysctls.length === 0 ? undefined : findText(ALLOW_LIST);
  if (text === undefined) return;
  const lines = text.split("\n").filter((line) => line !== "");
  const allowed = lines.map(expression);
  for (const { key } of sysctls) {
    if (allowed.some((one) => one.test(key))) continue;
    throw invalidConf(
      `Sysctl ${key} is not allowed. Only the following sysctls are allowed: [${lines.join(" ")}]`,
      `remove the key in "sysctl", or ask the administrator to add a line for it to ${ALLOW_LIST}`,
    );
  }
}

/** Compiles a line. It is not anchored, as in the reference plugin: "net.ipv4.conf" allows all keys that contain it. */
function expression(line: string): RegExp {
  try {
    return new RegExp(line);
  } catch (cause) {
    throw new CniError({
      code: ErrorCode.invalidConfig,
      msg: `${ALLOW_LIST}: ${JSON.stringify(line)} is not a regular expression: ${(cause as Error).message}`,
      remedy: "correct the line: until then it is unknown which sysctls are allowed",
      cause,
    });
  }
}
