// Which firewalls drop what others send to a port: told of real rules, and witnessed by real packets.
import t from "tap";
import { type DroppedInput, droppedInput } from "../../pkg/firewall/input/dropped-input.ts";
import { parseAddress } from "../../pkg/ip/address.ts";
import { connect, NETLINK_NETFILTER } from "../../pkg/netlink/connection.ts";
import { closeNamespace, openNamespace, within } from "../../pkg/sys/namespace.ts";
import { until } from "../cluster/until.ts";
import { FIREWALLD, FIREWALLD_PATH, startFirewalld } from "../lab/firewalld.ts";
import { type Host, newHost } from "../lab/host.ts";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { installUfw } from "../lab/ufw.ts";

const PORT = 8472;

type Test = Parameters<typeof newHost>[0];

interface Guarded extends Host {
  /** What our code tells. */
  dropped(): DroppedInput[];
  /** Whether a datagram that its container sends to the port arrives. */
  letsIn(): boolean;
}

/** Without asking for neighbours, which a firewall may prevent too. */
const networks = {
  ipv4: { own: "192.0.2.1", other: "192.0.2.2", length: 24 },
  ipv6: { own: "fd00:a::1", other: "fd00:a::2", length: 64 },
} as const;

/** A host with 192.0.2.1, or fd00:a::1, on eth0; 192.0.2.2 is its container. */
function newGuardedHost(t: Test, family: keyof typeof networks = "ipv4"): Guarded {
  const { own, other, length } = networks[family];
  const host = newHost(t);
  const [peer] = host.containers;
  host.sh(`
    ip link add eth0 type veth peer name eth0 netns ${peer?.name}
    ip link set eth0 address 02:00:00:00:00:01
    ip address add ${own}/${length} dev eth0 ${family === "ipv6" ? "nodad" : ""}
    ip link set eth0 up
    ip neigh add ${other} dev eth0 lladdr 02:00:00:00:00:02 nud permanent`);
  peer?.sh(`
    ip link set eth0 address 02:00:00:00:00:02
    ip address add ${other}/${length} dev eth0 ${family === "ipv6" ? "nodad" : ""}
    ip link set eth0 up
    ip neigh add ${own} dev eth0 lladdr 02:00:00:00:00:01 nud permanent`);
  const [link] = host.json("ip", "-j", "link", "show", "eth0") as { ifindex: number }[];
  const namespace = openNamespace(host.path);
  t.teardown(() => closeNamespace(namespace));
  let arrived = noPortsOf(host, family);
  const addressOf = (text: string) => parseAddress(text) ?? new Uint8Array();
  return {
    ...host,
    dropped: () =>
      within(namespace, () => {
        const netfilter = connect(NETLINK_NETFILTER);
        return droppedInput(netfilter, {
          inInterface: { name: "eth0", index: link?.ifindex ?? 0 },
          sources: [addressOf(other)],
          destination: addressOf(own),
          port: PORT,
        });
      }),
    letsIn() {
      const before = arrived;
      peer?.run("bash", "-c", `echo > /dev/udp/${own}/${PORT}`); // a refusal by ICMP fails the command
      arrived = noPortsOf(host, family);
      return arrived > before;
    },
  };
}

/** How many datagrams came to a port on which nobody listens, as the kernel counts them. */
function noPortsOf(host: Host, family: keyof typeof networks): number {
  if (family === "ipv6") return Number(host.sh("grep ^Udp6NoPorts /proc/net/snmp6").split(/\s+/)[1]);
  const [names = [], values = []] = host
    .sh("grep ^Udp: /proc/net/snmp")
    .split("\n")
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("NoPorts")]);
}

const input = (rules: string, policy = "drop") =>
  `table inet filter { chain input { type filter hook input priority 0; policy ${policy}; ${rules}\n }\n }`;
const usual = `iif lo accept; ct state vmap { established : accept, related : accept, invalid : drop }; meta l4proto icmp accept;`;

