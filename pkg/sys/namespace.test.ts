// Runs as root on Node and, through e2e/engine, on the plugins' engine.
import t from "tap";
import { readLink, readText } from "./file.ts";
import {
  closeNamespace,
  findNamespace,
  isOwnNamespace,
  makeNamespace,
  NotANamespace,
  openNamespace,
  unshareNetwork,
  within,
} from "./namespace.ts";
import { waitReadable } from "./poll.ts";
import { processId } from "./process.ts";
import { AF_NETLINK, openSocket, receiveArrived, SOCK_RAW } from "./socket.ts";

const OWN = "/proc/thread-self/ns/net";

t.test("paths that are no network namespace say so", (t) => {
  const refusal = (path: string) => {
    try {
      const namespace = openNamespace(path);
      within(namespace, () => undefined);
      return "none";
    } catch (error) {
      return error instanceof NotANamespace ? error.message : `other: ${error}`;
    }
  };
  t.equal(refusal("/no/such/namespace"), '"/no/such/namespace" does not exist');
  t.equal(refusal(""), '"" does not exist');
  t.equal(refusal("/etc/passwd"), '"/etc/passwd" is not a network namespace');
  t.equal(findNamespace("/no/such/namespace"), undefined);
  t.equal(findNamespace(undefined), undefined);
  t.equal(findNamespace("/etc/passwd"), undefined);
  t.end();
});

t.test("our own namespace is recognised", (t) => {
  t.equal(isOwnNamespace(OWN), true);
  t.equal(isOwnNamespace(`/proc/${processId()}/ns/net`), true);
  t.equal(isOwnNamespace("/no/such/namespace"), false);
  t.end();
});

const needsRoot = /^Uid:\s+0\s/m.test(readText("/proc/self/status")) ? {} : { skip: "needs root" };
t.test("work inside another namespace, and back outside", needsRoot, (t) => {
  const outside = openNamespace(OWN);
  const home = readLink(OWN);
  unshareNetwork();
  const inside = readLink(OWN);
  t.not(inside, home);
  t.equal(
    within(outside, () => readLink(OWN)),
    home,
  );
  t.equal(readLink(OWN), inside, "back again");
  t.throws(() =>
    within(outside, () => {
      throw new Error("from the work");
    }),
  );
  t.equal(readLink(OWN), inside, "back again after a failure too");
  closeNamespace(outside);
  t.end();
});

t.test("a new namespace is another one, and nobody has moved into it", needsRoot, (t) => {
  const home = readLink(OWN);
  const made = makeNamespace();
  t.equal(readLink(OWN), home);
  t.not(
    within(made, () => readLink(OWN)),
    home,
  );
  closeNamespace(made);
  t.end();
});

t.test("a socket without messages has none to read", (t) => {
  const fd = openSocket(AF_NETLINK, SOCK_RAW, 0);
  t.equal(receiveArrived(fd, new Uint8Array(16)), undefined);
  t.strictSame(waitReadable([fd], 1), []);
  t.end();
});
