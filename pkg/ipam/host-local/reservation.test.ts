import t from "tap";
import {
  describeOwner,
  formatReservation,
  type Owner,
  type Ownerless,
  parseReservation,
  sameOwner,
} from "./reservation.ts";

t.test("a reservation's file says whose it is", async (t) => {
  const cases: { text: string; owner: Owner | Ownerless }[] = [
    { text: "c1\r\neth0", owner: { containerId: "c1", ifName: "eth0" } },
    { text: " c1\r\neth0 \n", owner: { containerId: "c1", ifName: "eth0" } },
    { text: "c1", owner: { containerId: "c1", ifName: undefined } }, // releases before interface names were kept
    { text: "c1\n", owner: { containerId: "c1", ifName: undefined } },
    { text: "", owner: "torn" },
    { text: " \r\n", owner: "torn" },
    { text: "\0\0\0\0", owner: "torn" },
    { text: "c1\r\neth0\0\0", owner: "torn" },
    { text: "c1\r\neth0\r\nmore", owner: "unknown" },
    { text: "\ufffd\ufffd\ufffd\r\neth0", owner: "unknown" },
    { text: "c1\u0007\r\neth0", owner: "unknown" },
    { text: "\ufffd\ufffd", owner: "unknown" },
  ];
  for (const { text, owner } of cases) t.strictSame(parseReservation(text), owner, JSON.stringify(text));
});

t.test("it is written without white space around the ID and without a newline at the end", async (t) => {
  t.equal(formatReservation({ containerId: " c1\n", ifName: "eth0" }), "c1\r\neth0");
  t.equal(formatReservation({ containerId: "c1", ifName: undefined }), "c1");
});

t.test("owners are the same when ID and interface are", async (t) => {
  const owner = { containerId: "c1", ifName: "eth0" };
  t.equal(sameOwner(owner, { containerId: "c1 ", ifName: "eth0" }), true);
  t.equal(sameOwner(owner, { containerId: "c1", ifName: "eth1" }), false);
  t.equal(sameOwner(owner, { containerId: "c1", ifName: undefined }), false);
  t.equal(describeOwner(owner), "container c1 (eth0)");
  t.equal(describeOwner({ containerId: "c1", ifName: undefined }), "container c1");
});