const nftables: { title: string; rules: string; isDropped: boolean; isIn?: boolean }[] = [
  { title: "no rules", rules: "table inet filter", isDropped: false },
  { title: "a policy alone", rules: input(""), isDropped: true },
  {
    title: "what many hosts have",
    rules: input(`${usual} tcp dport 22 accept; udp dport { 53, 123 } accept`),
    isDropped: true,
  },
  {
    title: "the port, in a set of intervals",
    rules: input(`${usual} udp dport { 53, 8000-9000 } accept`),
    isDropped: false,
  },
  { title: "intervals beside the port", rules: input(`${usual} udp dport { 53, 8473-9000 } accept`), isDropped: true },
  { title: "a range", rules: input("udp dport 8000-9000 accept"), isDropped: false },
  { title: "every port but this", rules: input("udp dport != 8472 accept"), isDropped: true },
  { title: "the other host's network", rules: input("ip saddr 192.0.2.0/24 accept"), isDropped: false },
  { title: "another network", rules: input("ip saddr 198.51.100.0/24 accept"), isDropped: true },
  { title: "another interface", rules: input('iifname "eth1" accept'), isDropped: true },
  { title: "an interface by its beginning", rules: input('iifname "eth*" accept'), isDropped: false },
  { title: "a set of interfaces", rules: input('iifname { "eth0", "eth1" } accept'), isDropped: false },
  {
    title: "addresses and ports together",
    rules: input("ip saddr . udp dport { 192.0.2.2 . 8472, 192.0.2.3 . 1-9 } accept"),
    isDropped: false,
  },
  {
    title: "other addresses and ports together",
    rules: input("ip saddr . udp dport { 192.0.2.2 . 8473, 192.0.2.3 . 8000-9000 } accept"),
    isDropped: true,
  },
  {
    title: "a limit, which may let it in",
    rules: input("limit rate 1/day burst 1 packets drop; accept"),
    isDropped: false,
    isIn: false,
  },
  { title: "a mark, which nobody knows", rules: input("meta mark 7 accept"), isDropped: false, isIn: false },
  { title: "an explicit rule", rules: input("udp dport 8472 reject", "accept"), isDropped: true },
  {
    title: "a table that sleeps",
    rules: "table ip a { flags dormant; chain i { type filter hook input priority 0; policy drop;\n }\n }",
    isDropped: false,
  },
  {
    title: "the second of two tables",
    rules: `${input("accept")}\ntable ip late { chain i { type filter hook input priority 9; udp dport 8472 drop;\n }\n }`,
    isDropped: true,
  },
  {
    title: "chains that are jumped to and left again",
    rules: `table inet filter {
      chain open { udp dport 8472 accept; }
      chain other { udp dport 53 accept; return; accept; }
      chain input { type filter hook input priority 0; policy drop; jump other; iifname vmap { "eth0" : goto open }; }
    }`,
    isDropped: false,
  },
  {
    title: "a chain that is gone to and does not come back",
    rules: `table inet filter {
      chain other { udp dport 53 accept; }
      chain input { type filter hook input priority 0; policy drop; goto other; accept; }
    }`,
    isDropped: true,
  },
];

t.test("nftables: what drops packets for a port is told, and what may let them in is not", needsRoot, async (t) => {
  const host = newGuardedHost(t);
  t.ok(host.letsIn(), "without rules packets arrive");
  for (const { title, rules, isDropped, isIn = !isDropped } of nftables) {
    host.sh(`nft -f - <<'EOF'\nflush ruleset\n${rules}\nEOF`);
    t.equal(host.dropped().length > 0, isDropped, `${title}: told`);
    t.equal(host.letsIn(), isIn, `${title}: packets arrive`);
  }
});

const ipv6Network = `ip6 saddr fd00:a::/64 accept`;
const nftablesForIPv6: typeof nftables = [
  { title: "a policy alone", rules: input(""), isDropped: true },
  {
    title: "what many hosts have",
    rules: input(
      "ct state established,related accept; iif lo accept; meta l4proto ipv6-icmp accept; tcp dport 22 accept",
    ),
    isDropped: true,
  },
  { title: "the port", rules: input("udp dport 8472 accept"), isDropped: false },
  { title: "the other host's network", rules: input(ipv6Network), isDropped: false },
  { title: "a network of IPv4", rules: input("ip saddr 0.0.0.0/0 accept"), isDropped: true },
  { title: "other hosts", rules: input("ip6 saddr { fd00:a::3, fd00:b::/32 } accept"), isDropped: true },
  {
    title: "hosts in a set of intervals",
    rules: input("ip6 saddr { fd00:a::/126, fe80::/10 } accept"),
    isDropped: false,
  },
  {
    title: "addresses and ports together",
    rules: input("ip6 saddr . udp dport { fd00:a::2 . 8472 } accept"),
    isDropped: false,
  },
  { title: "the header's next one", rules: input("ip6 nexthdr udp accept"), isDropped: false },
  { title: "IPv6 as such", rules: input("meta nfproto ipv6 accept"), isDropped: false },
  { title: "IPv4 as such", rules: input("meta nfproto ipv4 accept"), isDropped: true },
  {
    title: "a table of IPv4",
    rules: "table ip filter { chain input { type filter hook input priority 0; policy drop;\n }\n }",
    isDropped: false,
  },
  {
    title: "a table of IPv6",
    rules:
      "table ip6 filter { chain input { type filter hook input priority 0; policy drop; udp dport 53 accept;\n }\n }",
    isDropped: true,
  },
  {
    title: "a hop limit, which nobody knows",
    rules: input("ip6 hoplimit 1 accept"),
    isDropped: false,
    isIn: false,
  },
];

