// Talks over the network on behalf of a test, from inside a namespace. Usage: node peer.mjs
//
// Serves on one port: TCP takes bytes until the end and answers with their digest and where they came from, UDP echoes with
// where it came from. Asks others on command, a line of JSON on stdin each: {"id", "protocol": "tcp" | "udp", "address", "size"}; the
// answer is a line {"id", "intact", "from"} or {"id", "error"}.
import { createHash, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";

const PORT = 4000;
const PATIENCE_MS = 5000;
const RESEND_MS = 250;

const tcp = createServer({ allowHalfOpen: true }, (socket) => {
  const digest = createHash("sha256");
  socket.on("error", () => {});
  socket.on("data", (part) => digest.update(part));
  socket.on("end", () =>
    socket.end(JSON.stringify({ digest: digest.digest("hex"), from: plain(socket.remoteAddress) })),
  );
});
const udp = createSocket("udp6");
udp.on("message", (message, { address, port }) => {
  udp.send(JSON.stringify({ digest: digestOf(message), from: plain(address) }), port, address);
});
tcp.listen(PORT, "::", () => udp.bind(PORT, "::", () => console.log("serving")));

const asks = { tcp: askTcp, udp: askUdp };
createInterface({ input: process.stdin }).on("line", async (line) => {
  const { id, protocol, address, size } = JSON.parse(line);
  const bytes = randomBytes(size);
  const answer = await asks[protocol](address, bytes).then(
    ({ digest, from }) => ({ intact: digest === digestOf(bytes), from }),
    (error) => ({ error: error.message }),
  );
  console.log(JSON.stringify({ id, ...answer }));
});

function askTcp(address, bytes) {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect({ host: address, port: PORT }, () => socket.end(bytes));
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error(`no answer from ${address}`)));
    socket.on("error", reject);
    socket.on("data", (part) => (answer += part));
    socket.on("end", () => resolve(JSON.parse(answer)));
  });
}

/** Asks again now and then: a datagram may be lost. */
function askUdp(address, bytes) {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    const send = () => socket.send(bytes, PORT, address, () => {});
    const again = setInterval(send, RESEND_MS);
    const late = setTimeout(() => done(reject, new Error(`no answer from ${address}`)), PATIENCE_MS);
    const done = (settle, value) => {
      clearInterval(again);
      clearTimeout(late);
      socket.close();
      settle(value);
    };
    socket.on("message", (message) => done(resolve, JSON.parse(message)));
    send();
  });
}

function digestOf(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

/** IPv4 as it is written, not inside IPv6. */
function plain(address) {
  return address.replace(/^::ffff:/, "");
}
