import t from "tap";
import { FakeClock } from "../../pkg/cluster/event-loop/clock.testing.ts";
import { linesOf } from "../../pkg/cluster/lease/fake.testing.ts";
import { NoConfig, StoreError } from "../../pkg/cluster/lease/store-error.ts";
import { watchConfig } from "./config-watch.ts";

const text = '{"Network": "10.5.0.0/16", "Backend": {"Type": "vxlan"}}';
const MINUTE_MS = 60_000;

t.test("a configuration that changes under a running daemon is told once, until it is the same again", async (t) => {
  const clock = new FakeClock();
  const lines: string[] = [];
  let read = async () => text;
  const watch = watchConfig({ manager: { readConfig: () => read() }, configText: text, log: linesOf(lines), clock });
  t.teardown(watch.stop);
  const after = async (next: () => Promise<string>) => {
    read = next;
    await clock.pass(2 * MINUTE_MS);
    return watch.problem()?.text;
  };
  t.equal(await after(async () => '{"Backend":{"Type":"vxlan"},"Network":"10.5.0.0/16"}'), undefined, "in other words");
  const changed = "the network configuration in the store has changed since this daemon read it";
  t.equal(await after(async () => text.replace("10.5", "10.6")), changed);
  t.equal(await after(() => Promise.reject(new StoreError("no route"))), changed, "the store does not answer");
  t.equal(await after(async () => "no JSON"), changed);
  t.match(
    await after(() => Promise.reject(new NoConfig("there is none"))),
    /has been deleted from the store.*there is none$/,
  );
  t.equal(await after(async () => text), undefined);
  t.strictSame(
    lines.map((line) => line.slice(0, 50)),
    [
      "warn the network configuration in the store has changed",
      "warn the network configuration has been deleted from the store",
      "info the network configuration in the store is again",
    ].map((line) => line.slice(0, 50)),
  );
});