t.test("nftables, IPv6: what drops packets is told, and its command opens the port", needsRoot, async (t) => {
  const host = newGuardedHost(t, "ipv6");
  t.ok(host.letsIn(), "without rules packets arrive");
  for (const { title, rules, isDropped, isIn = !isDropped } of nftablesForIPv6) {
    host.sh(`nft -f - <<'EOF'\nflush ruleset\n${rules}\nEOF`);
    t.equal(host.dropped().length > 0, isDropped, `${title}: told`);
    t.equal(host.letsIn(), isIn, `${title}: packets arrive`);
  }
  host.sh(
    "nft flush ruleset; nft 'table ip6 filter { chain input { type filter hook input priority 0; policy drop; }; }'",
  );
  const [command = ""] = host.dropped()[0]?.command.split(", and ") ?? [];
  host.sh(command.replaceAll('"', '\\"'));
  t.strictSame(host.dropped(), []);
  t.ok(host.letsIn());
});

t.test("nftables: its command opens the port", needsRoot, async (t) => {
  const host = newGuardedHost(t);
  host.sh(`nft '${input(usual)}'`);
  const [told] = host.dropped();
  t.equal(told?.by, "nftables (chain inet filter input)");
  const [command = ""] = told?.command.split(", and ") ?? [];
  host.sh(command.replaceAll('"', '\\"'));
  t.strictSame(host.dropped(), []);
  t.ok(host.letsIn());
});

interface RulesRow {
  title: string;
  /** Of chain INPUT, behind a policy that drops. */
  rules: string[];
  isDropped: boolean;
  isIn?: boolean;
}

function testRules(program: string, family: keyof typeof networks, rows: readonly RulesRow[]): void {
  t.test(`${program}: what drops packets is told, and its command opens the port`, needsRoot, async (t) => {
    const host = newGuardedHost(t, family);
    for (const { title, rules, isDropped, isIn = !isDropped } of rows) {
      host.sh(
        [`${program} -F`, `${program} -P INPUT DROP`, ...rules.map((rule) => `${program} -A INPUT ${rule}`)].join("\n"),
      );
      t.equal(host.dropped().length > 0, isDropped, `${title}: told`);
      t.equal(host.letsIn(), isIn, `${title}: packets arrive`);
    }
    host.sh(`${program} -F`);
    const [told] = host.dropped();
    t.equal(told?.by, `${program} (chain INPUT)`);
    host.sh(told?.command.split(", and ")[0] ?? "");
    t.strictSame(host.dropped(), []);
    t.ok(host.letsIn());
  });
}

for (const program of ["iptables", "iptables-legacy"]) {
  const rows: RulesRow[] = [
    { title: "a policy alone", rules: [], isDropped: true },
    {
      title: "what many hosts have",
      rules: [
        "-i lo -j ACCEPT",
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-p tcp -m tcp --dport 22 -j ACCEPT",
      ],
      isDropped: true,
    },
    {
      title: "what CentOS has",
      rules: ["-m state --state RELATED,ESTABLISHED -j ACCEPT", "-j REJECT --reject-with icmp-host-prohibited"],
      isDropped: true,
    },
    { title: "the port", rules: ["-i eth0 -p udp --dport 8000:9000 -j ACCEPT"], isDropped: false },
    { title: "several ports", rules: ["-p udp -m multiport --dports 53,8472 -j ACCEPT"], isDropped: false },
    {
      title: "other ports",
      rules: ["-p udp -m multiport --dports 53,123 -j ACCEPT", "! -p udp -j ACCEPT"],
      isDropped: true,
    },
    { title: "new flows", rules: ["-m conntrack ! --ctstate INVALID -j ACCEPT"], isDropped: false },
    { title: "the other host", rules: ["-s 192.0.2.2 -j ACCEPT"], isDropped: false },
    { title: "another host", rules: ["-s 192.0.2.3 -j ACCEPT"], isDropped: true },
    {
      title: "a string, which nobody knows",
      rules: ["-m string --string y --algo bm -j ACCEPT"],
      isDropped: false,
      isIn: false,
    },
    {
      title: "a refusal",
      rules: ["-j LOG", "-m comment --comment 'no -j ACCEPT' -j REJECT", "-j ACCEPT"],
      isDropped: true,
    },
  ];
  testRules(program, "ipv4", rows);
}

