// What the Go plugins and their daemon said to each other (releases 1.1.1 and 1.9.1), and what of it arrives.
import t from "tap";
import { GobError, GobReader, type GobStruct, GobWriter, type StructType } from "./gob.ts";
import { RpcClient, RpcError, RpcServer } from "./rpc.ts";

const bytesOf = (digits: string): Uint8Array =>
  Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const digitsOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const textOf = (bytes: unknown): string => (bytes instanceof Uint8Array ? Buffer.from(bytes).toString() : "");

/** Release 1.9.1 asks for a lease. */
const allocate =
  "434f4e4e454354202f5f676f5250435f20485454502f312e300a0a2e7f030101075265717565737401ff80000102010d536572766963654d6574" +
  "686f64010c000103536571010600000012ff80010d444843502e416c6c6f63617465006cff8103010107436d644172677301ff82000107010b43" +
  "6f6e7461696e65724944010c0001054e65746e73010c00010649664e616d65010c00010441726773010c00010450617468010c00010d4e65746e" +
  "734f76657272696465010c000109537464696e44617461010a000000ff9eff820102633101112f72756e2f6e65746e732f64686c2d6331010465" +
  "7468300103413d62010c2f6f70742f636e692f62696e02697b22636e6956657273696f6e223a2022312e302e30222c20226e616d65223a20226e" +
  "6574222c20226970616d223a207b2274797065223a202264686370222c20226461656d6f6e536f636b657450617468223a20222f746d702f6468" +
  "6c2f6361702e736f636b227d7d00";
/** Its daemon answers. */
const allocated =
  "485454502f312e302032303020436f6e6e656374656420746f20476f205250430a0a397f03010108526573706f6e736501ff80000103010d5365" +
  "72766963654d6574686f64010c00010353657101060001054572726f72010c00000012ff80010d444843502e416c6c6f636174650051ff810301" +
  "0106526573756c7401ff82000105010a434e4956657273696f6e010c00010a496e746572666163657301ff8600010349507301ff8c000106526f" +
  "7574657301ff90000103444e5301ff9200000024ff85020101155b5d2a74797065733130302e496e7465726661636501ff860001ff8400004aff" +
  "83030102ff8400010601044e616d65010c0001034d6163010c0001034d7475010400010753616e64626f78010c00010a536f636b657450617468" +
  "010c0001055063694944010c00000023ff8b020101145b5d2a74797065733130302e4950436f6e66696701ff8c0001ff88000033ff87030102ff" +
  "880001030109496e7465726661636501040001074164647265737301ff8a00010747617465776179010a00000023ff890301010549504e657401" +
  "ff8a00010201024950010a0001044d61736b010a0000001dff8f0201010e5b5d2a74797065732e526f75746501ff900001ff8e000050ff8d0301" +
  "02ff8e000107010344737401ff8a0001024757010a0001034d545501040001064164764d535301040001085072696f7269747901040001055461" +
  "626c65010400010553636f7065010400000046ff9103010103444e5301ff92000104010b4e616d657365727665727301ff94000106446f6d6169" +
  "6e010c00010653656172636801ff940001074f7074696f6e7301ff9400000016ff93020101085b5d737472696e6701ff9400010c000048ff8203" +
  "010201040a4d000c0104ffffff000001040a4d0001000102010104c0a800000104ffff00000001040a4d00050001010400000000010400000000" +
  "0001040a4d000100010000";
/** Release 1.1.1 gives a lease back. */
const release =
  "434f4e4e454354202f5f676f5250435f20485454502f312e300a0a2fff81030101075265717565737401ff82000102010d536572766963654d65" +
  "74686f64010c000103536571010600000011ff82010c444843502e52656c65617365005aff8303010107436d644172677301ff84000106010b43" +
  "6f6e7461696e65724944010c0001054e65746e73010c00010649664e616d65010c00010441726773010c00010450617468010c00010953746469" +
  "6e44617461010a000000ff9eff840102633101112f72756e2f6e65746e732f64686c2d63310104657468300103413d62010c2f6f70742f636e69" +
  "2f62696e01697b22636e6956657273696f6e223a2022312e302e30222c20226e616d65223a20226e6574222c20226970616d223a207b22747970" +
  "65223a202264686370222c20226461656d6f6e536f636b657450617468223a20222f746d702f64686c2f6361702e736f636b227d7d00";

