import t from "tap";
import type { FailedCall } from "../../../pkg/cni/failed-calls.ts";
import { exposition } from "./exposition.ts";
import { callFamilies } from "./families.ts";

t.test("families as Prometheus reads them: values of labels are escaped, no series is there twice", async (t) => {
  const help = "What \\ it\nis.";
  const samples = [
    { labels: {}, value: 1 },
    { labels: { network: 'a"b\\c\nd', state: "x" }, value: 2 ** 64 },
    { labels: { network: 'a"b\\c\nd', state: "x" }, value: 3 },
  ];
  t.equal(
    exposition([
      { name: "twill_x", help, samples },
      { name: "twill_none", help: "None.", samples: [] },
    ]),
    [
      "# HELP twill_x What \\\\ it\\nis.",
      "# TYPE twill_x gauge",
      "twill_x 1",
      'twill_x{network="a\\"b\\\\c\\nd",state="x"} 18446744073709552000',
      "",
    ].join("\n"),
  );
});

t.test("calls of the last hour, by plugin, command and code", async (t) => {
  const call = (time: string, code?: number): FailedCall => ({
    time,
    plugin: "bridge",
    verb: "ADD",
    ms: 1,
    ...(code !== undefined && { error: { code, msg: "m" } }),
  });
  const calls = [
    call("2026-11-30T10:00:00Z", 7),
    call("2026-11-30T13:30:00Z", 7),
    call("2026-11-30T13:40:00Z", 7),
    call("2026-11-30T13:50:00Z", 11),
    call("2026-11-30T13:55:00Z"),
  ];
  t.equal(
    exposition(callFamilies(calls, Date.parse("2026-11-30T14:00:00Z"))).replace(/^#.*\n/gm, ""),
    [
      'twill_failed_calls_last_hour{plugin="bridge",command="ADD",code="7"} 2',
      'twill_failed_calls_last_hour{plugin="bridge",command="ADD",code="11"} 1',
      'twill_slow_calls_last_hour{plugin="bridge",command="ADD"} 1',
      "twill_recorded_calls 5",
      "",
    ].join("\n"),
  );
});
