import t from "tap";
import { mac as macOf, requestsOfCommands } from "../netlink/golden.testing.ts";
import { RTM_NEWLINK, RTM_SETLINK } from "../netlink/rtnetlink/link.ts";
import {
  differing,
  findAttributes,
  type LinkAttributes,
  parseAttributes,
  printAttributes,
  setAttributes,
} from "./attributes.ts";
import { namespaceWith } from "./cases.testing.ts";

const mac = macOf("02:00:00:00:00:09");

requestsOfCommands([
  {
    command: "ip link set v0 address 02:00:00:00:00:09 mtu 1400 promisc on allmulticast off txqueuelen 500",
    ours: setAttributes(3, { mac, mtu: 1400, promiscuous: true, allMulticast: false, txQueueLength: 500 }),
    type: RTM_NEWLINK,
    flags: 0x5,
    wire: "00000000 03000000 00010000 00030000 0a000100 02000000 00090000 08000400 78050000 08000d00 f4010000",
    differs: { type: RTM_SETLINK, because: "of a link that is there, both messages do the same" },
  },
]);

t.test("attributes that are set are found, those that are not named stay", async (t) => {
  const cases: LinkAttributes[] = [
    {},
    { mac: macOf("02:00:00:00:00:07") },
    { mtu: 1300 },
    { txQueueLength: 0 },
    { promiscuous: false },
    { allMulticast: true },
    { promiscuous: false, allMulticast: true, mtu: 1200 },
  ];
  for (const wanted of cases) {
    const rtnl = namespaceWith({ ifName: "v0", linkInfo: { kind: "dummy" } }).connect();
    const first = { mac, mtu: 1400, promiscuous: true, allMulticast: false, txQueueLength: 500 };
    rtnl.request(setAttributes(2, first));
    const found = findAttributes(rtnl, "v0") as Required<LinkAttributes>;
    t.strictSame(found, { index: 2, ...first });
    t.strictSame(differing(found, wanted), wanted, "what differs");
    t.strictSame(differing(found, first), {}, "nothing differs");
    rtnl.request(setAttributes(2, wanted));
    t.strictSame(findAttributes(rtnl, "v0"), { index: 2, ...first, ...wanted });
  }
  t.equal(findAttributes(namespaceWith().connect(), "none"), undefined);
});

t.test("attributes are read as they were written", async (t) => {
  const whole = {
    mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
    promiscuous: true,
    mtu: 1400,
    allMulticast: false,
    txQueueLength: 0,
  };
  t.strictSame(parseAttributes(printAttributes(whole)), whole);
  t.strictSame(parseAttributes(printAttributes({ mtu: 0xffff_ffff })), { mtu: 0xffff_ffff });
});

t.test("what no attribute can be is left out, whatever wrote it", async (t) => {
  for (const mtu of [-1, 1.5, 1e99, 2 ** 32, Number.NaN, "1400", null, [], {}])
    t.strictSame(parseAttributes({ mtu, txQLen: mtu, promisc: true }), { promiscuous: true }, String(mtu));
  t.strictSame(parseAttributes({ mac: "no", promisc: 1, allmulti: "true", txQLen: 5 }), { txQueueLength: 5 });
});
