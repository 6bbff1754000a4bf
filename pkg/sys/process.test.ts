// Runs on Node and, through e2e/engine, on the plugins' engine: tests here are synchronous and use tap's basic assertions only.
import t from "tap";
import { monotonicMs, nowMs, sleepMs } from "./clock.ts";
import { findDirectory, listDirectory } from "./file.ts";
import { environment, processArguments, processId, run, variable } from "./process.ts";
import { randomBytes, randomHex } from "./random.ts";
import { decode, encode } from "./text.ts";

const shell = (script: string, stdin = "", variables: Record<string, string> = { PATH: "/usr/bin:/bin" }) =>
  run({ path: "/bin/sh", args: ["-c", script], environment: variables, stdin: encode(stdin) });

t.test("a program gets its input, arguments and environment, and hands back output and status", (t) => {
  const outcome = shell('cat; echo "$A"; exit 7', "hello ", { PATH: "/usr/bin:/bin", A: "world" });
  t.equal(decode(outcome.stdout), "hello world\n");
  t.equal(outcome.status, 7);
  t.equal(outcome.signal, undefined);
  t.end();
});

t.test("what a program writes to stderr is taken with its output when asked for", (t) => {
  const program = { path: "/bin/sh", args: ["-c", "echo one; echo two >&2"], environment: {}, stdin: encode("") };
  t.equal(decode(run({ ...program, takesStderr: true }).stdout), "one\ntwo\n");
  t.end();
});

t.test("a program that does not read its input harms nobody", (t) => {
  t.equal(shell("exit 3", "x".repeat(300_000)).status, 3);
  t.end();
});

t.test("input and output larger than a pipe pass", (t) => {
  const large = "0123456789abcdef".repeat(20_000);
  t.equal(decode(shell("cat", large).stdout), large);
  t.end();
});

t.test("the signal that ended a program is told", (t) => {
  const { status, signal } = shell("kill -9 $$");
  t.equal(status, undefined);
  t.equal(signal, 9);
  t.end();
});

t.test("a file that cannot be executed says why", (t) => {
  const refusal = (path: string) => {
    try {
      run({ path, environment: {}, stdin: encode("") });
      return "none";
    } catch (error) {
      return (error as Error).message;
    }
  };
  t.equal(refusal("/no/such/program"), "execve /no/such/program: ENOENT");
  t.equal(refusal("/etc"), "execve /etc: EACCES");
  t.end();
});

t.test("a program that writes without end is stopped", (t) => {
  const started = monotonicMs();
  let message = "nothing thrown";
  try {
    shell("exec yes");
  } catch (error) {
    message = (error as Error).message;
  }
  t.equal(message, "read output of /bin/sh: EFBIG");
  t.ok(monotonicMs() - started < 30_000);
  t.end();
});

t.test("a program that takes too long is killed, also one that has closed its output", (t) => {
  for (const script of ["exec sleep 1000", "exec >&-; exec sleep 1000"]) {
    const limited = () =>
      run({ path: "/bin/sh", args: ["-c", script], environment: { PATH: "/bin" }, stdin: encode(""), longestMs: 50 });
    let message = "nothing thrown";
    try {
      limited();
    } catch (error) {
      message = (error as Error).message;
    }
    t.equal(message, "wait /bin/sh: ETIMEDOUT", script);
  }
  t.end();
});

t.test("a program that ends in time is not told of its limit", (t) => {
  const script = "sleep 0.05; echo late; exit 3";
  const outcome = run({
    path: "/bin/sh",
    args: ["-c", script],
    environment: { PATH: "/bin" },
    stdin: encode(""),
    longestMs: 60_000,
  });
  t.equal(decode(outcome.stdout), "late\n");
  t.equal(outcome.status, 3);
  t.end();
});

t.test("running programs leaves no descriptor behind", (t) => {
  const descriptors = () => listDirectory("/proc/self/fd").length;
  shell("true");
  const before = descriptors();
  for (let i = 0; i < 5; i++) shell("true");
  t.equal(descriptors(), before);
  t.end();
});

t.test("this process knows itself", (t) => {
  t.ok(processArguments().length > 0);
  t.match(environment()["PATH"] ?? "", /\//);
  t.equal(variable("PATH"), environment()["PATH"]);
  t.equal(variable("PAT"), undefined);
  t.ok(findDirectory(`/proc/${processId()}`) !== undefined);
  t.end();
});

t.test("clocks go on", (t) => {
  const [monotonic, now] = [monotonicMs(), nowMs()];
  sleepMs(12.5);
  t.ok(monotonicMs() - monotonic >= 12.5, "the sleep is not shorter than asked");
  t.ok(nowMs() > now);
  t.ok(now > 1.6e12, "milliseconds since 1970");
  t.end();
});

t.test("random bytes differ", (t) => {
  t.equal(randomBytes(16).length, 16);
  t.not(randomHex(8), randomHex(8));
  t.match(randomHex(4), /^[0-9a-f]{8}$/);
  t.end();
});

t.test("text is UTF-8", (t) => {
  t.strictSame([...encode("é€😀")], [0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80]);
  t.equal(decode(encode("é€😀")), "é€😀");
  t.equal(decode(encode("abcdef"), 2, 4), "cd");
  t.throws(() => decode(encode("abc"), 1, 9));
  t.equal(decode(new Uint8Array()), "");
  t.end();
});
