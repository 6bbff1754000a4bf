import t from "tap";
import { type FailedCall, lineOf, parseCalls } from "../../../pkg/cni/failed-calls.ts";
import { isShown, linesFor } from "./rows.ts";
import { momentOf } from "./since.ts";

const failed: FailedCall = {
  time: "2026-11-30T14:00:00.250Z",
  plugin: "bridge",
  verb: "ADD",
  network: "podnet",
  container: "0123456789abcdef".repeat(4),
  ifname: "eth0",
  error: { code: 7, msg: "\u001b[31mred", details: "in podnet; could not delete it either: EBUSY. To fix: correct it" },
  ms: 3,
};
const slow: FailedCall = { time: "2026-11-30T15:00:00.000Z", plugin: "dhcp", verb: "STATUS", ms: 1500 };

t.test("a row for each call; names from outside cannot command the terminal", async (t) => {
  t.strictSame(linesFor([failed, slow], { heading: true, details: false }), [
    "TIME                  PLUGIN  COMMAND  NETWORK  CONTAINER     INTERFACE  MS    CODE  MESSAGE\n",
    "2026-11-30T14:00:00Z  bridge  ADD      podnet   0123456789ab  eth0       3     7     \\u001b[31mred\n",
    "2026-11-30T15:00:00Z  dhcp    STATUS   -        -             -          1500  -     slow\n",
  ]);
  t.strictSame(linesFor([failed], { heading: false, details: true }).slice(1), [
    "    in podnet\n",
    "    could not delete it either: EBUSY\n",
    "    To fix: correct it\n",
  ]);
});

t.test("failed, slow and since choose", async (t) => {
  const all = { failed: true, slow: true, sinceMs: 0, most: 0 };
  const chosen = (selection: object) => [failed, slow].filter((call) => isShown(call, { ...all, ...selection }));
  t.strictSame(chosen({}), [failed, slow]);
  t.strictSame(chosen({ slow: false }), [failed]);
  t.strictSame(chosen({ failed: false }), [slow]);
  t.strictSame(chosen({ sinceMs: Date.parse("2026-11-30T14:30:00Z") }), [slow]);
});

t.test("moments, as people write them", async (t) => {
  const now = Date.parse("2026-11-30T14:00:00Z");
  for (const [text, moment] of [
    ["90s", "2026-11-30T13:58:30Z"],
    ["30m", "2026-11-30T13:30:00Z"],
    ["2h", "2026-11-30T12:00:00Z"],
    ["1d", "2026-11-29T14:00:00Z"],
    ["2026-11-29", "2026-11-29T00:00:00Z"],
    ["2026-11-29 08:30", "2026-11-29T08:30:00Z"],
    ["2026-11-29T08:30:15+02:00", "2026-11-29T06:30:15Z"],
  ] as const)
    t.equal(new Date(momentOf(text, now)).toISOString(), new Date(moment).toISOString(), text);
  for (const text of ["", "yesterday", "5", "-5m", "2026-13-45"])
    t.throws(() => momentOf(text, now), { code: 4, msg: /which is no time/ }, text);
});

t.test("a line is at most 2 kB, has no secrets, and is read as it was written", async (t) => {
  t.strictSame(parseCalls(lineOf(failed)), [failed]);
  const long = {
    ...failed,
    network: "ä".repeat(5000),
    error: { code: 1, msg: "\u0001".repeat(5000), details: "x".repeat(5000) },
  };
  t.ok(new TextEncoder().encode(lineOf(long)).length <= 2048);
  t.equal(parseCalls(lineOf(long)).length, 1);
  t.notMatch(lineOf({ ...failed, error: { code: 4, msg: 'unknown args ["DB_PASSWORD=hunter2"]' } }), /hunter2/);
  const secretAtCut = `TOKEN=${"x".repeat(8000)} https://me:${"hunter2".repeat(1000)}@host`;
  for (const msg of ["\\".repeat(100_000), `\\"a\\":\\"${"\\".repeat(100)}`, "a".repeat(1_000_000), secretAtCut])
    t.ok(!lineOf({ ...failed, error: { code: 4, msg, details: msg } }).includes("hunter2"), msg.slice(0, 10));
});

t.test("lines that a full disk has cut off, and lines of others, are passed over", async (t) => {
  const text = `${lineOf(failed).slice(0, 40)}${lineOf(slow)}garbage\n{"time":"x"}\n[]\n${lineOf(failed)}`;
  t.strictSame(parseCalls(text), [slow, failed]);
});
