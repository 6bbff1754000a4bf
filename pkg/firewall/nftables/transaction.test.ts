// The policy of `edit`, against a kernel that answers each transaction as the test wants.
import t from "tap";
import { concat } from "../../bytes/concat.ts";
import { type Channel, Connection, NetlinkError } from "../../netlink/connection.ts";
import { decode, encode } from "../../netlink/message.ts";
import { batchMessage, NFNL_MSG_BATCH_BEGIN } from "../../netlink/nftables/batch.ts";
import { generationMessage, NFT_MSG_NEWGEN } from "../../netlink/nftables/generation.ts";
import { decodeNlmsgs, encodeNlmsg, NLM_F_ACK, NLMSG_ERROR, type Nlmsg } from "../../netlink/nlmsg.ts";
import { Errno, type ErrnoName, isErrno } from "../../sys/errno.ts";
import { newTable } from "./ruleset.ts";
import { type Attempt, type EditOptions, edit, type Plan } from "./transaction.ts";

/** @param answers The kernel's answers to the transactions, in order; the last one also answers those that follow. */
function kernel(...answers: (ErrnoName | "done")[]) {
  const named: (number | undefined)[] = [];
  let generation = 100; // a change by somebody else precedes each question for it
  let answered: Uint8Array | undefined;
  const answer = ({ sequence }: Nlmsg, type: number, body: Uint8Array) => {
    answered = encodeNlmsg({ type, flags: 0, sequence }, body);
  };
  const channel: Channel = {
    fd: -1,
    send(datagram) {
      const messages = decodeNlmsgs(datagram.slice());
      const first = messages[0] as Nlmsg;
      if (first.type !== NFNL_MSG_BATCH_BEGIN)
        return answer(first, NFT_MSG_NEWGEN, encode(generationMessage, { id: ++generation }));
      named.push(decode(batchMessage, first.body).generation);
      const outcome = answers[Math.min(named.length, answers.length) - 1] ?? "done";
      const errno = outcome === "done" ? 0 : Errno[outcome];
      const refused = outcome === "ERESTART" ? first : messages.find(({ flags }) => flags & NLM_F_ACK);
      const body = concat([new Uint8Array(new Int32Array([-errno]).buffer), new Uint8Array(16)]);
      return answer(refused as Nlmsg, NLMSG_ERROR, body);
    },
    receive: () => answered as Uint8Array,
    receiveArrived: () => undefined,
    close() {},
  };
  return { netfilter: new Connection(channel), named };
}

const requests = [newTable({ family: 2, table: "x" })];

/** Runs `edit` and tells what it did: the attempts, the generations that the transactions named, and how it ended. */
function outcomeOf(answers: readonly (ErrnoName | "done")[], options?: EditOptions<Plan>) {
  const { netfilter, named } = kernel(...answers);
  const attempts: Attempt[] = [];
  let end = "done";
  try {
    edit(netfilter, (attempt) => ({ requests, attempts: attempts.push(attempt) }), options);
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    end = error.message.replace(/.*: /, "");
  }
  return { attempts, named, end };
}

t.test("a transaction names the generation that was asked for before its plan", async (t) => {
  const { named, attempts, end } = outcomeOf(["done"]);
  t.strictSame({ named, end }, { named: [101], end: "done" });
  t.strictSame(attempts, [{ conflicts: 0, isLast: false }]);
});

t.test("the plan that was committed is returned", async (t) => {
  const { netfilter } = kernel("ERESTART", "ERESTART", "done");
  let count = 0;
  t.equal(edit(netfilter, () => ({ requests, count: ++count })).count, 3);
});

t.test("a plan without requests sends nothing", async (t) => {
  const { netfilter, named } = kernel("EPERM");
  edit(netfilter, () => ({ requests: [] }));
  t.strictSame(named, []);
});

t.test(
  "while others change the ruleset each time, it is planned again, and the last time goes without the generation",
  async (t) => {
    const others = new Array<ErrnoName>(49).fill("ERESTART");
    const { named, attempts, end } = outcomeOf([...others, "done"]);
    t.equal(end, "done");
    t.strictSame(named, [...others.map((_, i) => 101 + i), undefined]);
    t.ok(attempts.every(({ conflicts, isLast }) => conflicts === 0 && !isLast));
  },
);

t.test("with lastUnbound: false, the last attempt names the generation too, and its refusal is thrown", async (t) => {
  const { named, end } = outcomeOf(["ERESTART"], { lastUnbound: false });
  t.equal(end, "ERESTART");
  t.strictSame(
    named,
    Array.from({ length: 50 }, (_, i) => 101 + i),
  );
});

for (const conflict of ["ENOENT", "EEXIST", "EBUSY"] as const) {
  t.test(`${conflict} is planned again; what stays so is thrown by the fourth attempt`, async (t) => {
    t.strictSame(outcomeOf([conflict, conflict, conflict, "done"]).end, "done");
    const { attempts, end } = outcomeOf([conflict]);
    t.equal(end, conflict);
    t.strictSame(attempts, [
      { conflicts: 0, isLast: false },
      { conflicts: 1, isLast: false },
      { conflicts: 2, isLast: false },
      { conflicts: 3, isLast: true },
    ]);
  });
}

t.test("ERESTART and conflicts are counted apart", async (t) => {
  const others = new Array<ErrnoName>(40).fill("ERESTART");
  const { named, end } = outcomeOf([...others, "ENOENT", "EEXIST", ...others.slice(0, 9), "EBUSY", "done"]);
  t.equal(end, "done");
  t.equal(named.length, 53);
  t.strictSame(named.slice(-3), [151, undefined, undefined], "the bound is given up after 49 times ERESTART");
});

for (const refusal of ["EAGAIN", "EPERM", "EINVAL", "EOPNOTSUPP", "ENOBUFS"] as const) {
  t.test(`${refusal} is thrown at once`, async (t) => {
    const { attempts, end } = outcomeOf([refusal, "done"]);
    t.equal(end, refusal);
    t.equal(attempts.length, 1);
  });
}

t.test("what the plan itself throws is thrown at once", async (t) => {
  const { netfilter } = kernel("done");
  let attempts = 0;
  const plan = () => {
    attempts++;
    throw new NetlinkError("NFT_MSG_GETRULE", { errno: Errno.ENOENT });
  };
  t.throws(() => edit(netfilter, plan), { message: "NFT_MSG_GETRULE: ENOENT" });
  t.equal(attempts, 1);
});

t.test("with bound: false no generation is asked for or named", async (t) => {
  const { named, end } = outcomeOf(["ENOENT", "done"], { bound: false });
  t.strictSame({ named, end }, { named: [undefined, undefined], end: "done" });
});

t.test("a function says of each plan whether it is bound", async (t) => {
  const { netfilter, named } = kernel("EEXIST", "ERESTART", "done");
  const plan = ({ conflicts }: Attempt) => ({ requests, depends: conflicts > 0 });
  edit(netfilter, plan, { bound: ({ depends }) => depends });
  t.strictSame(named, [undefined, 102, 103]);
});

t.test("an error that `again` does something about counts as a conflict", async (t) => {
  const seen: unknown[] = [];
  const again = (error: unknown) => {
    seen.push(error);
    return isErrno(error, "EOPNOTSUPP");
  };
  t.equal(outcomeOf(["EOPNOTSUPP", "ENOENT", "done"], { again }).end, "done");
  t.equal(seen.length, 2, "it is asked about conflicts too, which may have such a cause");
  t.equal(outcomeOf(["EPERM"], { again }).end, "EPERM");
  t.equal(outcomeOf(["EOPNOTSUPP"], { again }).attempts.length, 4);
});
