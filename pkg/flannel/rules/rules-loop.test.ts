import t from "tap";
import { FakeClock } from "../../cluster/event-loop/clock.testing.ts";
import { logOf } from "../../cluster/log/log.ts";
import { rateLimited } from "../../cluster/log/rate-limited.ts";
import { startRulesLoop } from "./rules-loop.ts";

const idle = { read() {}, stop() {} };

t.test("a failure that lasts is logged again and again, ever more rarely, with how long it has lasted", async (t) => {
  const clock = new FakeClock();
  const lines: string[] = [];
  const startMs = clock.bootMs();
  const nowMs = () => clock.bootMs() - startMs;
  const sink = logOf((level, message, { error }) => lines.push(`${nowMs() / 1000} ${level} ${message}: ${error}`));
  const traffic = {
    ensure() {
      throw new Error("no");
    },
    clean() {},
  };
  const loop = startRulesLoop(
    traffic,
    { resyncMs: 5000, log: rateLimited(sink, nowMs), repaired: () => t.fail("nothing was repaired") },
    { clock, watch: () => idle },
  );
  await clock.pass(3_600_000);
  await loop.stop();
  const told = lines.map((line) => line.replace(/: no; .*/s, ""));
  t.equal(told[0], "0.1 error cannot maintain the rules of the pod network: retrying");
  t.match(told[1], / \(repeated for 1\d s\)$/);
  t.match(told.at(-1), / \(repeated for \d{4} s\)$/);
  t.ok(told.length > 5 && told.length < 15, `${told.length} lines in an hour`);
});
