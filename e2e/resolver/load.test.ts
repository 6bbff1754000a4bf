// The resolver under load, and clients that send nonsense. The clients are programs of Node in the container's namespace.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { randomFrom, testSeed } from "../../pkg/sys/random.testing.ts";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { newResolverLab, type ResolverLab } from "./lab.ts";

const NAMES = 1000;
const QUERIES = 10_000;
const AT_ONCE_SENT = 100;

/** Sends queries for name0, name1 … from as many sockets as are to wait at once, and prints how many answers were right. */
const CLIENT = `
  const { createSocket } = require("node:dgram");
  let next = 0, right = 0, wrong = 0, open = 0;
  const queryOf = (i) => {
    const name = "name" + (i % ${NAMES});
    const head = Buffer.from("0000010000010000000000000000010001", "hex");
    head.writeUInt16BE(i, 0);
    return Buffer.concat([head.subarray(0, 12), Buffer.from([name.length]), Buffer.from(name), Buffer.from("0000010001", "hex")]);
  };
  for (let s = 0; s < ${AT_ONCE_SENT}; s++) {
    const socket = createSocket("udp4");
    let i, timer;
    const send = () => {
      if (next === ${QUERIES}) { socket.close(); if (--open === 0) console.log(JSON.stringify({ right, wrong })); return; }
      i = next++;
      const query = queryOf(i);
      const sendOnce = () => socket.send(query, 53, "127.0.0.11");
      sendOnce();
      timer = setInterval(sendOnce, 3000);
    };
    socket.on("message", (answer) => {
      if (answer.readUInt16BE(0) < i) return; // the second one to an earlier question, which was sent twice
      clearInterval(timer);
      const n = i % ${NAMES};
      const address = Buffer.from([10, 9, n >> 8, n & 255]);
      if (answer.readUInt16BE(0) === i && (answer[3] & 15) === 0 && answer.subarray(-4).equals(address)) right++;
      else wrong++;
      send();
    });
    open++;
    socket.bind(0, "127.0.0.1", send);
  }
`;

/** What both processes may take that no other process of the executable shares, with so many names and after so many queries. */
const MOST_KILOBYTES = 8192;

/** Returns the memory that is a process's alone, in kB. */
function ownMemoryOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8").matchAll(/^Private_\w+: +(\d+) kB/gm);
  return [...fields].reduce((sum, [, kilobytes]) => sum + Number(kilobytes), 0);
}

t.test(
  `${QUERIES} queries, ${AT_ONCE_SENT} at once, while the resolver is killed and another container goes: each has its answer`,
  inFullRunOnly(needsRoot),
  async (t) => {
    const lab = newResolverLab(t, { containers: 2 });
    lab.attach(1, { network: "front", name: "another", addresses: ["10.9.200.1/16"] });
    const addresses = (n: number) => [`10.9.${n >> 8}.${n & 255}/16`];
    for (let n = 0; n < NAMES; n++)
      lab.attach(0, { network: "front", name: `name${n}`, addresses: addresses(n) }, `c${n}`);
    t.match(lab.sync(), { status: 0 });
    const client = join(lab.dir, "client.cjs");
    writeFileSync(client, CLIENT);
    const asked = lab.ask(0, process.execPath, client);
    const [web = lab.node] = lab.node.containers;
    while (web.run("ss", "-Huan").stdout.split("\n").length < AT_ONCE_SENT); // it asks
    process.kill(lab.worker(), "SIGKILL");
    lab.removeNamespace(1);
    t.strictSame(JSON.parse(await asked), { right: QUERIES, wrong: 0 });
    while (web.run("dig", "@127.0.0.11", "+short", "another").stdout !== "") await sleep(50);
    const kilobytes = lab.processes().map(ownMemoryOf);
    t.ok(kilobytes.reduce((sum, one) => sum + one) <= MOST_KILOBYTES, `of both processes: ${kilobytes.join(" + ")} kB`);
  },
);

t.test("nonsense by UDP and TCP harms nobody", needsRoot, async (t) => {
  const lab = newResolverLab(t, { containers: 1 });
  lab.attach(0, { network: "front", name: "web", addresses: ["172.18.0.2/16"] });
  lab.sync();
  const worker = lab.worker();
  sendNonsense(lab);
  const [web = lab.node] = lab.node.containers;
  t.equal(web.run("dig", "@127.0.0.11", "+short", "web").stdout, "172.18.0.2\n");
  t.equal(web.run("dig", "@127.0.0.11", "+short", "+tcp", "web").stdout, "172.18.0.2\n");
  t.equal(lab.worker(), worker, "it was not replaced");
});

/** Datagrams of random bytes and mutated queries; by TCP these too, lengths that promise more, connections that say nothing. */
function sendNonsense({ node, dir }: ResolverLab): void {
  const random = randomFrom(testSeed());
  const pick = (count: number) => Math.floor(random() * count);
  const query = Buffer.from("abcd01000001000000000000037765620000010001", "hex");
  const messages = Array.from({ length: 2000 }, (_, i) => {
    const bytes = i % 2 === 0 ? Buffer.from(query) : Buffer.alloc(pick(600), pick(256));
    for (let changes = pick(8); changes > 0 && bytes.length > 0; changes--) bytes[pick(bytes.length)] = pick(256);
    return bytes.toString("hex");
  });
  const program = join(dir, "nonsense.cjs");
  writeFileSync(
    program,
    `
    const messages = ${JSON.stringify(messages)}.map((text) => Buffer.from(text, "hex"));
    const socket = require("node:dgram").createSocket("udp4");
    const net = require("node:net");
    for (const message of messages) socket.send(message, 53, "127.0.0.11");
    socket.send(Buffer.alloc(65000, 0xc0), 53, "127.0.0.11");
    let left = 100;
    for (let i = 0; i < 100; i++) {
      const client = net.connect(53, "127.0.0.11", () => {
        if (i % 4 === 0) return;
        if (i % 4 === 1) client.write(messages[i]);
        if (i % 4 === 2) client.write(Buffer.from([0xff, 0xff, 1, 2, 3]));
        if (i % 4 === 3) for (let n = 0; n < 200; n++) client.write(Buffer.concat([Buffer.from([0, ${query.length}]), Buffer.from("${query.toString("hex")}", "hex")]));
      });
      client.on("error", () => {});
      client.on("close", () => {});
    }
    setTimeout(() => process.exit(), 1000);
  `,
  );
  node.containers[0]?.run(process.execPath, program);
}
