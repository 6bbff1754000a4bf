// The table of links on a fake kernel: what is made of what is there, with refusals and with others who change it. Traffic is in e2e/network-links.test.ts.
import t from "tap";
import { type Prefix, parsePrefix } from "../../ip/address.ts";
import { NFPROTO_BRIDGE } from "../../netlink/nftables/header.ts";
import { differenceBy, disturbedOnce, kernelWith, refusedOnce, thrownBy, type Work } from "../cases.testing.ts";
import { flushChain, newRule } from "../nftables/ruleset.ts";
import { addElements, interfaceKey } from "../nftables/set.ts";
import { commit } from "../nftables/transaction.ts";
import { ACCEPT } from "../nftables/verdict.ts";
import { findLinkDifference, type LinkHoles, networksWithLinkHoles, placeLinkHoles } from "./link-table.ts";

const address = (text: string) => (parsePrefix(text) as Prefix).address;
const none: LinkHoles = { holes: [], addresses: [], openPorts: [] };
const one: LinkHoles = {
  holes: [{ client: "veth1", target: "veth2", protocol: 6, port: 5432 }],
  addresses: [
    { port: "veth1", address: address("10.5.0.2/32") },
    { port: "veth2", address: address("10.5.0.3/32") },
    { port: "veth2", address: address("fd00::3/128") },
  ],
  openPorts: [],
};
const two: LinkHoles = {
  ...one,
  holes: [...one.holes, { client: "veth3", target: "veth2", protocol: 17, port: 53 }],
  openPorts: ["eth1"],
};
const TABLE = { family: NFPROTO_BRIDGE, table: "twill_links_front" };

const place =
  (wanted: LinkHoles, network = "front"): Work =>
  (netfilter) =>
    placeLinkHoles(netfilter, network, wanted);

t.test("holes are elements, and a table without holes is none", async (t) => {
  const kernel = kernelWith(place(one));
  t.match(kernel.text(), /^table bridge twill_links_front \{/);
  for (const line of [
    '"veth1" . "veth2" . tcp . 5432',
    '"veth1" . 10.5.0.2',
    '"veth2" . fd00::3',
    'comment "advertisement of fd00::3 by veth2"',
  ])
    t.match(kernel.text(), line);
  t.strictSame(differenceBy(kernel, place(one)), [], "again");
  t.strictSame(
    differenceBy(kernel, place(two)),
    ['+ "eth1"', '+ "veth3" . "veth2"', '+ "veth2" . "veth3"', '+ "veth3" . "veth2" . udp . 53'].sort(),
    "one more",
  );
  t.strictSame(differenceBy(kernel, place(one, "other")).length > 0, true, "each network has a table");
  t.strictSame(networksWithLinkHoles(kernel.connect()), ["front", "other"]);
  for (const network of ["front", "other"]) place(none, network)(kernel.connect());
  t.equal(kernel.text(), "");
  kernel.sent.length = 0;
  place(none)(kernel.connect());
  t.notOk(
    kernel.sent.some(({ name }) => /NEW|DEL/.test(name)),
    "and nothing is sent where there is none",
  );
});

t.test("what somebody has changed in the table is made again, and told", async (t) => {
  const changes: [what: string, change: Work, told: RegExp][] = [
    [
      "the rules are gone",
      (netfilter) => commit(netfilter, [flushChain({ ...TABLE, chain: "forward" })]),
      /^the rules of table bridge twill_links_front/,
    ],
    [
      "a rule lets all through",
      (netfilter) =>
        commit(netfilter, [newRule({ ...TABLE, chain: "between_ports" }, { expressions: ACCEPT, at: "first" })]),
      /^the rules of/,
    ],
    [
      "a port more",
      (netfilter) => commit(netfilter, addElements({ ...TABLE, set: "open_ports" }, [{ key: interfaceKey("veth1") }])),
      /^set open_ports of table bridge twill_links_front/,
    ],
  ];
  const whole = kernelWith(place(one)).text();
  for (const [what, change, told] of changes) {
    const kernel = kernelWith(place(one), change);
    t.match(findLinkDifference(kernel.connect(), "front", one), told, what);
    place(one)(kernel.connect());
    t.equal(kernel.text(), whole, what);
  }
  const kernel = kernelWith(place(one));
  t.equal(findLinkDifference(kernel.connect(), "front", one), undefined);
  t.match(findLinkDifference(kernel.connect(), "front", none), /is there, and no link needs it$/);
  t.match(findLinkDifference(kernel.connect(), "other", one), /^table bridge twill_links_other is missing$/);
});

t.test("a refusal leaves what was there, and is told with what to do", async (t) => {
  t.strictSame(
    refusedOnce(() => kernelWith(place(one)), place(two)),
    [],
  );
  t.strictSame(
    refusedOnce(() => kernelWith(), place(one)),
    [],
  );
  const kernel = kernelWith();
  kernel.refuse = ({ name }) => (name.includes("TABLE") ? "EOPNOTSUPP" : undefined); // a kernel without nf_tables for bridges
  t.equal(
    thrownBy(() => place(one)(kernel.connect())),
    'network "front": the kernel refuses the rules of links between its containers; opening and closing their ports: NFT_MSG_NEWTABLE: EOPNOTSUPP. To fix: use a kernel with nf_tables for bridges (CONFIG_NF_TABLES_BRIDGE; modprobe nf_tables), or connect without --link',
  );
});

t.test("others who change rules meanwhile lose nothing", async (t) => {
  const theirs = place(one, "other");
  t.strictSame(
    disturbedOnce(() => kernelWith(place(one)), place(two), theirs, kernelWith(place(two), theirs).text()),
    [],
  );
});
