// flannel's masquerade and forward rules as iptables and nft print them, however they were damaged before, and as packets meet them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { generation } from "../../pkg/firewall/nftables/transaction.ts";
import type { TrafficConf } from "../../pkg/flannel/rules/settings.ts";
import { connect, NETLINK_NETFILTER } from "../../pkg/netlink/connection.ts";
import { openNamespace } from "../../pkg/sys/namespace.ts";
import { commands, legacyIptables, withPath } from "../lab/commands.ts";
import { type Namespace, newHost } from "../lab/host.ts";
import { needsKernel } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";
import { iptables, ipv4, ipv6, nftables, prefix, trafficOf } from "./traffic.ts";

const needs = needsKernel("iptables_nat");
type Test = Parameters<typeof commands>[0];

/** Without what iptables says of its own chains. */
const listed = (host: Namespace, suffix = "") =>
  ["iptables", "ip6tables"]
    .flatMap((command) => ["nat", "filter"].map((table) => `${command}${suffix} -w -t ${table} -S`))
    .map((command) => host.sh(command).replace(/^-P.*\n/gm, ""));
const ruleset = (host: Namespace) => host.sh("nft list ruleset").replace(/^# .*\n/gm, "");
/** Of iptables and of a table that nft made. */
const strangers = (host: Namespace) => [
  linesOf(host.sh("iptables -w -t nat -S; iptables -w -S"), (line) => !line.includes("FLANNEL")),
  host.run("nft", "list", "table", "ip", "other").stdout,
];
const linesOf = (text: string, which: (line: string) => boolean) =>
  text
    .split(/(?<=\n)/)
    .filter(which)
    .join("");
/** A rule that was made anew has another handle. */
const handles = (host: Namespace) => host.sh("nft -a list ruleset");
const generationOf = (host: Namespace) => generation(connect(NETLINK_NETFILTER, openNamespace(host.path)));

const masq = '-m comment --comment "flanneld masq"';
const fwd = '-m comment --comment "flanneld forward"';
const NAT = `-N FLANNEL-POSTRTG
-A POSTROUTING ${masq} -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 ${masq} -j RETURN
-A FLANNEL-POSTRTG -s 10.5.34.0/24 -d 10.5.0.0/16 ${masq} -j RETURN
-A FLANNEL-POSTRTG -s 10.5.0.0/16 -d 10.5.34.0/24 ${masq} -j RETURN
-A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.34.0/24 ${masq} -j RETURN
-A FLANNEL-POSTRTG -s 10.5.0.0/16 ! -d 224.0.0.0/4 ${masq} -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.0.0/16 ${masq} -j MASQUERADE --random-fully
`;
const FILTER = `-N FLANNEL-FWD
-A FORWARD ${fwd} -j FLANNEL-FWD
-A FLANNEL-FWD -s 10.5.0.0/16 ${fwd} -j ACCEPT
-A FLANNEL-FWD -d 10.5.0.0/16 ${fwd} -j ACCEPT
`;
const asIPv6 = (text: string) =>
  text
    .replaceAll("10.5.34.0/24", "fd00:5:0:34::/64")
    .replaceAll("10.5.0.0/16", "fd00:5::/48")
    .replaceAll("224.0.0.0/4", "ff00::/8");
const RULES = [NAT, FILTER, asIPv6(NAT), asIPv6(FILTER)];

/** As nft prints them. */
const TABLES = readFileSync(join(projectRoot, "pkg/flannel/rules/nftables.nft"), "utf8");
const TABLE = TABLES.slice(0, TABLES.indexOf("table ip6"));
const EMPTY_TABLE = 'table ip6 flannel-ipv6 {\n\tcomment "rules for flannel-ipv6"\n}\n';

t.test("iptables prints flannel's rules", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  t.equal(trafficOf(host, iptables).ensure(), 8, "four chains of ours, and four that jump to them");
  t.strictSame(listed(host), RULES);
});

t.test("nft prints flannel's tables", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  t.equal(trafficOf(host, nftables).ensure(), 4);
  t.equal(ruleset(host), TABLES);
});

