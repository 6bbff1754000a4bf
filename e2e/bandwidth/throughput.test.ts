// Limits as a TCP connection feels them.
import { spawn } from "node:child_process";
import t from "tap";
import { Chain, ingress, needed } from "./chain.ts";

/** Serves bytes to those who send "d", takes those of others, and answers when it has them all. */
const server = (bytes: number) => `
require("net").createServer((socket) => {
  let got = 0;
  socket.on("data", (data) => {
    if (got === 0 && data.toString() === "d") return socket.end(Buffer.alloc(${bytes}));
    if ((got += data.length) === ${bytes}) socket.end();
  });
}).listen(5001, "10.1.0.1", () => console.log("listening"));`;

/** Prints how long it takes, in ms. */
const client = (bytes: number, direction: "receives" | "sends") => `
const socket = require("net").connect(5001, "10.1.0.1", () => {
  const started = performance.now();
  socket.write(${direction === "receives" ? '"d"' : `Buffer.alloc(${bytes})`});
  socket.on("data", () => {}).on("end", () => { console.log(performance.now() - started); socket.end(); });
});`;

t.test("bandwidth: a limited container is slow, in both directions, and its neighbour is not", needed, async (t) => {
  const chain = new Chain(t, { containers: 2 });
  chain.result({ container: 1 });
  t.match(chain.call("ADD", { ...ingress, egressRate: 8_000_000, egressBurst: 800_000 }), { status: 0 });
  const bytes = 1_000_000;
  const serving = spawn("ip", ["netns", "exec", chain.node.name, process.execPath, "-e", server(bytes)]);
  t.teardown(() => serving.kill());
  await new Promise((resolve, reject) => serving.stdout.once("data", resolve).once("end", reject));
  const takes = (container: number, direction: "receives" | "sends") =>
    Number(chain.node.containers[container]?.run(process.execPath, "-e", client(bytes, direction)).stdout);
  const atLeast = 1000 * ((bytes - 100_000) / 1_000_000); // the burst is free
  for (const direction of ["receives", "sends"] as const) {
    const [limited, free] = [takes(0, direction), takes(1, direction)];
    t.ok(limited > 0.95 * atLeast, `${direction} 1 MB at 1 MB/s in ${Math.round(limited)} ms, at least ${atLeast}`);
    t.ok(limited < 3 * atLeast, "and not much slower than it may");
    t.ok(free > 0 && free < limited / 2, `the neighbour in ${Math.round(free)} ms`);
  }
});
