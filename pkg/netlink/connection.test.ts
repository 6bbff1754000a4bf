// What a real kernel will not do on demand comes from a fake one: a function, requests in, datagrams out. The rest is asked of the real one.
import t from "tap";
import { Errno, SystemError } from "../sys/errno.ts";
import { readText } from "../sys/file.ts";
import { unshareNetwork } from "../sys/namespace.ts";
import { type Channel, Connection, connect, NETLINK_ROUTE, NetlinkError, query, request } from "./connection.ts";
import { encode } from "./message.ts";
import {
  decodeNlmsgs,
  encodeNlmsg,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  type Nlmsg,
} from "./nlmsg.ts";
import { IFF_UP } from "./rtnetlink/link/interface.ts";
import { linkMessage, RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK } from "./rtnetlink/link.ts";

type Datagram = Uint8Array | "ENOBUFS";

const { ENODEV, EPERM } = Errno;

/** A channel to a kernel that answers each datagram with the datagrams that `answer` makes of its messages. */
function fake(answer: (requests: Nlmsg[], round: number) => Datagram[]): Connection {
  const waiting: Datagram[] = [];
  let round = 0;
  const take = (): Uint8Array | undefined => {
    const next = waiting.shift();
    if (next === "ENOBUFS") throw new SystemError("recvfrom", 105);
    return next;
  };
  const channel: Channel = {
    fd: -1,
    send(datagram) {
      round++;
      waiting.push(...answer(decodeNlmsgs(datagram), round));
    },
    receive() {
      const next = take();
      if (next === undefined) throw new Error("would wait for ever");
      return next;
    },
    receiveArrived: take,
    close() {},
  };
  return new Connection(channel);
}

/** NLMSG_ERROR without the request's body; errno 0 is an acknowledgement. */
function ack({ sequence }: { sequence: number }, errno = 0): Uint8Array {
  const body = new DataView(new ArrayBuffer(20));
  body.setInt32(0, -errno, true);
  body.setUint32(4, 16, true);
  return encodeNlmsg({ type: NLMSG_ERROR, flags: 0x100, sequence }, new Uint8Array(body.buffer));
}

const done = ({ sequence }: { sequence: number }, flags = 0) =>
  encodeNlmsg({ type: NLMSG_DONE, flags: NLM_F_MULTI | flags, sequence }, new Uint8Array(4));

const link = ({ sequence }: { sequence: number }, ifName: string, flags = 0) =>
  encodeNlmsg({ type: RTM_NEWLINK, flags: NLM_F_MULTI | flags, sequence }, encode(linkMessage, { index: 1, ifName }));

const joined = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));

const getLinks = query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: linkMessage, value: {} });
const setUp = (index: number) =>
  request({
    name: "RTM_SETLINK",
    type: RTM_SETLINK,
    table: linkMessage,
    value: { index, flags: IFF_UP, change: IFF_UP },
  });

const first = (requests: Nlmsg[]): Nlmsg => {
  const [only] = requests;
  if (only === undefined) throw new Error("no request");
  return only;
};
const names = (links: { ifName?: string }[]) => links.map(({ ifName }) => ifName);

/** The text of what is thrown. */
function thrown(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as Error).message;
  }
  return "nothing";
}

t.test("findAll gives the answer of each query, undefined for what does not exist", async (t) => {
  const rtnl = fake(([one, other]) => [ack(other as Nlmsg, ENODEV), link(one as Nlmsg, "eth0")]);
  t.strictSame(
    rtnl.findAll([getLinks, getLinks]).map((found) => found?.ifName),
    ["eth0", undefined],
  );
  t.strictSame(rtnl.findAll([]), []);
});

t.test("findAll throws any other refusal", async (t) => {
  const rtnl = fake(([one, other]) => [link(one as Nlmsg, "eth0"), ack(other as Nlmsg, EPERM)]);
  t.throws(() => rtnl.findAll([getLinks, getLinks]), { name: "NetlinkError", errno: EPERM });
});