t.test("settings are in the rules, and what is switched off is not there", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const different: Partial<TrafficConf> = {
    families: [ipv4],
    forward: false,
    randomFully: false,
    noMasquerade: [prefix("192.0.2.0/24"), prefix("2001:db8::/32")],
  };
  trafficOf(host, { ...iptables, ...different }).ensure();
  const returning = `-A FLANNEL-POSTRTG -s 10.5.0.0/16 -d 192.0.2.0/24 ${masq} -j RETURN\n`;
  const exceptional = NAT.replaceAll(" --random-fully", "").replace(/(?=-A .* ! -d)/, returning);
  t.strictSame(listed(host), [exceptional, "", "", ""]);

  trafficOf(host, { ...nftables, ...different }).clean();
  trafficOf(host, { ...nftables, ...different }).ensure();
  const returns = "\t\tip saddr 10.5.0.0/16 ip daddr 192.0.2.0/24 return\n";
  const table = TABLE.replaceAll(" fully-random", "")
    .replace(/\n\tchain forward \{[^}]*\}\n/, "")
    .replace(/(?=\t\tip saddr .* != 224)/, returns);
  t.equal(ruleset(host).slice(ruleset(host).indexOf("table ip flannel")), table + EMPTY_TABLE);
});

for (const conf of [iptables, nftables]) {
  const { kind } = conf;
  const seen = (host: Namespace) =>
    kind === "iptables"
      ? listed(host)
      : [...TABLES.matchAll(/^table (ip6? \S+)/gm)].map(([, name]) => host.sh(`nft list table ${name}`));
  const own = kind === "iptables" ? RULES : TABLES.split(/^(?=table)/m);
  const ours = (text: string) => (kind === "iptables" ? linesOf(text, (line) => line.includes("FLANNEL")) : text);
  const foreign = `
    iptables -w -t nat -A POSTROUTING -s 9.9.9.9 -j ACCEPT; iptables -w -A FORWARD -i x0 -j DROP; iptables -w -P FORWARD DROP
    nft add table ip other; nft add chain ip other c; nft add rule ip other c counter`;

  t.test(`${kind}: what is right is left alone`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    const traffic = trafficOf(host, conf);
    traffic.ensure();
    const [before, number] = [handles(host), generationOf(host)];
    t.equal(traffic.ensure(), 0);
    traffic.clean();
    t.equal(trafficOf(host, conf).ensure(), 0, "also by the next daemon");
    t.equal(handles(host), before);
    t.equal(generationOf(host), number, "the kernel was asked for no change");
  });

  t.test(`${kind}: what somebody else damages is mended, and strangers' rules stay`, needs, async (t) => {
    const damages: Record<string, number> = {
      iptables: {
        "nft flush ruleset": 8,
        "iptables -w -t nat -F": 2,
        "iptables -w -t nat -F FLANNEL-POSTRTG": 1,
        "iptables -w -t nat -D FLANNEL-POSTRTG 2": 1,
        "iptables -w -t nat -D POSTROUTING 2": 1,
        "iptables -w -F FORWARD; iptables -w -X FLANNEL-FWD || iptables -w -F FLANNEL-FWD; iptables -w -X FLANNEL-FWD": 2,
        [`iptables -w -t nat -D FLANNEL-POSTRTG 2; iptables -w -t nat -A FLANNEL-POSTRTG -s 10.5.34.0/24 -d 10.5.0.0/16 ${masq} -j RETURN`]: 1,
        "iptables -w -t nat -A FLANNEL-POSTRTG -s 10.5.0.0/16 -j ACCEPT": 1,
        "ip6tables -w -I FLANNEL-FWD ! -s fd00:5::/48 -d fd00:5:0:34::/64 -j DROP": 1,
        [`iptables -w -t nat -A POSTROUTING ${masq} -j FLANNEL-POSTRTG`]: 1,
        [`iptables -w -A FLANNEL-FWD -s 10.5.0.0/16 ${fwd} -j ACCEPT`]: 1,
        "nft delete table ip6 nat": 2,
      },
      nftables: {
        "nft flush ruleset": 4,
        "nft delete table ip flannel-ipv4": 2,
        "nft delete table ip6 flannel-ipv6": 2,
        "nft flush chain ip flannel-ipv4 postrtg": 1,
        "nft flush table ip flannel-ipv4": 2,
        "nft delete chain ip flannel-ipv4 forward": 1,
        "nft insert rule ip flannel-ipv4 forward ip daddr 10.5.0.0/16 drop": 1,
        "nft insert rule ip flannel-ipv4 postrtg meta mark 0x4000 return": 1,
        "nft add rule ip flannel-ipv4 forward ip saddr 10.5.0.0/16 accept": 1,
        "nft insert rule ip flannel-ipv4 postrtg ip saddr 10.5.0.0/16 masquerade": 1,
        "nft 'add chain ip flannel-ipv4 forward { policy drop; }'": 1,
        "nft 'delete chain ip6 flannel-ipv6 forward; add chain ip6 flannel-ipv6 forward { type filter hook forward priority 10; }'": 1,
        "nft 'add table ip flannel-ipv4 { flags dormant; }'": 1,
        "nft 'add table ip flannel-ipv4 { flags dormant; }; delete chain ip flannel-ipv4 forward'": 2,
      },
    }[kind];
    for (const [damage, changed] of Object.entries(damages)) {
      const host = newHost(t, { containers: 0 });
      const traffic = trafficOf(host, conf);
      host.sh(foreign);
      traffic.ensure();
      host.sh(damage);
      const left = strangers(host);
      t.equal(traffic.ensure(), changed, `chains changed after: ${damage}`);
      t.strictSame(seen(host).map(ours), own, `as before: ${damage}`);
      t.strictSame(strangers(host), left, `strangers' are as they were after: ${damage}`);
      t.equal(traffic.ensure(), 0, "once is enough");
    }
  });

  t.test(`${kind}: rules of an earlier network and subnet are replaced`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    const earlier = { network: prefix("10.99.0.0/16"), subnet: prefix("10.99.1.0/24") };
    const earlier6 = { network: prefix("fd99::/48"), subnet: prefix("fd99::/64") };
    trafficOf(host, { ...conf, families: [earlier, earlier6], noMasquerade: [prefix("99.0.0.0/8")] }).ensure();
    const traffic = trafficOf(host, { ...conf, earlierNetworks: [earlier.network, earlier6.network] });
    t.equal(traffic.ensure(), 4);
    t.strictSame(seen(host), own);
    t.notMatch(ruleset(host), /\b(10\.|fd)?99[.:]/);
  });

  t.test(`${kind}: switches that are off now, and families that have gone, leave nothing`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    trafficOf(host, conf).ensure();
    const less = trafficOf(host, { ...conf, families: [ipv4], earlierNetworks: [ipv6.network], forward: false });
    less.clean();
    t.equal(less.ensure(), 0);
    const all = seen(host).join("");
    t.notMatch(all, /FLANNEL-FWD|chain forward|fd00/);
    t.match(all, /10\.5\.34\.0\/24/);
  });
}

