import t from "tap";
import { describeOwner, formatReservation, type Owner, parseReservation, sameOwner } from "./reservation.ts";

t.test("a reservation's file says whose it is", async (t) => {
  const cases: { text: string; owner: Owner | undefined }[] = [
    { text: "c1\r\neth0", owner: { containerId: "c1", ifName: "eth0" } },
    { text: " c1\r\neth0 \n", owner: { containerId: "c1", ifName: "eth0" } },
    { text: "c1", owner: { containerId: "c1", ifName: undefined } }, // releases before interface names were kept
    { text: "c1\n", owner: { containerId: "c1", ifName: undefined } },
    { text: "", owner: undefined },
    { text: " \r\n", owner: undefined },
    { text: "\0\0\0\0", owner: undefined },
    { text: "c1\r\neth0\0\0", owner: undefined },
    { text: "c1\r\neth0\r\nmore", owner: undefined },
    { text: "\ufffd\ufffd", owner: undefined },
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
