// What the resolver asks the host's own servers: a real one (dnsmasq), one that is silent, one that is not there, and one that lies.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { newResolverLab, type ResolverLab } from "./lab.ts";

type Test = Parameters<typeof newResolverLab>[0];

const REAL = "127.0.0.53";
const SILENT = "127.0.0.54";
const LIAR = "127.0.0.55";
const ABSENT = "127.0.0.56";

/** Starts the servers in the host's namespace, and returns when they listen. */
async function withServers(t: Test): Promise<ResolverLab> {
  const lab = newResolverLab(t, { containers: 1 });
  lab.node.sh("ip link set lo up");
  const names = Array.from({ length: 60 }, (_, i) => `--host-record=many.test,192.0.2.${i + 1}`);
  const hosts = ["--host-record=a.test,192.0.2.1,2001:db8::1", "--cname=b.test,a.test", ...names];
  lab.start(
    "dnsmasq",
    "-k",
    "-h",
    "-R",
    "-C",
    "/dev/null",
    "-x",
    "",
    "--user=root",
    "-z",
    `-a${REAL}`,
    "--local=/test/",
    ...hosts,
  );
  lab.start("socat", "-u", `UDP4-RECV:53,bind=${SILENT}`, "/dev/null");
  const liar = join(lab.dir, "liar.cjs");
  writeFileSync(liar, LIES);
  lab.start(process.execPath, liar);
  const listening = () => lab.node.run("ss", "-Hlun").stdout;
  while (![REAL, SILENT, LIAR].every((address) => listening().includes(`${address}:53`))) await sleep(20);
  lab.attach(0, { network: "front", name: "web", addresses: ["172.18.0.2/16"] });
  return lab;
}

/** Answers each query wrongly in every way, and last, for names that begin with "true", rightly. */
const LIES = `
  const socket = require("node:dgram").createSocket("udp4");
  const other = require("node:dgram").createSocket("udp4");
  socket.on("message", (query, { port, address }) => {
    const end = query.indexOf(0, 12) + 5;
    const record = Buffer.from("c00c00010001000000000004cb007107", "hex");
    const answer = Buffer.concat([query.subarray(0, end), record]);
    answer.writeUInt16BE(0x8180, 2);
    answer.writeUInt16BE(1, 6);
    answer.writeUInt16BE(0, 10);
    const changed = (change) => { const copy = Buffer.from(answer); change(copy); return copy; };
    const lies = [
      changed((it) => it.writeUInt16BE((it.readUInt16BE(0) + 1) & 0xffff, 0)),
      changed((it) => it[13]++),
      changed((it) => it.writeUInt16BE(2, 4)),
      changed((it) => it.writeUInt16BE(0xc000 | end, end)),
      changed((it) => it.writeUInt16BE(0xffff, 6)),
      answer.subarray(0, end + 3),
      Buffer.alloc(60000, 0xc0),
      Buffer.alloc(0),
      Buffer.alloc(1),
      query,
    ];
    other.send(answer, port, address);
    for (const lie of lies) socket.send(lie, port, address);
    if (query.subarray(13, 17).toString() === "true") {
      answer.writeUInt32BE(0xc0000207, answer.length - 4);
      socket.send(answer, port, address);
    }
  });
  socket.bind(53, "${LIAR}");
  const most = 4094; // records that fit into 64 kB behind the question
  require("node:net").createServer((client) => {
    client.on("error", () => {});
    client.on("data", (bytes) => {
      const query = bytes.subarray(2);
      const question = query.subarray(0, query.indexOf(0, 12) + 5);
      const name = query.subarray(13, 13 + query[12]).toString();
      const record = Buffer.from("c00c00010001000000000004c0000201", "hex");
      const answer = Buffer.concat([question, ...Array(most).fill(record)]);
      answer.writeUInt16BE(0x8180, 2);
      answer.writeUInt16BE(most, 6);
      answer.writeUInt16BE(0, 10);
      if (name === "loop") answer.writeUInt16BE(0xc000 | question.length, question.length);
      const length = Buffer.from([answer.length >> 8, answer.length & 255]);
      if (name === "half") client.end(Buffer.concat([length, answer.subarray(0, 30000)]));
      else client.write(Buffer.concat([length, answer]));
    });
  }).listen(53, "${LIAR}");
`;