t.test("from one kind to the other and back, nothing is left of the first", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const [byIptables, byNftables] = [trafficOf(host, iptables), trafficOf(host, nftables)];
  host.sh(`iptables -w -t nat -A POSTROUTING -s 9.9.9.9 -j ACCEPT`);
  byIptables.ensure();
  byNftables.clean();
  byNftables.ensure();
  t.notMatch(listed(host).join(""), /FLANNEL|flanneld/);
  t.match(ruleset(host), TABLES);
  byIptables.clean();
  byIptables.ensure();
  t.notMatch(ruleset(host), /flannel-ipv/);
  t.match(listed(host), [NAT.replace("\n", "\n-A POSTROUTING -s 9.9.9.9/32 -j ACCEPT\n"), ...RULES.slice(1)]);
  byNftables.clean();
  byNftables.clean();
  t.strictSame(listed(host), ["-A POSTROUTING -s 9.9.9.9/32 -j ACCEPT\n", "", "", ""]);
});

t.test("what flannel itself leaves behind when it goes over to nftables is deleted", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  trafficOf(host, iptables).ensure();
  host.sh("iptables -w -t nat -F FLANNEL-POSTRTG"); // it can delete neither this chain, being jumped to, nor the one in "filter"
  trafficOf(host, nftables).clean();
  t.strictSame(listed(host), ["", "", "", ""]);
});