for (const program of ["ip6tables", "ip6tables-legacy"]) {
  const rows: RulesRow[] = [
    { title: "a policy alone", rules: [], isDropped: true },
    {
      title: "what CentOS has",
      rules: [
        "-m state --state RELATED,ESTABLISHED -j ACCEPT",
        "-p ipv6-icmp -j ACCEPT",
        "-d fe80::/64 -p udp -m udp --dport 546 -m state --state NEW -j ACCEPT",
        "-j REJECT --reject-with icmp6-adm-prohibited",
      ],
      isDropped: true,
    },
    { title: "the port", rules: ["-i eth0 -p udp --dport 8472 -j ACCEPT"], isDropped: false },
    { title: "the other host's network", rules: ["-s fd00:a::/64 -j ACCEPT"], isDropped: false },
    { title: "the other host", rules: ["-s fd00:a::2 -j ACCEPT"], isDropped: false },
    { title: "all but the other host", rules: ["! -s fd00:a::2/128 -j ACCEPT"], isDropped: true },
    { title: "another network", rules: ["-s fd00:b::/33 -j ACCEPT"], isDropped: true },
    {
      title: "its own address",
      rules: ["-d fd00:a::1 -p udp -m multiport --dports 1,8472 -j ACCEPT"],
      isDropped: false,
    },
    {
      title: "a hop limit, which nobody knows",
      rules: ["-m hl --hl-eq 1 -j ACCEPT"],
      isDropped: false,
      isIn: false,
    },
  ];
  testRules(program, "ipv6", rows);
}

for (const family of ["ipv4", "ipv6"] as const) {
  t.test(`ufw, ${family}: it is told, and its command opens the port`, inFullRunOnly(needsRoot), async (t) => {
    const host = newGuardedHost(t, family);
    const { ufw } = installUfw(t, host);
    ufw("--force enable"); // which asks else
    t.notOk(host.letsIn());
    const [told, ...more] = host.dropped();
    t.strictSame(told, { by: "ufw", command: "ufw allow in on eth0 to any port 8472 proto udp" });
    t.strictSame(more, []);
    ufw("limit in on eth0 to any port 22 proto tcp");
    ufw(`deny from ${networks[family].other} to any port 53`);
    t.strictSame(host.dropped(), [told], "rules for other ports");
    ufw(told?.command.replace("ufw ", "") ?? "");
    t.strictSame(host.dropped(), []);
    t.ok(host.letsIn());
    ufw("default allow incoming");
    ufw("reject 8000:9000/udp");
    t.strictSame(host.dropped(), [], "the first rule counts");
    t.ok(host.letsIn());
    ufw("delete allow in on eth0 to any port 8472 proto udp");
    t.strictSame(host.dropped(), [told], "a range that is rejected");
    t.notOk(host.letsIn());
    ufw("disable");
    t.strictSame(host.dropped(), []);
    t.ok(host.letsIn());
  });
}

t.test(
  "firewalld: the zone is told, and the command opens the port now and after the next start",
  needsRoot,
  async (t) => {
    const host = newGuardedHost(t);
    const firewalld = await startFirewalld(host);
    const enter = (zone: string) =>
      firewalld.send(
        FIREWALLD,
        FIREWALLD_PATH,
        `${FIREWALLD}.zone.changeZoneOfInterface`,
        `string:${zone}`,
        "string:eth0",
      );
    for (const zone of ["public", "drop"]) {
      enter(zone);
      await until(`packets do not arrive in zone ${zone}`, () => !host.letsIn());
      const [told] = host.dropped();
      const words = `--zone=${zone} --add-port=8472/udp`;
      t.strictSame(told, {
        by: `firewalld (zone ${zone})`,
        command: `firewall-cmd ${words} && firewall-cmd --permanent ${words}`,
      });
      for (const command of told?.command.split(" && ") ?? []) firewalld.firewallCmd(...command.split(" ").slice(1));
      t.strictSame(host.dropped(), [], zone);
      t.ok(host.letsIn(), zone);
    }
    t.match(firewalld.firewallCmd("--permanent", "--zone=drop", "--list-ports"), "8472/udp");
    enter("trusted");
    t.strictSame(host.dropped(), [], "trusted");
  },
);
