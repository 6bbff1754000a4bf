// Many removals through one connection: what they leave, and what they read.
import t from "tap";
import type { AttachmentId } from "../../cni/attachment-id.ts";
import { type Prefix, parsePrefix } from "../../ip/address.ts";
import type { Channel, Connection } from "../../netlink/connection.ts";
import { difference } from "../../netlink/fake/difference.testing.ts";
import { NFPROTO_INET } from "../../netlink/nftables/header.ts";
import { NFT_MSG_GETRULE } from "../../netlink/nftables/rule.ts";
import { decodeNlmsgs } from "../../netlink/nlmsg.ts";
import { disturbedOnce, kernelWith, type Work } from "../cases.testing.ts";
import { allowForwarding, revokeForwarding } from "../forwarding/forwarding.ts";
import { BRIDGES } from "../forwarding/nftables-table.ts";
import { usesLegacy } from "../iptables/host.ts";
import { isMasqueraded, masqueradeByNftables, unmasqueradeByNftables } from "../masquerade/nftables.ts";
import { addByNftables, deleteByNftables } from "../portmap/nftables-map.ts";
import { newRule } from "./ruleset.ts";
import { RulesetSeries } from "./ruleset-series.ts";
import { addElements, interfaceKey } from "./set.ts";
import { commit, edit } from "./transaction.ts";
import { ACCEPT } from "./verdict.ts";

const owner = (number: number): AttachmentId => ({ network: "podnet", containerId: `c${number}`, ifName: "eth0" });
const prefix = (number: number): Prefix => parsePrefix(`10.22.${number >> 8}.${number & 0xff}/16`) as Prefix;
const forwarding = { backend: "nftables", zone: "trusted" } as const;

const add =
  (number: number, isolated = false): Work =>
  (netfilter) => {
    masqueradeByNftables(netfilter, owner(number), [prefix(number)]);
    const request = {
      owner: owner(number),
      addresses: [prefix(number).address],
      policy: { bridge: `br${number % 2}`, isolated },
      adminChain: "CNI-ADMIN",
    };
    allowForwarding(request, forwarding, () => netfilter);
    const port = {
      hostIp: undefined,
      hostPort: 8000 + number,
      containerPort: 80,
      protocol: "tcp",
      family: undefined,
    } as const;
    const rest = { mark: 0x2000, snat: true, masqAll: false, externalSetMarkChain: undefined, conditions: [] };
    const mappings = {
      ...rest,
      owner: owner(number),
      family: "ip",
      container: prefix(number),
      mappings: [port],
    } as const;
    addByNftables(netfilter, [mappings], () => "keep");
  };