t.test("a chain of ours that the administrator jumps to is emptied and stays", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  trafficOf(host, iptables).ensure();
  host.sh("iptables -w -N MINE; iptables -w -A MINE -j FLANNEL-FWD");
  trafficOf(host, nftables).clean();
  t.equal(listed(host)[1], "-N FLANNEL-FWD\n-N MINE\n-A MINE -j FLANNEL-FWD\n");
});

t.test("what flannel made through the programs is right already", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const [nat, filter, nat6, filter6] = RULES.map((text) => text.replace(/^-N (.*)/, ":$1 - [0:0]"));
  host.sh(`
    printf '%s' '*nat\n${nat}COMMIT\n*filter\n${filter}COMMIT\n' | iptables-restore -w --noflush
    printf '%s' '*nat\n${nat6}COMMIT\n*filter\n${filter6}COMMIT\n' | ip6tables-restore -w --noflush`);
  t.strictSame(listed(host), RULES, "made");
  t.equal(trafficOf(host, iptables).ensure(), 0);
  host.sh(`nft flush ruleset; printf '%s' '${TABLES}' | nft -f -`);
  t.equal(ruleset(host), TABLES, "made");
  t.equal(trafficOf(host, nftables).ensure(), 0);
});

// --- Two networks on one host ------------------------------------------------------------------------------------------------------------

const two = { network: prefix("10.6.0.0/16"), subnet: prefix("10.6.77.0/24") };
const two6 = { network: prefix("fd00:6::/48"), subnet: prefix("fd00:6:0:77::/64") };
const of = (conf: TrafficConf, ...families: TrafficConf["families"]): TrafficConf => ({ ...conf, families });
const three: TrafficConf["families"][number] = { network: prefix("10.7.0.0/16"), subnet: prefix("10.7.1.0/24") };

/** As tools print them, chain by chain; without what stands around them. */
const worlds = {
  iptables: { conf: iptables, print: (host: Namespace) => linesOf(listed(host).join(""), isRule) },
  nftables: { conf: nftables, print: (host: Namespace) => ruleset(host) },
  legacy: { conf: iptables, print: (host: Namespace) => linesOf(listed(host, "-legacy").join(""), isRule) },
};
const isRule = (line: string) => /-A FLANNEL/.test(line);
const isMark = (line: string) => /mark.*0x0*4000/.test(line);
const speaking = (text: string, of: RegExp) => linesOf(text, (line) => !isMark(line) && of.test(line));
const ONE = /\b(10\.5\.|fd00:5:)/;
const TWO = /\b(10\.6\.|fd00:6:)/;

