import t from "tap";
import { type Flags, parseDuration, readFlags, WrongUsage } from "./flags.ts";

const standard: Flags = {
  pidFile: "",
  hostPrefix: "",
  socketPath: "/run/cni/dhcp.sock",
  broadcast: false,
  timeoutMs: 10_000,
  longestPauseMs: 62_000,
  giveUpMs: 208_000,
};

t.test("flags as Go reads them", async (t) => {
  const cases: [string[], Partial<Flags>][] = [
    [[], {}],
    [["-broadcast"], { broadcast: true }],
    [["--broadcast=false", "-timeout=1s"], { timeoutMs: 1000 }],
    [["-socketpath", "/x.sock", "-pidfile=/y"], { socketPath: "/x.sock", pidFile: "/y" }],
    [["-socketpath", ""], {}], // as the reference: the usual one
    [
      ["-hostprefix", "/host", "-resendmax", "1m", "-resendtimeout", "2h"],
      { hostPrefix: "/host", longestPauseMs: 60_000, giveUpMs: 7_200_000 },
    ],
  ];
  for (const [args, given] of cases) t.strictSame(readFlags(args), { ...standard, ...given }, args.join(" "));
});

t.test("flags that are none", async (t) => {
  const cases: [string[], string][] = [
    [["-x"], "flag provided but not defined: -x"],
    [["extra"], "flag provided but not defined: extra"],
    [["-pidfile"], "flag needs an argument: -pidfile"],
    [["-pidfile", "x"], 'Error writing pidfile "x": path not absolute'],
    [["-broadcast=perhaps"], 'invalid boolean value "perhaps" for -broadcast: must be true or false'],
    [["-timeout", "0"], 'invalid value "0" for flag -timeout: must be a duration, as 10s or 1m30s'],
    [["-help"], ""],
  ];
  for (const [args, message] of cases) t.throws(() => readFlags(args), new WrongUsage(message), args.join(" "));
});

t.test("durations as Go reads them", async (t) => {
  const cases: [string, number | undefined][] = [
    ["10s", 10_000],
    ["1m30s", 90_000],
    ["1.5s", 1500],
    [".5s", 500],
    ["250ms", 250],
    ["1h", 3_600_000],
    ["2us", 0.002],
    ["0", 0],
    ["10", undefined],
    ["", undefined],
    ["s", undefined],
    ["-1s", undefined],
    ["1s ", undefined],
    ["1d", undefined],
  ];
  for (const [text, ms] of cases) t.equal(parseDuration(text), ms, JSON.stringify(text));
});
