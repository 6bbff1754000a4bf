#!/usr/bin/env node
// A client of containerd's CRI service, as kubelet is: gRPC over HTTP/2, with the few messages of `runtime.v1` that pods need.
//
//   node cri.mjs run NAME HOST-PORT CGROUP   starts a pod whose port 80 is published, prints its ID
//   node cri.mjs stop ID
//   node cri.mjs remove ID
//
// The exit status is 1 where containerd refuses, with its words on stderr. Plain Node: it runs inside a test's machine.
import { once } from "node:events";
import { connect } from "node:http2";
import { connect as connectTo } from "node:net";

const SOCKET = "/run/containerd/containerd.sock";

const [command, ...args] = process.argv.slice(2);
const calls = {
  run: async (name, hostPort, cgroup) => {
    const metadata = message([1, name], [2, `uid-${name}`], [3, "default"]);
    const portMapping = message([2, 80], [3, Number(hostPort)]);
    const config = message([1, metadata], [2, name], [5, portMapping], [8, message([1, cgroup])]);
    const answer = await call("RunPodSandbox", message([1, config]));
    console.log(answer.subarray(2).toString()); // one field, the ID, after its tag and length
  },
  stop: (id) => call("StopPodSandbox", message([1, id])),
  remove: (id) => call("RemovePodSandbox", message([1, id])),
};
await calls[command](...args);

/** Encodes a protobuf message. @param fields [number, text | message | integer] each */
function message(...fields) {
  return Buffer.concat(
    fields.map(([number, value]) => {
      if (typeof value === "number") return Buffer.concat([varint(number << 3), varint(value)]);
      const bytes = Buffer.from(value);
      return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
    }),
  );
}

function varint(value) {
  return Buffer.from(value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)]);
}

/** @returns the answer's message */
async function call(method, request) {
  const session = connect("http://localhost", { createConnection: () => connectTo(SOCKET) });
  const stream = session.request({
    ":method": "POST",
    ":path": `/runtime.v1.RuntimeService/${method}`,
    "content-type": "application/grpc",
    te: "trailers",
  });
  const header = Buffer.alloc(5); // not compressed, and the length
  header.writeUInt32BE(request.length, 1);
  stream.end(Buffer.concat([header, request]));
  let ending = {};
  stream.on("response", (headers) => {
    ending = headers; // of an answer without message
  });
  stream.on("trailers", (trailers) => {
    ending = trailers;
  });
  const chunks = [];
  stream.on("data", (chunk) => chunks.push(chunk));
  await once(stream, "end");
  session.close();
  if (ending["grpc-status"] !== "0") {
    console.error(decodeURIComponent(ending["grpc-message"] ?? `${method}: no status`));
    process.exit(1);
  }
  return Buffer.concat(chunks).subarray(header.length);
}