for (const [name, { conf, print }] of Object.entries(worlds)) {
  const inWorld = (t: Test, work: () => void) =>
    name === "legacy" ? withPath(`${commands(t, legacyIptables)}:${process.env["PATH"]}`, work) : work();
  const append = (rule: string) =>
    name === "nftables"
      ? `nft add rule ip flannel-ipv4 forward ${rule}`
      : `iptables${name === "legacy" ? "-legacy" : ""} -w -A FLANNEL-FWD ${rule}`;
  const drop = append(name === "nftables" ? "ip protocol sctp drop" : "-p sctp -j DROP");
  const isDrop = /sctp.* drop/i;

  t.test(`${name}: each of two networks has its block, and keeps its hands off the other's`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    inWorld(t, () => {
      const one = trafficOf(host, conf);
      one.ensure();
      const alone = print(host);
      const second = trafficOf(host, of(conf, two, two6));
      t.equal(second.ensure(), 4, "one chain each, and family");
      const both = print(host);
      t.equal(speaking(both, ONE), speaking(alone, ONE), "the first has its rules, in their order");
      t.equal(
        speaking(both, TWO),
        speaking(alone, ONE)
          .replace(/10\.5\.34/g, "10.6.77")
          .replace(/10\.5\./g, "10.6.")
          .replace(/fd00:5:0:34:/g, "fd00:6:0:77:")
          .replace(/fd00:5:/g, "fd00:6:"),
      );
      t.equal(both.split("\n").filter(isMark).length, 2, "the mark is there once in each family");

      const number = generationOf(host);
      for (const daemon of [trafficOf(host, conf), second, one]) {
        t.equal(daemon.ensure(), 0);
        daemon.clean();
      }
      t.equal(print(host), both);
      t.equal(generationOf(host), number, "the kernel was asked for no change");
    });
  });

  t.test(`${name}: a network that another one names as not to be masqueraded is left alone`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    inWorld(t, () => {
      const one = trafficOf(host, { ...conf, noMasquerade: [two.network, two6.network] });
      const second = trafficOf(host, { ...of(conf, two, two6), noMasquerade: [ipv4.network, ipv6.network] });
      one.ensure();
      second.ensure();
      t.equal(one.ensure() + second.ensure(), 0);
    });
  });

  t.test(`${name}: what is wrong in one block is mended, and no other rule is touched`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    inWorld(t, () => {
      const [one, second] = [trafficOf(host, of(conf, ipv4)), trafficOf(host, of(conf, two))];
      one.ensure();
      second.ensure();
      host.sh(drop);
      const [both, number] = [print(host), generationOf(host)];
      t.match(both, isDrop);
      t.equal(one.ensure() + second.ensure(), 0, "a stranger's rule behind a block is nobody's business");
      t.equal(generationOf(host), number);
      host.sh(append(name === "nftables" ? "ip saddr 10.5.0.0/16 accept" : "-s 10.5.0.0/16 -j ACCEPT"));
      t.equal(second.ensure(), 0);
      t.equal(one.ensure(), 1);
      for (const whose of [ONE, TWO, isDrop]) t.equal(speaking(print(host), whose), speaking(both, whose));
      t.equal(one.ensure() + second.ensure(), 0);
    });
  });

  t.test(`${name}: a stranger's rule within a block stands behind it afterwards`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    inWorld(t, () => {
      const traffic = trafficOf(host, of(conf, ipv4));
      traffic.ensure();
      host.sh(
        name === "nftables"
          ? `${drop}; nft add rule ip flannel-ipv4 forward ip daddr 10.5.0.0/16 accept; nft delete rule ip flannel-ipv4 forward handle $(nft -a list chain ip flannel-ipv4 forward | sed -n 's/.*daddr.*handle //p' | head -n 1)`
          : drop.replace("-A FLANNEL-FWD", "-I FLANNEL-FWD 2"),
      );
      t.equal(traffic.ensure(), 1);
      const lines = print(host)
        .split("\n")
        .filter((line) => isDrop.test(line) || (/accept|ACCEPT/.test(line) && /10\.5/.test(line)));
      t.strictSame(
        lines.map((line) => isDrop.test(line)),
        [false, false, true],
      );
      t.equal(traffic.ensure(), 0);
    });
  });

  t.test(`${name}: who gets another network takes away his old block only, and once`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    inWorld(t, () => {
      const second = trafficOf(host, of(conf, two));
      trafficOf(host, of(conf, ipv4)).ensure();
      second.ensure();
      const before = print(host);
      const changed = trafficOf(host, { ...of(conf, three), earlierNetworks: [ipv4.network] });
      changed.ensure();
      changed.clean();
      t.equal(speaking(print(host), ONE), "");
      t.equal(speaking(print(host), TWO), speaking(before, TWO));
      t.equal(second.ensure(), 0);
      const heir = trafficOf(host, of(conf, ipv4));
      heir.ensure();
      t.equal(changed.ensure() + second.ensure() + heir.ensure(), 0, "the old network may be another daemon's now");
    });
  });

  t.test(`${name}: who goes over to the other kind takes his block along, the last one all`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    const other = conf.kind === "iptables" ? nftables : iptables;
    inWorld(t, () => {
      const second = trafficOf(host, of(conf, two));
      trafficOf(host, conf).ensure();
      second.ensure();
      const before = print(host);
      trafficOf(host, other).clean();
      t.equal(speaking(print(host), ONE), "");
      t.equal(speaking(print(host), TWO), speaking(before, TWO));
      t.equal(second.ensure(), 0);
      trafficOf(host, of(other, two)).clean();
      t.notMatch(listed(host).join("") + listed(host, "-legacy").join("") + ruleset(host), /flannel/i);
    });
  });
}

