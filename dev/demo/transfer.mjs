// Bytes over TCP.   node transfer.mjs receive PORT        prints how many came
//                   node transfer.mjs send ADDRESS PORT COUNT
import { connect, createServer } from "node:net";

const [verb, ...args] = process.argv.slice(2);
if (verb === "receive") {
  const server = createServer((socket) => {
    let count = 0;
    socket.on("data", (chunk) => (count += chunk.length));
    socket.on("end", () => {
      socket.end(String(count));
      server.close();
    });
  });
  server.listen(Number(args[0]), "0.0.0.0", () => console.log("listening"));
} else {
  const [address, port, count] = args;
  const socket = connect(Number(port), address);
  const started = performance.now();
  let answer = "";
  socket.on("data", (chunk) => (answer += chunk));
  socket.on("close", () => {
    const ms = performance.now() - started;
    if (answer !== count) throw new Error(`${answer || "no"} bytes of ${count} came`);
    console.log(((Number(count) * 8) / ms / 1e6).toFixed(2));
  });
  socket.end(Buffer.alloc(Number(count), "x"));
}
