import t from "tap";
import { type Log, logOf } from "./log.ts";
import { rateLimited } from "./rate-limited.ts";

interface Heard {
  log: Log;
  /** `12 info message`, the first word in seconds. */
  lines: string[];
  /** Calls it each second up to and without `untilS`. */
  eachSecond(untilS: number, say: () => void): void;
  at(second: number): void;
}

function listen(): Heard {
  const lines: string[] = [];
  let second = 0;
  const sink = logOf((level, message, fields) =>
    lines.push(`${second} ${level} ${message}${Object.values(fields).join()}`),
  );
  return {
    log: rateLimited(sink, () => second * 1000),
    lines,
    eachSecond(untilS, say) {
      for (; second < untilS; second++) say();
    },
    at: (value) => {
      second = value;
    },
  };
}

t.test("a text that comes every second is said once, then at growing distances", async (t) => {
  const { log, lines, eachSecond } = listen();
  eachSecond(100, () => log.error("etcd does not answer"));
  t.strictSame(lines, [
    "0 error etcd does not answer",
    "10 error etcd does not answer (repeated for 10 s)",
    "20 error etcd does not answer (repeated for 20 s)",
    "40 error etcd does not answer (repeated for 40 s)",
    "80 error etcd does not answer (repeated for 80 s)",
  ]);
});

t.test("it is said at least every hour", async (t) => {
  const { log, lines, eachSecond } = listen();
  eachSecond(86_400, () => log.warn("waiting"));
  const seconds = lines.map((line) => Number(line.split(" ")[0]));
  t.ok(seconds.length > 24);
  t.ok(seconds.every((second, i) => second - (seconds[i - 1] ?? 0) <= 3600));
});

t.test("distinct texts, fields and levels are each said", async (t) => {
  const { log, lines } = listen();
  for (let again = 0; again < 2; again++) {
    log.warn("a");
    log.warn("a", { key: "1" });
    log.warn("a", { key: "2" });
    log.error("a");
    log.info("b");
  }
  t.strictSame(lines, ["0 warn a", "0 warn a1", "0 warn a2", "0 error a", "0 info b"]);
});

t.test("what comes back after a minute of quiet is news", async (t) => {
  const { log, lines, at } = listen();
  log.warn("gone");
  at(30);
  log.warn("gone");
  at(91);
  log.warn("gone");
  t.strictSame(lines, ["0 warn gone", "30 warn gone (repeated for 30 s)", "91 warn gone"]);
});