function remove(netfilter: Connection, number: number): void {
  unmasqueradeByNftables(netfilter, owner(number));
  revokeForwarding(owner(number), { addresses: [], bridge: undefined }, forwarding, netfilter);
  deleteByNftables(netfilter, owner(number));
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

t.test("removals of one series leave what removals one by one leave", async (t) => {
  for (const [all, removed] of [
    [3, [1]],
    [19, numbers(0, 19)],
    [24, numbers(3, 23).reverse()],
  ] as const) {
    const make = () => kernelWith(...numbers(0, all).map((number) => add(number, number > 15)));
    const [one, series] = [make(), make()];
    for (const number of removed) remove(one.connect(), number);
    const netfilter = new RulesetSeries(series.channel());
    for (const number of removed) remove(netfilter, number);
    t.strictSame(difference(one.text(), series.text()), [], `${removed.length} of ${all}`);
    t.not(series.text(), make().text());
  }
});

/** The chain that an attachment has of its own. */
const RECORD = /^hostports-[0-9a-f]{16}-/;

t.test("a series reads each chain and set as often for many removals as for two", async (t) => {
  const reads = (count: number): string[] => {
    const kernel = kernelWith(...numbers(0, count + 5).map((number) => add(number)));
    kernel.sent.length = 0;
    const netfilter = new RulesetSeries(kernel.channel());
    for (const number of numbers(0, count)) remove(netfilter, number);
    const shared = kernel.sent.filter(({ name, value }) =>
      name === "NFT_MSG_GETRULE"
        ? !RECORD.test(String(value["chain"]))
        : name === "NFT_MSG_GETSETELEM" && !value["elements"],
    );
    return shared.map(({ name, value }) => [name, value["table"], value["chain"] ?? value["set"]].join(" ")).sort();
  };
  const few = reads(2);
  t.ok(few.length > 2);
  t.strictSame(reads(14), few);
});

t.test("what others change between two removals, and within one, is seen", async (t) => {
  const make = () => kernelWith(...numbers(0, 20).map((number) => add(number)));
  const work = (kernel: ReturnType<typeof make>) => {
    const netfilter = new RulesetSeries(kernel.channel());
    remove(netfilter, 1);
    add(30)(kernel.connect());
    remove(netfilter, 30);
    add(2)(kernel.connect()); // the same attachment once more: its rule is another one by now
    remove(netfilter, 2);
  };
  const expected = make();
  remove(expected.connect(), 1);
  remove(expected.connect(), 2);
  const kernel = make();
  work(kernel);
  t.strictSame(difference(expected.text(), kernel.text()), []);

  const foreign: Work = (netfilter) => commit(netfilter, [newRule(CHECKS, { expressions: ACCEPT, comment: "theirs" })]);
  const rest = kernelWith(...numbers(0, 4).map((number) => add(number)), foreign);
  for (const number of [1, 2]) remove(rest.connect(), number);
  const found = disturbedOnce(
    () => {
      const made = kernelWith(...numbers(0, 4).map((number) => add(number)));
      made.connect = () => new RulesetSeries(made.channel());
      return made;
    },
    (netfilter) => {
      for (const number of [1, 2]) remove(netfilter, number);
    },
    foreign,
    rest.text(),
  );
  t.strictSame(found, []);
});
const CHECKS = { family: NFPROTO_INET, table: "cni_plugins_masquerade", chain: "masq_checks" };

t.test("a refused transaction leaves nothing remembered that is not so", async (t) => {
  const kernel = kernelWith(...numbers(0, 20).map((number) => add(number)));
  const netfilter = new RulesetSeries(kernel.channel());
  remove(netfilter, 1);
  kernel.refuse = ({ name }) => (name === "NFT_MSG_DELRULE" ? "EPERM" : undefined);
  t.throws(() => unmasqueradeByNftables(netfilter, owner(2)));
  kernel.refuse = undefined;
  unmasqueradeByNftables(netfilter, owner(2));
  t.notOk(isMasqueraded(kernel.connect(), owner(2), [prefix(2)]));
  t.ok(isMasqueraded(kernel.connect(), owner(3), [prefix(3)]));
});

t.test("outside of a plan nothing is remembered", async (t) => {
  const kernel = kernelWith(add(1));
  const netfilter = new RulesetSeries(kernel.channel());
  edit(netfilter, () => ({ requests: [], seen: t.ok(netfilter.memory) }));
  t.equal(netfilter.memory, undefined);
});

const masqueraded =
  (number: number): Work =>
  (netfilter) =>
    masqueradeByNftables(netfilter, owner(number), [prefix(number)]);

t.test("a transaction that changed nothing hides no change of somebody else", async (t) => {
  const kernel = kernelWith(...numbers(0, 20).map((number) => add(number)));
  const netfilter = new RulesetSeries(kernel.channel());
  for (const number of [1, 2]) unmasqueradeByNftables(netfilter, owner(number));
  const before = kernel.generation;
  edit(netfilter, () => ({ requests: addElements(BRIDGES, [{ key: interfaceKey("br0") }]) }));
  t.equal(kernel.generation, before, "it is there already");
  masqueraded(30)(kernel.connect());
  t.equal(kernel.generation, before + 1);
  unmasqueradeByNftables(netfilter, owner(30));
  t.notOk(isMasqueraded(kernel.connect(), owner(30), [prefix(30)]));
});

t.test(
  "what is read while the kernel has the new generation and shows the old content is not remembered",
  async (t) => {
    const works = numbers(0, 20).map(masqueraded);
    const [old, kernel] = [kernelWith(...works), kernelWith(...works, masqueraded(30))];
    const [shown, real] = [old.channel(), kernel.channel()];
    let [isShown, last] = [true, real];
    const channel: Channel = {
      ...real,
      send(datagram, options) {
        last = isShown && decodeNlmsgs(datagram.slice())[0]?.type === NFT_MSG_GETRULE ? shown : real;
        last.send(datagram, options);
      },
      receive: (kind) => last.receive(kind),
      receiveArrived: () => last.receiveArrived(),
    };
    const netfilter = new RulesetSeries(channel);
    unmasqueradeByNftables(netfilter, owner(1));
    isShown = false;
    unmasqueradeByNftables(netfilter, owner(30));
    for (const number of [1, 30])
      t.notOk(isMasqueraded(kernel.connect(), owner(number), [prefix(number)]), `${number}`);
  },
);

t.test("on a kernel without nf_tables there is nothing to remove", async (t) => {
  const kernel = kernelWith();
  kernel.refuse = () => "EINVAL";
  const netfilter = new RulesetSeries(kernel.channel());
  unmasqueradeByNftables(netfilter, owner(1));
  t.ok(kernel.sent.length > 0);
  t.equal(kernel.generation, kernelWith().generation);
});

const skip = usesLegacy("ip") || usesLegacy("ip6") ? "the host's iptables is the legacy variant" : false;
t.test("removals of one series find IPv6 addresses in rules of iptables", { skip }, async (t) => {
  const options = { backend: "iptables", zone: "trusted" } as const;
  const kernel = kernelWith(
    ...numbers(0, 20).map((number): Work => {
      const { address } = parsePrefix(`fd00:1::${number + 2}/64`) as Prefix;
      const request = { owner: owner(number), addresses: [address], policy: undefined, adminChain: "CNI-ADMIN" };
      return (netfilter) => allowForwarding(request, options, () => netfilter);
    }),
  );
  const netfilter = new RulesetSeries(kernel.channel());
  for (const number of numbers(0, 20))
    revokeForwarding(owner(number), { addresses: [], bridge: undefined }, options, netfilter);
  t.notMatch(kernel.text(), "fd00:1::");
});