t.test("answers find their requests by sequence number, and the last one's answer ends the wait", (t) => {
  const kernel = fake((requests) => {
    const [, second, third] = requests;
    if (second === undefined || third === undefined) throw new Error("fewer requests than were made");
    return [ack({ sequence: second.sequence - 9 } as Nlmsg, 22), ack(second, 19), ack(third)];
  });
  const outcomes = kernel.attemptAll([setUp(1), setUp(2), setUp(3)]);
  t.strictSame(
    outcomes.map((outcome) => outcome?.message),
    [undefined, "RTM_SETLINK: ENODEV", undefined],
  );
  t.end();
});

t.test("a later request does not contain what an earlier, longer one left in the buffer", (t) => {
  const sent: Uint8Array[] = [];
  const kernel = fake((requests) => {
    sent.push(...requests.map(({ body }) => body.slice()));
    return requests.map((one) => ack(one));
  });
  const named = (ifName: string) =>
    request({ name: "RTM_SETLINK", type: RTM_SETLINK, table: linkMessage, value: { ifName, alias: ifName } });
  kernel.request(named("x".repeat(9000)));
  kernel.request(named("x".repeat(1000)));
  kernel.request(named("y"));
  t.strictSame(sent[2], encode(linkMessage, { ifName: "y", alias: "y" }));
  t.end();
});

t.test("a query behind requests is answered in the same send, and the first refusal is thrown", (t) => {
  const sizes: number[] = [];
  const kernel = (refused: readonly number[]) =>
    fake((requests) => {
      sizes.push(requests.length);
      return requests.flatMap((one, i) => {
        if (refused.includes(i)) return [ack(one, 17 + i)];
        return i === requests.length - 1 ? [link(one, "eth0")] : [];
      });
    });
  t.match(kernel([]).requestAllAndGet([setUp(1), setUp(2)], getLinks), { ifName: "eth0" });
  t.equal(
    thrown(() => kernel([0, 1, 2]).requestAllAndGet([setUp(1), setUp(2)], getLinks)),
    "RTM_SETLINK: EEXIST",
  );
  t.equal(
    thrown(() => kernel([1]).requestAllAndGet([setUp(1), setUp(2)], getLinks)),
    "RTM_SETLINK: EXDEV",
  );
  t.equal(
    thrown(() => kernel([2]).requestAllAndGet([setUp(1), setUp(2)], getLinks)),
    "RTM_GETLINK: ENODEV",
  );
  t.strictSame(sizes, [3, 3, 3, 3]);
  t.end();
});

t.test("many requests go out in several sends, and of each only the last is acknowledged", (t) => {
  const NLM_F_ACK = 4;
  const sizes: number[] = [];
  const kernel = fake((requests) => {
    sizes.push(requests.length);
    return requests.flatMap((one) => {
      if (one.sequence % 100 === 50) return [ack(one, 19)];
      return (one.flags & NLM_F_ACK) === 0 ? [] : [ack(one)];
    });
  });
  const outcomes = kernel.attemptAll(Array.from({ length: 300 }, (_, i) => setUp(i)));
  t.strictSame(sizes, [128, 128, 44]);
  t.strictSame(
    outcomes.flatMap((outcome, i) => (outcome ? [i + 1] : [])),
    [50, 150, 250],
  );
  t.end();
});

t.test("answers to earlier requests are passed over", (t) => {
  const kernel = fake(([one]) => (one === undefined ? [] : [ack({ sequence: one.sequence - 1 }, 1), ack(one)]));
  kernel.request(setUp(1));
  t.equal(
    thrown(() => kernel.request(setUp(1))),
    "nothing",
  );
  t.end();
});

t.test("a dump that the kernel calls interrupted is asked for again", (t) => {
  for (const how of ["in a message", "at the end", "as EINTR"]) {
    const kernel = fake((requests, round) => {
      const one = first(requests);
      if (round === 3) return [joined(link(one, "eth0"), link(one, "eth1")), done(one)];
      if (how === "in a message") return [link(one, "old", NLM_F_DUMP_INTR), done(one)];
      if (how === "at the end") return [link(one, "old"), done(one, NLM_F_DUMP_INTR)];
      return [link(one, "old"), ack(one, 4)];
    });
    t.strictSame(names(kernel.dump(getLinks)), ["eth0", "eth1"], how);
  }
  t.end();
});