t.test("a request of the Go plugin is understood, in pieces of any size", async (t) => {
  for (const size of [1, 7, 1000]) {
    const server = new RpcServer();
    const bytes = bytesOf(allocate);
    const requests = [];
    const sent: string[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      const received = server.receive(bytes.slice(at, at + size));
      requests.push(...received.requests);
      if (received.send !== undefined) sent.push(textOf(received.send));
    }
    t.strictSame(sent, ["HTTP/1.0 200 Connected to Go RPC\n\n"]);
    t.match(requests, [
      {
        method: "DHCP.Allocate",
        sequence: 0,
        args: { ContainerID: "c1", Netns: "/run/netns/dhl-c1", IfName: "eth0", Args: "A=b", Path: "/opt/cni/bin" },
      },
    ]);
    t.match(textOf(requests[0]?.args["StdinData"]), /^\{"cniVersion": "1\.0\.0"/);
  }
});

t.test("a request of the old Go plugin, which has a field less, is understood", async (t) => {
  t.match(new RpcServer().receive(bytesOf(release)).requests, [{ method: "DHCP.Release", args: { IfName: "eth0" } }]);
});

t.test("an answer of the Go daemon is understood", async (t) => {
  const client = new RpcClient();
  const bytes = bytesOf(allocated);
  t.equal(client.isWelcome(bytes.slice(0, 20)), false);
  t.equal(client.isWelcome(bytes.slice(20)), true);
  const answer = client.receive(new Uint8Array(0));
  const address = (digits: string) => bytesOf(digits);
  t.strictSame(answer, {
    IPs: [{ Address: { IP: address("0a4d000c"), Mask: address("ffffff00") }, Gateway: address("0a4d0001") }],
    Routes: [
      { Dst: { IP: address("c0a80000"), Mask: address("ffff0000") }, GW: address("0a4d0005") },
      { Dst: { IP: address("00000000"), Mask: address("00000000") }, GW: address("0a4d0001") },
    ],
    DNS: {},
  });
});

const args: StructType = {
  name: "CmdArgs",
  fields: [
    ["ContainerID", "string"],
    ["StdinData", "bytes"],
  ],
};
const inner: StructType = {
  name: "Inner",
  fields: [
    ["Number", "int"],
    ["Yes", "bool"],
  ],
};
const outer: StructType = {
  name: "Outer",
  fields: [
    ["Texts", { list: "string" }],
    ["Inners", { list: inner }],
    ["One", inner],
    ["Count", "uint"],
  ],
};

t.test("a description of a type goes out as Go's does", async (t) => {
  const bytes = new GobWriter().write(
    {
      name: "Request",
      fields: [
        ["ServiceMethod", "string"],
        ["Seq", "uint"],
      ],
    },
    {
      ServiceMethod: "DHCP.Release",
    },
  );
  const go =
    "2fff81030101075265717565737401ff82000102010d536572766963654d6574686f64010c000103536571010600000011ff82010c444843502e52656c6561736500";
  t.equal(digitsOf(bytes), go, "release 1.1.1, byte for byte");
});

t.test("what is written is read again", async (t) => {
  const value: GobStruct = {
    Texts: ["", "a", "ü".repeat(300)],
    Inners: [{ Number: -1, Yes: true }, { Number: 2 ** 40 }, {}, { Number: -129 }],
    One: { Number: 63 },
    Count: 2 ** 52,
  };
  const [writer, reader] = [new GobWriter(), new GobReader()];
  for (const round of [1, 2]) {
    reader.push(writer.write(outer, value));
    t.strictSame(reader.next(), value, `${round}`);
  }
  t.equal(reader.next(), undefined);
});

t.test("call and answer, both ours", async (t) => {
  const [client, server] = [new RpcClient(), new RpcServer()];
  const { send } = server.receive(client.greeting);
  t.equal(client.isWelcome(send ?? new Uint8Array(0)), true);
  const { requests } = server.receive(client.request("DHCP.Check", args, { ContainerID: "x" }));
  const [request] = requests;
  if (request === undefined) throw new Error("no request");
  t.strictSame(request, { method: "DHCP.Check", sequence: 0, args: { ContainerID: "x" } });
  t.strictSame(client.receive(server.answer(request, inner, { Number: 5 })), { Number: 5 });
  t.throws(
    () => new RpcClient().receive(new RpcServer().refuse(request, "no more tries")),
    new RpcError("no more tries"),
  );
});

t.test("who speaks something else is told so, or cut off", async (t) => {
  const greet = (text: string) => new RpcServer().receive(Buffer.from(text));
  t.match(textOf(greet("GET / HTTP/1.1\r\n\r\n").send), /^HTTP\/1\.0 405 /);
  t.equal(greet("CONNECT /_goRPC_ HT").send, undefined);
  t.throws(() => greet("x".repeat(5000)), new GobError("no HTTP"));
  t.throws(
    () => greet("CONNECT /_goRPC_ HTTP/1.0\n\n\x02\x40\x00"),
    new GobError("type 32 is no struct that was described"),
  );
  t.throws(
    () => new RpcClient().isWelcome(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")),
    new GobError('it answered "HTTP/1.1 400 Bad Request"'),
  );
});

t.test("whatever the bytes are, there is an answer or a GobError", async (t) => {
  const golden = bytesOf(allocate).slice(27);
  let [refused, state] = [0, 7];
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  };
  for (let round = 0; round < 5000; round++) {
    const bytes = golden.slice(0, round % 3 === 0 ? random() % golden.length : undefined);
    for (let i = 0; i < 1 + (round % 8); i++) bytes[(random() * 256 + random()) % bytes.length] = random();
    const reader = new GobReader();
    try {
      reader.push(bytes);
      while (reader.next() !== undefined);
    } catch (error) {
      if (!(error instanceof GobError)) throw error;
      refused++;
    }
  }
  t.ok(refused > 1000, `sees refusals: ${refused}`);
});

t.test("a type that is made of itself does not run for ever", async (t) => {
  const self: { name: string; fields: [string, StructType][] } = { name: "Self", fields: [] };
  self.fields.push(["Self", self]);
  let value: GobStruct = {};
  for (let i = 0; i < 100; i++) value = { Self: value };
  const reader = new GobReader();
  reader.push(new GobWriter().write(self, value));
  t.throws(() => reader.next(), new GobError("types within types without end"));
});
