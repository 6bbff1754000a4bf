// What a real kernel will not do on demand: refuse because somebody was faster. What it does otherwise: e2e/firewall.
import t from "tap";
import { concat } from "../../bytes/concat.ts";
import { type Channel, Connection } from "../../netlink/connection.ts";
import { decode, encode } from "../../netlink/message.ts";
import { batchMessage, NFNL_MSG_BATCH_BEGIN } from "../../netlink/nftables/batch.ts";
import { NFT_MSG_GETCHAIN, NFT_MSG_NEWCHAIN } from "../../netlink/nftables/chain.ts";
import { generationMessage, NFT_MSG_GETGEN, NFT_MSG_NEWGEN } from "../../netlink/nftables/generation.ts";
import { NFT_MSG_DELRULE, NFT_MSG_NEWRULE } from "../../netlink/nftables/rule.ts";
import {
  decodeNlmsgs,
  encodeNlmsg,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLMSG_DONE,
  NLMSG_ERROR,
  type Nlmsg,
} from "../../netlink/nlmsg.ts";
import { Errno } from "../../sys/errno.ts";
import { deleteRules, ensureRules } from "./nft-variant.ts";
import type { Wanted } from "./ruleset.ts";
import { prefix } from "./samples.testing.ts";

/** A kernel without rules. @param refuse The errno with which it answers a batch, by the number of batches before it; 0 is done. */
function kernel(refuse: (batch: number) => number) {
  const sent: Nlmsg[][] = [];
  const answers: Uint8Array[] = [];
  let batches = 0;
  const answer = (to: Nlmsg, type: number, body: Uint8Array) =>
    answers.push(encodeNlmsg({ type, flags: 0, sequence: to.sequence }, body));
  const end = (to: Nlmsg, errno: number) =>
    answer(to, NLMSG_ERROR, concat([new Uint8Array(new Int32Array([-errno]).buffer), new Uint8Array(16)]));
  const channel: Channel = {
    fd: -1,
    send(datagram) {
      const messages = decodeNlmsgs(datagram.slice());
      sent.push(messages);
      const [first] = messages;
      if (first?.type === NFNL_MSG_BATCH_BEGIN) {
        const errno = refuse(batches++);
        const acknowledged = messages.find(({ flags }) => flags & NLM_F_ACK) as Nlmsg;
        return end(errno === Errno.ERESTART ? first : acknowledged, errno);
      }
      for (const message of messages) {
        if (message.type === NFT_MSG_GETGEN)
          answer(message, NFT_MSG_NEWGEN, encode(generationMessage, { id: batches + 7 }));
        else if (message.flags & NLM_F_DUMP) answer(message, NLMSG_DONE, new Uint8Array(4));
        else end(message, Errno.ENOENT);
      }
      return undefined;
    },
    receive: () => answers.shift() as Uint8Array,
    receiveArrived: () => answers.shift(),
    close() {},
  };
  return { connection: new Connection(channel), sent };
}

const own: Wanted = { family: "ip", table: "nat", chain: "CNI-x", rules: [{ target: "ACCEPT" }] };
const jump: Wanted = {
  family: "ip",
  table: "nat",
  chain: "POSTROUTING",
  rules: [{ source: prefix("10.1.0.5/32"), target: { jump: "CNI-x" } }],
};
const types = (messages: readonly Nlmsg[] | undefined) => messages?.map(({ type }) => type).slice(1, -1);

t.test("a chain of ours with the jump to it is one message to the kernel, which reads nothing", (t) => {
  const { connection, sent } = kernel(() => 0);
  ensureRules(connection, [own, jump]);
  t.equal(sent.length, 1);
  t.strictSame(types(sent[0]), [NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE, NFT_MSG_NEWRULE]);
  t.ok((sent[0]?.[1]?.flags ?? 0) & NLM_F_EXCL, "on the condition that the chain is new");
  t.end();
});

t.test("is the chain there already, what there is is read first", (t) => {
  const { connection, sent } = kernel((batch) => (batch === 0 ? Errno.EEXIST : 0));
  ensureRules(connection, [own, jump]);
  t.ok(
    sent.slice(1).some(([first]) => first?.type === NFT_MSG_GETCHAIN),
    "asks",
  );
  t.equal(generationIn(sent.at(-1)), 8, "what was read must still be so");
  t.end();
});

t.test("what others changed meanwhile is read again, and at last written all the same", (t) => {
  for (const [refusals, batches, last] of [
    [3, 4, 10],
    [1000, 50, undefined],
  ] as const) {
    const { connection, sent } = kernel((batch) => (batch < refusals && batch < 49 ? Errno.ERESTART : 0));
    ensureRules(connection, [{ family: "ip", table: "filter", chain: "FORWARD", rules: [{ target: "ACCEPT" }] }]);
    const committed = sent.filter(([first]) => first?.type === NFNL_MSG_BATCH_BEGIN);
    t.equal(committed.length, batches);
    t.equal(generationIn(committed.at(-1)), last);
  }
  t.end();
});

t.test("a chain that somebody else jumps to is emptied", (t) => {
  const { connection, sent } = kernel((batch) => (batch < 3 ? Errno.EBUSY : 0));
  deleteRules(connection, () => [{ drop: { family: "ip", table: "nat", chain: "CNI-x" } }]);
  t.strictSame(types(sent.at(-1)), [NFT_MSG_DELRULE]);
  t.end();
});

t.test("other refusals are told", (t) => {
  const { connection } = kernel(() => Errno.EPERM);
  t.throws(() => ensureRules(connection, [own, jump]));
  t.throws(() => deleteRules(connection, () => [{ drop: { family: "ip", table: "nat", chain: "CNI-x" } }]));
  t.end();
});

function generationIn(messages: readonly Nlmsg[] | undefined): number | undefined {
  return decode(batchMessage, messages?.[0]?.body ?? new Uint8Array()).generation;
}
