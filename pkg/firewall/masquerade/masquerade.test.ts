// The masquerade on a fake kernel: what an ADD and a DEL make of what is there, with refusals and with others who change the rules meanwhile.
import t from "tap";
import type { AttachmentId } from "../../cni/attachment-id.ts";
import { runAllSteps } from "../../cni/best-effort-del.ts";
import { type Prefix, parsePrefix } from "../../ip/address.ts";
import { difference } from "../../netlink/fake/difference.testing.ts";
import { NFPROTO_INET, NFPROTO_IPV4 } from "../../netlink/nftables/header.ts";
import { differenceBy, disturbedOnce, kernelWith, leftByRefusal, refusedOnce, type Work } from "../cases.testing.ts";
import { ensureRules } from "../iptables/nft-variant.ts";
import { deleteTable, flushChain, newChain, newRule, newTable } from "../nftables/ruleset.ts";
import { commit } from "../nftables/transaction.ts";
import { ACCEPT } from "../nftables/verdict.ts";
import { collectionSteps, masqueradeRules, removalSteps } from "./iptables.ts";
import { gcMasquerade, removeMasquerade } from "./masquerade.ts";
import { collectNftables, isMasqueraded, masqueradeByNftables, unmasqueradeByNftables } from "./nftables.ts";

const prefix = (text: string): Prefix => parsePrefix(text) as Prefix;
const owner = (containerId: string, network = "podnet"): AttachmentId => ({ network, containerId, ifName: "eth0" });

interface Attachment {
  owner: AttachmentId;
  addresses: readonly Prefix[];
}
const web: Attachment = { owner: owner("web"), addresses: [prefix("10.22.0.5/16"), prefix("fd00::5/64")] };
const db: Attachment = { owner: owner("db"), addresses: [prefix("10.22.0.6/16")] };
const other: Attachment = { owner: owner("web", "other"), addresses: [prefix("10.9.0.5/24")] };

/** The two backends: the same three operations. */
const backends = {
  nftables: {
    add:
      ({ owner, addresses }: Attachment): Work =>
      (netfilter) =>
        masqueradeByNftables(netfilter, owner, addresses),
    remove:
      ({ owner }: Attachment): Work =>
      (netfilter) =>
        unmasqueradeByNftables(netfilter, owner),
    collect:
      (network: string, ...valid: Attachment[]): Work =>
      (netfilter) =>
        collectNftables(
          netfilter,
          network,
          valid.map((one) => one.owner),
        ),
  },
  iptables: {
    add:
      ({ owner, addresses }: Attachment): Work =>
      (netfilter) =>
        ensureRules(netfilter, masqueradeRules(owner, addresses)),
    remove:
      ({ owner, addresses }: Attachment): Work =>
      (netfilter) =>
        runAllSteps(removalSteps(netfilter, owner, addresses)),
    collect:
      (network: string, ...valid: Attachment[]): Work =>
      (netfilter) =>
        runAllSteps(
          collectionSteps(
            netfilter,
            network,
            valid.map((one) => one.owner),
          ),
        ),
  },
} as const;

const { add } = backends.nftables;
const TABLE = { family: NFPROTO_INET, table: "cni_plugins_masquerade" };
const theirs: Work = (netfilter) => {
  const chain = { family: NFPROTO_IPV4, table: "theirs", chain: "c" };
  commit(netfilter, [newTable(chain), newChain(chain), newRule(chain, { expressions: ACCEPT, comment: "theirs" })]);
};

t.test("nftables: the table of one container", async (t) => {
  t.equal(
    kernelWith(add(web)).text(),
    `table inet cni_plugins_masquerade {
  chain masq_checks { comment "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet"
    meta nfproto ipv4 ip saddr 10.22.0.5 ip daddr != 10.22.0.0/16 masquerade comment "fa98a27bbcc17b2e-WEB, net: podnet, if: eth0, id: web"
    meta nfproto ipv6 ip6 saddr fd00::5 ip6 daddr != fd00::/64 masquerade comment "fa98a27bbcc17b2e-WEB, net: podnet, if: eth0, id: web"
  }
  chain postrouting { type nat hook postrouting priority 100; policy accept;
    meta nfproto ipv4 ip daddr 224.0.0.0/4 return
    meta nfproto ipv6 ip6 daddr ff00::/8 return
    goto masq_checks
  }
}
`.replaceAll("WEB", /-([0-9a-f]{16}), net/.exec(kernelWith(add(web)).text())?.[1] ?? ""),
  );
});

