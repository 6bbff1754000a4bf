import t from "tap";
import { createLog, type Fields, type Level, type Log, type LogOptions } from "./log.ts";

/** Local time, as klog has it. */
const moment = new Date(2026, 10, 21, 4, 20, 0, 123).getTime() + 0.456;

function lines(options: Partial<LogOptions>, say: (log: Log) => void): string[] {
  const written: string[] = [];
  say(
    createLog({ format: "text", level: "info", nowMs: () => moment, write: (line) => written.push(line), ...options }),
  );
  return written;
}

const events: { level: Level; message: string; fields?: Fields; text: string; json: object }[] = [
  {
    level: "info",
    message: "subnet leased",
    fields: { subnet: "10.5.3.0/24", peers: 3, reused: true },
    text: "I1121 04:20:00.123456 flanneld] subnet leased subnet=10.5.3.0/24 peers=3 reused=true\n",
    json: { level: "info", msg: "subnet leased", subnet: "10.5.3.0/24", peers: 3, reused: true },
  },
  {
    level: "warn",
    message: "no lease",
    fields: { reason: 'the key "a" is there', next: undefined, empty: "" },
    text: 'W1121 04:20:00.123456 flanneld] no lease reason="the key \\"a\\" is there" empty=""\n',
    json: { level: "warn", msg: "no lease", reason: 'the key "a" is there', empty: "" },
  },
  {
    level: "error",
    message: "two\nlines\u001b[31m",
    text: "E1121 04:20:00.123456 flanneld] two\\nlines\\u001b[31m\n",
    json: { level: "error", msg: "two\nlines\u001b[31m" },
  },
  {
    level: "error",
    message: "etcd http://root:s3cret@10.0.0.1:2379 refuses",
    fields: { endpoints: "http://a:b@c,https://d:2379", "etcd-password": "s3cret", authToken: "s3cret" },
    text: "E1121 04:20:00.123456 flanneld] etcd http://root:(hidden)@10.0.0.1:2379 refuses endpoints=http://a:(hidden)@c,https://d:2379 etcd-password=(hidden) authToken=(hidden)\n",
    json: {
      level: "error",
      msg: "etcd http://root:(hidden)@10.0.0.1:2379 refuses",
      endpoints: "http://a:(hidden)@c,https://d:2379",
      "etcd-password": "(hidden)",
      authToken: "(hidden)",
    },
  },
  {
    level: "info",
    message: "fields cannot pose as ours",
    fields: { time: "never", level: "none", msg: "other" },
    text: "I1121 04:20:00.123456 flanneld] fields cannot pose as ours time=never level=none msg=other\n",
    json: { level: "info", msg: "fields cannot pose as ours" },
  },
];
for (const { level, message, fields, text, json } of events) {
  t.test(`an event is one line of text: ${JSON.stringify(message)}`, async (t) => {
    t.strictSame(
      lines({}, (log) => log[level](message, fields)),
      [text],
    );
  });

  t.test(`an event is one line of JSON: ${JSON.stringify(message)}`, async (t) => {
    const time = new Date(2026, 10, 21, 4, 20, 0, 123).toISOString();
    t.strictSame(
      lines({ format: "json" }, (log) => log[level](message, fields)),
      [`${JSON.stringify({ time, ...json })}\n`],
    );
  });
}

t.test("what is less than the level is not said", async (t) => {
  const sayAll = (log: Log) => {
    for (const level of ["debug", "info", "warn", "error"] as const) log[level](level);
  };
  const heard = (level: Level) => lines({ level }, sayAll).map((line) => line.charAt(0));
  t.strictSame(heard("debug"), ["D", "I", "W", "E"]);
  t.strictSame(heard("info"), ["I", "W", "E"]);
  t.strictSame(heard("error"), ["E"]);
});