t.test("names of other domains are asked of the host's resolver", needsRoot, async (t) => {
  const lab = await withServers(t);
  lab.setHostResolvers(REAL);
  t.match(lab.sync(), { status: 0 });
  const [web = lab.node] = lab.node.containers;
  const dig = (...args: string[]) => web.run("dig", "@127.0.0.11", ...args).stdout;
  t.equal(dig("+short", "b.test"), "a.test.\n192.0.2.1\n");
  t.equal(dig("+short", "a.test", "AAAA"), "2001:db8::1\n");
  t.match(dig("nosuch.test"), /status: NXDOMAIN/);
  t.match(dig("+ignore", "+noedns", "many.test"), /flags: qr[^;]* tc /, "what is too large is cut");
  t.equal(dig("+short", "+noedns", "many.test").trim().split("\n").length, 60, "and comes by TCP");
  t.match(web.run("busybox", "nslookup", "a.test", "127.0.0.11").stdout, /Address: 192\.0\.2\.1\n.*2001:db8::1/s);
});

t.test(
  "the next server is asked where one is silent or absent, and is asked first from then on",
  needsRoot,
  async (t) => {
    const lab = await withServers(t);
    const [web = lab.node] = lab.node.containers;
    const dig = () => web.run("dig", "@127.0.0.11", "+short", "+tries=1", "+timeout=5", "a.test").stdout;
    for (const broken of [ABSENT, SILENT]) {
      lab.setHostResolvers(broken, REAL);
      lab.sync();
      t.equal(dig(), "192.0.2.1\n", broken);
    }
    const started = process.hrtime.bigint();
    for (let i = 0; i < 5; i++) t.equal(dig(), "192.0.2.1\n");
    t.ok(process.hrtime.bigint() - started < 4_000_000_000n, "the silent one costs a second once");
  },
);

t.test("where no server answers, the client is told before it gives up", inFullRunOnly(needsRoot), async (t) => {
  const lab = await withServers(t);
  const [web = lab.node] = lab.node.containers;
  const dig = () => web.run("dig", "@127.0.0.11", "+tries=1", "+timeout=5", "a.test").stdout;
  lab.setHostResolvers(SILENT);
  lab.sync();
  const asked = lab.ask(0, "dig", "@127.0.0.11", "+tries=1", "+timeout=5", "a.test");
  t.equal(web.run("dig", "@127.0.0.11", "+short", "web").stdout, "172.18.0.2\n", "others do not wait for it");
  t.match(await asked, /status: SERVFAIL/);
  lab.setHostResolvers(ABSENT);
  t.match(dig(), /status: SERVFAIL/);
  lab.setHostResolvers();
  t.match(dig(), /status: SERVFAIL/);
});

t.test("answers with a wrong ID, question, source or form are not passed on", needsRoot, async (t) => {
  const lab = await withServers(t);
  lab.setHostResolvers(LIAR);
  lab.sync();
  const [web = lab.node] = lab.node.containers;
  const dig = (name: string) => web.run("dig", "@127.0.0.11", "+tries=1", "+timeout=5", name).stdout;
  t.match(dig("true.test"), /ANSWER: 1.*true\.test\.\s+0\s+IN\s+A\s+192\.0\.2\.7/s, "the one right answer is");
  t.match(dig("false.test"), /status: SERVFAIL.*ANSWER: 0/s);
  lab.setHostResolvers(LIAR, REAL);
  t.match(dig("a.test"), /192\.0\.2\.1/, "an honest server is asked as well");
});

t.test(
  "by TCP, 64 kB are passed on, a compression loop and an answer that ends early are not",
  needsRoot,
  async (t) => {
    const lab = await withServers(t);
    lab.setHostResolvers(LIAR);
    lab.sync();
    const worker = lab.worker();
    const [web = lab.node] = lab.node.containers;
    const dig = (name: string) => web.run("dig", "@127.0.0.11", "+tcp", "+tries=1", "+timeout=20", name).stdout;
    t.match(dig("whole.test"), /status: NOERROR.*ANSWER: 4094,/s);
    t.match(dig("loop.test"), /status: SERVFAIL.*ANSWER: 0/s);
    t.match(dig("half.test"), /status: SERVFAIL.*ANSWER: 0/s);
    t.equal(lab.worker(), worker);
  },
);

t.test(
  "where resolv.conf is a directory or a FIFO, other names fail and those of containers are answered",
  needsRoot,
  async (t) => {
    const lab = newResolverLab(t, { containers: 1 });
    lab.attach(0, { network: "front", name: "web", addresses: ["172.18.0.2/16"] });
    const path = join(lab.dir, "resolv.conf");
    const dig = (name: string) =>
      lab.node.containers[0]?.sh(`dig @127.0.0.11 +tries=1 +time=5 ${name} </dev/null`) ?? "";
    lab.sync();
    for (const make of [() => mkdirSync(path), () => lab.node.sh(`mkfifo ${path}`)]) {
      rmSync(path, { recursive: true });
      make();
      t.match(dig("example.com"), "SERVFAIL");
      t.match(dig("web"), "172.18.0.2");
    }
  },
);