const rule = (id: string, address: string, network: string) =>
  `meta nfproto ipv4 ip saddr ${address} ip daddr != ${network} masquerade comment "ID, net: podnet, if: eth0, id: ${id}"`;
const ofDb = rule("db", "10.22.0.6", "10.22.0.0/16");
const postrouting = { ...TABLE, chain: "postrouting" };
const flushed: Work = (netfilter) => commit(netfilter, [flushChain(postrouting)]);
const foreignRule: Work = (netfilter) =>
  commit(netfilter, [newRule(postrouting, { expressions: ACCEPT, at: "first" })]);
const cases: [claim: string, before: Work[], work: Work, expected: string[]][] = [
  ["a second container is one rule", [add(web)], add(db), [`+ ${ofDb}`]],
  ["the same again changes nothing", [add(web)], add(web), []],
  [
    "another address replaces the first one",
    [add(db)],
    add({ ...db, addresses: [prefix("10.22.0.7/16")] }),
    [`- ${ofDb}`, `+ ${rule("db", "10.22.0.7", "10.22.0.0/16")}`],
  ],
  [
    "a foreign rule in postrouting goes, and the chain is as it was",
    [add(web), foreignRule],
    add(db),
    ["- accept", `+ ${ofDb}`],
  ],
  [
    "a flushed chain is filled again",
    [add(web), flushed],
    add(db),
    [
      `+ ${ofDb}`,
      "+ meta nfproto ipv4 ip daddr 224.0.0.0/4 return",
      "+ meta nfproto ipv6 ip6 daddr ff00::/8 return",
      "+ goto masq_checks",
    ],
  ],
  ["DEL deletes the rules of the attachment", [add(web), add(db)], backends.nftables.remove(db), [`- ${ofDb}`]],
  ["DEL of somebody without rules changes nothing", [add(web)], backends.nftables.remove(db), []],
  ["DEL on an empty host changes nothing", [], backends.nftables.remove(db), []],
  [
    "GC deletes the rules of those that are not valid",
    [add(web), add(db), add(other)],
    backends.nftables.collect("podnet", web),
    [`- ${ofDb}`],
  ],
];
for (const [claim, before, work, expected] of cases) {
  t.test(`nftables: ${claim}`, async (t) => {
    const lines = differenceBy(kernelWith(...before), work).map((line) =>
      line.replace(/"[0-9a-f]+-[0-9a-f]+, /, '"ID, '),
    );
    t.strictSame(lines.sort(), expected.sort());
  });
}

t.test("nftables: CHECK sees whether all rules are there", async (t) => {
  const check = (...works: Work[]) => isMasqueraded(kernelWith(...works).connect(), web.owner, web.addresses);
  t.equal(check(add(web)), true);
  t.equal(check(add(web), add(db)), true);
  t.equal(check(add(db)), false);
  t.equal(check(add(web), flushed), false);
  t.equal(check(), false);
});

t.test("iptables: the rules of two containers, one with two families", async (t) => {
  t.equal(
    kernelWith(backends.iptables.add(web), backends.iptables.add(db))
      .text()
      .replace(/CNI-[0-9a-f]{24}/g, "CNI-ID"),
    `table ip nat {
  chain CNI-ID {
    ip daddr 10.22.0.0/16 xt match comment "name: \\"podnet\\" id: \\"web\\"" counter accept
    ip daddr != 224.0.0.0/4 xt match comment "name: \\"podnet\\" id: \\"web\\"" counter xt target MASQUERADE 0x01
    ip saddr 10.22.0.5 xt match comment "name: \\"podnet\\" id: \\"web\\" if: \\"eth0\\"" counter return
  }
  chain POSTROUTING { type nat hook postrouting priority 100; policy accept;
    ip saddr 10.22.0.5 xt match comment "name: \\"podnet\\" id: \\"web\\"" counter jump CNI-ID
    ip saddr 10.22.0.6 xt match comment "name: \\"podnet\\" id: \\"db\\"" counter jump CNI-ID
  }
  chain CNI-ID {
    ip daddr 10.22.0.0/16 xt match comment "name: \\"podnet\\" id: \\"db\\"" counter accept
    ip daddr != 224.0.0.0/4 xt match comment "name: \\"podnet\\" id: \\"db\\"" counter xt target MASQUERADE 0x01
    ip saddr 10.22.0.6 xt match comment "name: \\"podnet\\" id: \\"db\\" if: \\"eth0\\"" counter return
  }
}
table ip6 nat {
  chain CNI-ID {
    ip6 daddr fd00::/64 xt match comment "name: \\"podnet\\" id: \\"web\\"" counter accept
    ip6 daddr != ff00::/8 xt match comment "name: \\"podnet\\" id: \\"web\\"" counter xt target MASQUERADE 0x
    ip6 saddr fd00::5 xt match comment "name: \\"podnet\\" id: \\"web\\" if: \\"eth0\\"" counter return
  }
  chain POSTROUTING { type nat hook postrouting priority 100; policy accept;
    ip6 saddr fd00::5 xt match comment "name: \\"podnet\\" id: \\"web\\"" counter jump CNI-ID
  }
}
`,
  );
});

t.test("iptables: a missing extension is asked for, and then refused by its name", async (t) => {
  const kernel = kernelWith();
  kernel.lacking.add("MASQUERADE");
  t.throws(() => backends.iptables.add(db)(kernel.connect()), { message: "NFNL_MSG_COMPAT_GET MASQUERADE: ENOENT" });
  t.equal(kernel.text(), "");
});

t.test("DEL and GC: what is refused to one backend keeps no other's rules", async (t) => {
  const all = () => kernelWith(backends.nftables.add(web), backends.iptables.add(web));
  const parts = [/10\.22\.0\.5.*masquerade/, /chain CNI-/];
  t.strictSame(
    leftByRefusal(all, (netfilter) => removeMasquerade(web.owner, web.addresses, netfilter), parts),
    [],
  );
  t.strictSame(
    leftByRefusal(all, (netfilter) => gcMasquerade("podnet", [], netfilter), parts),
    [],
  );
});

for (const [name, { add, remove, collect }] of Object.entries(backends)) {
  t.test(`${name}: ADD, then DEL or GC, leave what was there`, async (t) => {
    const others = [add(db), add(other), theirs];
    for (const end of [remove(web), collect("podnet", db)]) {
      const kernel = kernelWith(...others, add(web), end); // base chains of IPv6 stay
      const text = kernel.text();
      add(web)(kernel.connect());
      t.not(kernel.text(), text);
      end(kernel.connect());
      t.equal(kernel.text(), text);
      end(kernel.connect());
      t.equal(kernel.text(), text, "a second time");
    }
  });

  t.test(`${name}: a refusal is reported and changes nothing, whichever request it meets`, async (t) => {
    t.strictSame(
      refusedOnce(() => kernelWith(add(db)), remove(db)),
      [],
    );
    const complete = () => kernelWith(add(other), add(web), remove(web)); // with base chains of both families
    t.strictSame(refusedOnce(complete, add(web)), []);
  });

  t.test(`${name}: what others do meanwhile is kept`, async (t) => {
    const start = () => kernelWith(add(db), add(other));
    const works: [string, Work, Work][] = [
      ["a foreign table, ADD", add(web), theirs],
      ["another ADD, DEL", remove(db), name === "nftables" ? add(web) : theirs],
      ["another DEL, DEL", remove(db), remove(other)],
      ["the same DEL, DEL", remove(db), remove(db)],
      ...(name === "nftables" ? ([["another ADD, ADD", add(web), add({ ...db, owner: owner("late") })]] as const) : []),
    ].map(([what, work, change]) => [what, work, change] as [string, Work, Work]);
    for (const [what, work, change] of works) {
      const expected = kernelWith(add(db), add(other), change, work).text();
      t.strictSame(disturbedOnce(start, work, change, expected), [], what);
    }
  });
}

t.test("nftables: somebody deletes the whole table before an ADD writes", async (t) => {
  const start = () => kernelWith(add(db));
  const deleted: Work = (netfilter) => commit(netfilter, [deleteTable(TABLE)]);
  const found = disturbedOnce(start, add(web), deleted, kernelWith(add(web)).text());
  t.strictSame(found, []);
  t.strictSame(difference(kernelWith(add(db), deleted).text(), ""), []);
});