t.test(
  "a dump of which the kernel dropped a part is asked for again, and late parts of the first one are not mixed in",
  (t) => {
    const kernel = fake((requests, round) => {
      const one = first(requests);
      if (round === 1) return [link(one, "a"), "ENOBUFS"];
      return [
        link({ sequence: one.sequence - 1 }, "late"),
        done({ sequence: one.sequence - 1 }),
        link(one, "b"),
        done(one),
      ];
    });
    t.strictSame(names(kernel.dump(getLinks)), ["b"]);
    t.end();
  },
);

t.test("a dump that is always interrupted ends with an error", (t) => {
  const kernel = fake((requests) => [done(first(requests), NLM_F_DUMP_INTR)]);
  t.equal(
    thrown(() => kernel.dump(getLinks)),
    "RTM_GETLINK: EAGAIN (changed during each of 20 dumps)",
  );
  t.end();
});

t.test("a transaction reports the first refusal, and leaves no answer for the next one", (t) => {
  const marker = (name: string) => request({ name, type: 16, table: linkMessage, value: {} });
  const kernel = fake((requests, round) => {
    if (round === 2) return [ack(requests.at(-2) ?? first(requests))];
    const [, second, third] = requests;
    return second && third ? [joined(ack(second, 2), ack(third, 17))] : [];
  });
  const batch = { begin: marker("BEGIN"), requests: [setUp(1), setUp(2)], end: marker("END") };
  t.equal(
    thrown(() => kernel.transact(batch)),
    "RTM_SETLINK: ENOENT",
  );
  t.equal(
    thrown(() => kernel.transact(batch)),
    "nothing",
  );
  t.end();
});

const needsRoot = /^Uid:\s+0\s/m.test(readText("/proc/self/status")) ? {} : { skip: "needs root" };
t.test("the real kernel", needsRoot, (t) => {
  unshareNetwork();
  const rtnl = connect(NETLINK_ROUTE);

  t.strictSame(names(rtnl.dump(getLinks)), ["lo"]);
  const loopback = rtnl.get(query({ ...getLinks, table: linkMessage, value: { ifName: "lo" } }));
  t.equal(loopback.index, 1);
  t.equal(rtnl.find(query({ ...getLinks, table: linkMessage, value: { ifName: "none" } })), undefined);

  rtnl.requestAll([setUp(1)]);
  t.ok((rtnl.get(query({ ...getLinks, table: linkMessage, value: { index: 1 } })).flags & IFF_UP) !== 0);

  const unknownKind = request({
    name: "RTM_NEWLINK",
    type: RTM_NEWLINK,
    flags: 0x600,
    table: linkMessage,
    value: { ifName: "x0", linkInfo: { kind: "nosuch" } },
  });
  t.equal(
    thrown(() => rtnl.request(unknownKind)),
    "RTM_NEWLINK: EOPNOTSUPP (Unknown device type)",
  );
  const [good, bad] = rtnl.attemptAll([setUp(1), setUp(4711)]);
  t.equal(good, undefined);
  t.ok(bad instanceof NetlinkError && bad.errno === 19);

  const nobody = Array.from({ length: 3000 }, (_, i) => setUp(i % 3 === 1 ? 1 : 10_000 + i));
  t.strictSame(
    rtnl.attemptAll(nobody).map((outcome) => outcome?.message),
    nobody.map((_, i) => (i % 3 === 1 ? undefined : "RTM_SETLINK: ENODEV")),
    "thousands of refusals, each of its request: none is lost for want of room",
  );

  const bridges = Array.from({ length: 100 }, (_, i) =>
    request({
      name: "RTM_NEWLINK",
      type: RTM_NEWLINK,
      flags: 0x600,
      table: linkMessage,
      value: { ifName: `br${i}`, linkInfo: { kind: "bridge" } },
    }),
  );
  rtnl.requestAll(bridges);
  t.equal(rtnl.dump(getLinks).length, 101, "a dump of several datagrams, after a batch of many requests");
  t.end();
});
