#!/usr/bin/env node
// A client of containerd's CRI service, as kubelet is: gRPC over HTTP/2, with the few messages of `runtime.v1` that pods need.
//
//   node cri.mjs run NAME HOST-PORT CGROUP [ANNOTATION=VALUE...]   starts a pod whose port 80 is published, prints its ID
//   node cri.mjs stop ID
//   node cri.mjs remove ID
//   node cri.mjs list                                              prints ID and name of each pod, those that failed too
//   node cri.mjs address ID                                        prints the address that the runtime tells kubelet
//   node cri.mjs status                                            prints what the node's readiness depends on, a line each
//
// The exit status is 1 where containerd refuses, with its words on stderr. Plain Node: it runs inside a test's machine.
import { once } from "node:events";
import { connect } from "node:http2";
import { connect as connectTo } from "node:net";

const SOCKET = "/run/containerd/containerd.sock";

const [command, ...args] = process.argv.slice(2);
const calls = {
  run: async (name, hostPort, cgroup, ...annotations) => {
    const metadata = message([1, name], [2, `uid-${name}`], [3, "default"]);
    const portMapping = message([2, 80], [3, Number(hostPort)]);
    const entries = annotations.map((text) => [7, message(...text.split("=").map((part, i) => [i + 1, part]))]);
    const config = message([1, metadata], [2, name], [5, portMapping], ...entries, [8, message([1, cgroup])]);
    const answer = await call("RunPodSandbox", message([1, config]));
    console.log(textOf(answer, 1));
  },
  stop: (id) => call("StopPodSandbox", message([1, id])),
  remove: (id) => call("RemovePodSandbox", message([1, id])),
  address: async (id) => {
    const [[, status]] = fields(await call("PodSandboxStatus", message([1, id])));
    const [network] = fields(status).flatMap(([number, value]) => (number === 5 ? [value] : []));
    console.log(textOf(network, 1));
  },
  list: async () => {
    for (const [, pod] of fields(await call("ListPodSandbox", message()))) {
      const [, metadata] = fields(pod).find(([number]) => number === 2);
      console.log(`${textOf(pod, 1)} ${textOf(metadata, 1)}`);
    }
  },
  status: async () => {
    const [[, status]] = fields(await call("Status", message()));
    for (const [, condition] of fields(status)) {
      const isTrue = fields(condition).some(([number, value]) => number === 2 && value === 1);
      console.log(`${textOf(condition, 1)} ${isTrue} ${textOf(condition, 3)} ${textOf(condition, 4)}`.trim());
    }
  },
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

/** Decodes a protobuf message. @returns [number, bytes | integer] each, in their order */
function fields(bytes) {
  const found = [];
  let at = 0;
  const integer = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = integer();
    const value = integer();
    const isText = (tag & 7) === 2;
    found.push([tag >>> 3, isText ? bytes.subarray(at, at + value) : value]);
    if (isText) at += value;
  }
  return found;
}

function textOf(bytes, wanted) {
  return String(fields(bytes).find(([number]) => number === wanted)?.[1] ?? "");
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
