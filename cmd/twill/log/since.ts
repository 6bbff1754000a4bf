/** A moment as a person writes it: so long ago, or a date. Pure. */
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Returns the moment in milliseconds since 1970. A date without a zone is UTC, as the times that are shown. @throws CniError 4 */
export function momentOf(text: string, nowMs: number): number {
  const [, count, unit = ""] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (count !== undefined) return nowMs - Number(count) * (UNIT_MS[unit] ?? 0);
  const [, date, time = "00:00", zone = "Z"] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? [];
  const moment = date === undefined ? Number.NaN : Date.parse(`${date}T${time}${zone}`);
  if (!Number.isNaN(moment)) return moment;
  throw new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `--since is ${JSON.stringify(text)}, which is no time`,
    remedy: "write how long ago, as 90s, 30m, 2h or 7d, or a date as 2026-11-30 or 2026-11-30T14:00 (UTC)",
  });
}