// --- Legacy iptables ---------------------------------------------------------------------------------------------------------------------

t.test("legacy iptables has the same rules, and they are mended alike", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const traffic = trafficOf(host, iptables);
  const foreign = "-A POSTROUTING -s 9.9.9.9/32 -j ACCEPT\n";
  host.sh(`iptables-legacy -w -t nat ${foreign}`);
  const own = [NAT.replace("\n", `\n${foreign}`), ...RULES.slice(1)];
  withPath(`${commands(t, legacyIptables)}:${process.env["PATH"]}`, () => {
    t.equal(traffic.ensure(), 8);
    t.strictSame(listed(host, "-legacy"), own);
    t.notMatch(ruleset(host), /FLANNEL/, "nothing in nf_tables");
    for (const [damage, changed] of Object.entries({
      "iptables-legacy -w -t nat -F FLANNEL-POSTRTG": 1,
      "iptables-legacy -w -t nat -D FLANNEL-POSTRTG 2": 1,
      "iptables-legacy -w -F; iptables-legacy -w -X": 2,
      "ip6tables-legacy -w -I FLANNEL-FWD -s fd00:5::/48 -j DROP": 1,
      [`iptables-legacy -w -t nat -A POSTROUTING ${masq} -j FLANNEL-POSTRTG`]: 1,
    })) {
      host.sh(damage);
      t.equal(traffic.ensure(), changed, damage);
      t.strictSame(listed(host, "-legacy"), own, damage);
      t.equal(traffic.ensure(), 0);
    }
    trafficOf(host, nftables).clean();
    t.strictSame(listed(host, "-legacy"), [foreign, "", "", ""]);
  });
});

t.test("an administrator who goes over to the other iptables takes flannel's rules with him", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const traffic = trafficOf(host, iptables);
  const legacy = `${commands(t, legacyIptables)}:${process.env["PATH"]}`;
  const goOver = () => {
    traffic.ensure();
    traffic.clean();
    t.equal(traffic.ensure(), 0);
  };
  withPath(legacy, goOver);
  goOver();
  t.strictSame(listed(host), RULES);
  t.strictSame(listed(host, "-legacy"), ["", "", "", ""]);
  withPath(legacy, goOver);
  t.strictSame(listed(host), ["", "", "", ""]);
  t.strictSame(listed(host, "-legacy"), RULES);
});

t.test("iptables that does not know random ports masquerades without", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const path = commands(t, {
    iptables: { prints: "iptables v1.6.1" },
    "iptables-save": { link: "/usr/sbin/iptables-legacy-save" },
    "iptables-restore": {
      script: `input=$(cat); case $input in *--random-fully*) echo 'iptables-restore v1.6.1: unknown option "--random-fully"'; exit 2;; esac
        printf '%s\\n' "$input" | iptables-legacy-restore "$@"`,
    },
  });
  const traffic = trafficOf(host, { ...iptables, families: [ipv4] });
  withPath(`${path}:${process.env["PATH"]}`, () => {
    t.equal(traffic.ensure(), 4);
    t.equal(listed(host, "-legacy")[0], NAT.replaceAll(" --random-fully", ""));
    t.equal(traffic.ensure(), 0);
  });
});

t.test("what is refused is told with what to do", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const path = commands(t, {
    iptables: { prints: "iptables v1.6.1" },
    "iptables-save": { prints: "*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT" },
    "iptables-restore": { prints: "line 3: no", status: 2 },
  });
  const traffic = trafficOf(host, { ...iptables, families: [ipv4] });
  let failure: unknown;
  withPath(path, () => {
    try {
      traffic.ensure();
    } catch (error) {
      failure = error;
    }
  });
  t.match(failure, {
    msg: `"${path}/iptables-restore --noflush --wait" failed with exit status 2`,
    details: /^line 3: no; .* To fix: run it by hand to see why, or choose the nftables backend/,
  });
});
