import { readFileSync } from "node:fs";
import t from "tap";
import { parseAddress } from "../../../pkg/ip/address.ts";
import { randomFrom, testSeed } from "../../../pkg/sys/random.testing.ts";
import { schema } from "../netconf.ts";
import { earlierFlags, packageVariables } from "./earlier-flags.ts";
import { flagNames, flags, groups, isFlagName, variableOf } from "./flags.ts";
import { type Action, type Options, readOptions } from "./options.ts";

const ask = (argv: readonly string[], environment: Record<string, string> = {}): Action =>
  readOptions(argv, environment, "1.2.3");

function options(argv: readonly string[], environment: Record<string, string> = {}): Options {
  const asked = ask(argv, environment);
  if (asked.to === "run") return asked.options;
  throw new Error(`asked to ${asked.to}: ${JSON.stringify(asked)}`);
}

function refusal(argv: readonly string[], environment: Record<string, string> = {}): string[] {
  const asked = ask(argv, environment);
  if (asked.to === "print" && asked.exitCode === 2 && asked.stdout === "") return asked.stderr.trimEnd().split("\n");
  throw new Error(`not refused: ${JSON.stringify(asked)}`);
}

t.test("without flags everything is as flannel has it", async (t) => {
  const { settings, ...rest } = options([]);
  t.strictSame(rest, {
    store: {
      kind: "etcd",
      endpoints: ["http://127.0.0.1:4001", "http://127.0.0.1:2379"],
      prefix: "/coreos.com/network",
      keyFile: undefined,
      certificateFile: undefined,
      authorityFile: undefined,
      username: undefined,
      password: undefined,
    },
    externalInterface: {
      ifaces: [],
      ifaceRegexes: [],
      canReach: undefined,
      publicIP: undefined,
      publicIPv6: undefined,
    },
    subnetFile: "/run/flannel/subnet.env",
    renewMarginMs: 3600_000,
    rules: {
      masquerade: false,
      forward: true,
      randomFully: true,
      resyncSeconds: 5,
      blackholeRoute: false,
      requireBrNetfilter: false,
    },
    health: undefined,
    log: { format: "text", details: false },
    warnings: [],
  });
  t.equal(settings["net-config-path"], "/etc/kube-flannel/net-conf.json");
});

const spellings: { argv: string[]; iface: readonly string[]; masquerade: boolean; details: boolean }[] = [
  { argv: ["-iface", "eth0", "-ip-masq", "-v", "5"], iface: ["eth0"], masquerade: true, details: true },
  { argv: ["--iface", "eth0", "--ip-masq", "--v", "5"], iface: ["eth0"], masquerade: true, details: true },
  { argv: ["-iface=eth0", "-ip-masq=true", "-v=5"], iface: ["eth0"], masquerade: true, details: true },
  { argv: ["--iface=eth0", "--ip-masq=1", "--v=0x5"], iface: ["eth0"], masquerade: true, details: true },
  { argv: ["--iface=a=b", "--ip-masq=T", "--v=0"], iface: ["a=b"], masquerade: true, details: false },
  { argv: ["--iface", "a", "-iface=b", "--ip-masq=TRUE"], iface: ["a", "b"], masquerade: true, details: false },
  { argv: ["--iface", "-x", "--ip-masq", "--ip-masq=0"], iface: ["-x"], masquerade: false, details: false },
  { argv: ["--iface=", "--ip-masq=False", "-v=-1"], iface: [], masquerade: false, details: false },
  { argv: ["--ip-masq=f", "--v=1", "--v=2", "--"], iface: [], masquerade: false, details: true },
];
for (const { argv, iface, masquerade, details } of spellings) {
  t.test(`Go's flag syntax: ${argv.join(" ")}`, async (t) => {
    const read = options(argv);
    t.strictSame(read.externalInterface.ifaces, iface);
    t.equal(read.rules.masquerade, masquerade);
    t.equal(read.log.details, details);
  });
}

t.test("every flag reaches its option", async (t) => {
  const { settings, ...rest } = options([
    "--etcd-endpoints=https://10.0.0.1:2379/, 10.0.0.2:2379, [fd00::1]:2379",
    "--etcd-prefix=/other",
    "--etcd-keyfile=/k",
    "--etcd-certfile=/c",
    "--etcd-cafile=/a",
    "--etcd-username=u",
    "--etcd-password=p",
    "--iface-regex=(?i)^ETH",
    "--iface-can-reach=10.0.0.9",
    "--public-ip=192.0.2.1",
    "--public-ipv6=2001:db8::1",
    "--subnet-file=/tmp/s.env",
    "--subnet-lease-renew-margin=1439",
    "--ip-masq",
    "--ip-masq-fully-random-disable",
    "--iptables-forward-rules=false",
    "--iptables-resync=7",
    "--ip-blackhole-route",
    "--require-br-netfilter",
    "--healthz-ip=::1",
    "--healthz-port=8080",
    "--log-format=json",
    "--v=1",
  ]);
  const { ifaceRegexes } = rest.externalInterface;
  t.strictSame(
    ifaceRegexes.map((one) => [one.source, one.test("eth0")]),
    [["(?i)^ETH", true]],
  );
  t.strictSame(rest, {
    store: {
      kind: "etcd",
      endpoints: ["https://10.0.0.1:2379", "http://10.0.0.2:2379", "http://[fd00::1]:2379"],
      prefix: "/other",
      keyFile: "/k",
      certificateFile: "/c",
      authorityFile: "/a",
      username: "u",
      password: "p",
    },
    externalInterface: {
      ifaces: [],
      ifaceRegexes,
      canReach: parseAddress("10.0.0.9"),
      publicIP: parseAddress("192.0.2.1"),
      publicIPv6: parseAddress("2001:db8::1"),
    },
    subnetFile: "/tmp/s.env",
    renewMarginMs: 1439 * 60_000,
    rules: {
      masquerade: true,
      forward: false,
      randomFully: false,
      resyncSeconds: 7,
      blackholeRoute: true,
      requireBrNetfilter: true,
    },
    health: { ip: "::1", port: 8080, isDefault: false },
    log: { format: "json", details: true },
    warnings: [],
  });
});

t.test("--subnet-dir takes the place of etcd", async (t) => {
  t.strictSame(options(["--subnet-dir", "/srv/net"]).store, { kind: "directory", directory: "/srv/net" });
});

t.test("--subnet-dir beside a flag or variable of etcd is that of an early flannel, and has no effect", async (t) => {
  for (const [argv, environment, called] of [
    [["--subnet-dir=/run/flannel/networks"], { FLANNEL_ETCD_ENDPOINTS: "http://a:1" }, "FLANNEL_ETCD_ENDPOINTS"],
    [["--subnet-dir=", "--etcd-endpoints=http://a:1"], {}, "--etcd-endpoints"],
  ] as const) {
    const { store, warnings } = options(argv, environment);
    t.match(store, { kind: "etcd", endpoints: ["http://a:1"] });
    t.strictSame(warnings, [
      `--subnet-dir has no effect beside ${called}: leases are kept in etcd; to use --subnet-dir, leave out ${called}`,
    ]);
  }
});

t.test("a variable stands for a flag that is not given, and an empty one for nothing", async (t) => {
  const environment = {
    FLANNELD_IFACE: "eth1,eth2",
    FLANNELD_IP_MASQ: "true",
    FLANNELD_V: "3",
    FLANNELD_SUBNET_FILE: "",
  };
  const read = options(["--v=0"], environment);
  t.strictSame(read.externalInterface.ifaces, ["eth1,eth2"]);
  t.equal(read.rules.masquerade, true);
  t.equal(read.log.details, false);
  t.equal(read.subnetFile, "/run/flannel/subnet.env");
  t.strictSame(options(["--iface=eth9"], environment).externalInterface.ifaces, ["eth9"]);
  t.strictSame(read.warnings, []);
});

t.test("a variable that cannot be read is ignored with a warning", async (t) => {
  const read = options([], { FLANNELD_IP_MASQ: "yes", FLANNELD_IPTABLES_RESYNC: "5s" });
  t.equal(read.rules.masquerade, false);
  t.equal(read.rules.resyncSeconds, 5);
  t.strictSame(read.warnings, [
    'FLANNELD_IP_MASQ is "yes", must be true or false: ignored',
    'FLANNELD_IPTABLES_RESYNC is "5s", must be a whole number: ignored',
  ]);
});

t.test("variables of questions have no effect", async (t) => {
  t.equal(ask([], { FLANNELD_VERSION: "true", FLANNELD_STATUS: "true", FLANNELD_HELP: "true" }).to, "run");
});

t.test("klog's other options are taken, and said to do nothing", async (t) => {
  t.strictSame(options(["--vmodule=vxlan=5"], { FLANNELD_LOG_BACKTRACE_AT: "a.go:1" }).warnings, [
    "--vmodule has no effect; use --v=1 to log details",
    "FLANNELD_LOG_BACKTRACE_AT has no effect; use --v=1 to log details",
  ]);
});

t.test(
  "the variables of distributions' units stand for flags that neither the command line nor FLANNELD_* has",
  async (t) => {
    const endpoints = (argv: string[], environment: Record<string, string>) => {
      const { store } = options(argv, environment);
      return store.kind === "etcd" ? [...store.endpoints, store.prefix] : store.kind;
    };
    const oldest = { FLANNEL_ETCD: "http://e:1", FLANNEL_ETCD_KEY: "/e" };
    const usual = {
      ...oldest,
      FLANNEL_ETCD_ENDPOINTS: "http://c:1,http://d:1",
      FLANNEL_ETCD_PREFIX: "/atomic.io/network",
    };
    const ours = { ...usual, FLANNELD_ETCD_ENDPOINT: "http://b:1", FLANNELD_ETCD_PREFIX: "/b" };
    t.strictSame(endpoints([], oldest), ["http://e:1", "/e"]);
    t.strictSame(endpoints([], usual), ["http://c:1", "http://d:1", "/atomic.io/network"]);
    t.strictSame(endpoints([], ours), ["http://b:1", "/b"]);
    t.strictSame(endpoints(["-etcd-endpoint", "http://a:1", "-etcd-prefix", "/a"], ours), ["http://a:1", "/a"]);
    t.strictSame(endpoints([], { ...oldest, FLANNEL_ETCD_ENDPOINTS: "", FLANNELD_ETCD_PREFIX: "" }), [
      "http://e:1",
      "/e",
    ]);
    t.strictSame(refusal([], { FLANNEL_ETCD_ENDPOINTS: "http://a" }), [
      'flanneld: FLANNEL_ETCD_ENDPOINTS: "http://a" is not an etcd endpoint: write it as http://10.0.0.1:2379 or https://etcd1:2379',
    ]);
  },
);

t.test("a flag that flannel had once is honoured, or told what to use instead", async (t) => {
  const quiet = [
    "-logtostderr",
    "--alsologtostderr=true",
    "-log_dir=",
    "--remote",
    "",
    "--watch-networks=false",
    "--help=false",
  ];
  t.strictSame(options([...quiet, "--iface=eth1"]).warnings, []);
  const told = [
    "--logtostderr=false",
    "-log_dir",
    "/var/log/flannel",
    "--stderrthreshold=2",
    "-port=8285",
    "--remote-cafile=/ca",
  ];
  const read = options([...told, "--iface=eth1"], { FLANNELD_ONE_OUTPUT: "true", FLANNELD_LOG_DIR: "/tmp" });
  t.strictSame(read.externalInterface.ifaces, ["eth1"]);
  t.strictSame(read.warnings, [
    "--logtostderr has no effect: logs go to stderr only; read them with journalctl -u flanneld, or redirect them (2>>FILE)",
    "--log_dir has no effect: logs go to stderr only; read them with journalctl -u flanneld, or redirect them (2>>FILE)",
    "--stderrthreshold has no effect: stderr gets lines of every level",
    '--port has no effect: set "Port" in the Backend of the network configuration',
    "--remote-cafile has no effect: use --etcd-cafile",
    "FLANNELD_ONE_OUTPUT has no effect: logs go to stderr only; read them with journalctl -u flanneld, or redirect them (2>>FILE)",
  ]);
});

t.test("a mode that flannel had once fails, and says what can be used", async (t) => {
  t.strictSame(ask(["--listen=:8080", "--networks", "blue,green"], { FLANNELD_REMOTE: "10.0.0.1:8080" }), {
    to: "print",
    exitCode: 1,
    stdout: "",
    stderr: [
      "flanneld: --listen is of an early flannel, and not supported; run flanneld on each host, and give all of them etcd's own URLs in --etcd-endpoints",
      "flanneld: --networks is of an early flannel, and not supported; run a daemon for each network, with --etcd-prefix=PREFIX/NETWORK, and a --subnet-file of its own; in their configurations each has another VNI or Port",
      "flanneld: FLANNELD_REMOTE is of an early flannel, and not supported; run flanneld on each host, and give all of them etcd's own URLs in --etcd-endpoints",
      "",
    ].join("\n"),
  });
});

t.test("no earlier flag, whatever its value, ends with the status of a mistake", async (t) => {
  for (const [name, { isBoolean }] of Object.entries(earlierFlags)) {
    t.notOk(isFlagName(name), `${name} is no flag of today`);
    for (const value of ["", "true", "false", "2", "/tmp"]) {
      for (const argv of isBoolean
        ? [[`-${name}`], [`--${name}=${value}`]]
        : [[`-${name}`, value], [`--${name}=${value}`]])
        t.notMatch(ask(argv), { exitCode: 2 }, argv.join(" "));
    }
  }
});

const usageErrors: { argv: string[]; environment?: Record<string, string>; problems: string[] }[] = [
  { argv: ["--ifcae=eth0"], problems: ["unknown flag --ifcae; did you mean --iface?"] },
  { argv: ["-etcd-endpoins", "x"], problems: ["unknown flag -etcd-endpoins; did you mean --etcd-endpoints?"] },
  { argv: ["--log_dir"], problems: ["--log_dir has no value; write --log_dir=VALUE"] },
  { argv: ["--logtostderr", "true"], problems: ['"true" is not a flag; use --logtostderr=true'] },
  { argv: ["--remote-control"], problems: ["unknown flag --remote-control; flanneld --help lists all flags"] },
  { argv: ["---iface=x"], problems: ["unknown flag ---iface; did you mean --iface?"] },
  { argv: ["--toString"], problems: ["unknown flag --toString; flanneld --help lists all flags"] },
  { argv: ["--iface"], problems: ["--iface has no value; write --iface=NAME|IP"] },
  { argv: ["--ip-masq", "false"], problems: ['"false" is not a flag; use --ip-masq=false'] },
  {
    argv: ["--ip-masq", "eth0"],
    problems: ['"eth0" is not a flag; flanneld accepts only flags, such as --iface=eth0'],
  },
  { argv: ["start", "--v=1"], problems: ['"start" is not a flag; flanneld accepts only flags, such as --iface=eth0'] },
  { argv: ["--", "--v=1"], problems: ['"--v=1" is not a flag; flanneld accepts only flags, such as --iface=eth0'] },
  { argv: ["-"], problems: ['"-" is not a flag; flanneld accepts only flags, such as --iface=eth0'] },
  { argv: ["--ip-masq=yes"], problems: ['--ip-masq is "yes", must be true or false'] },
  { argv: ["--v=loud"], problems: ['--v is "loud", must be a whole number'] },
  { argv: ["--v=010"], problems: ['--v is "010", must be a whole number'] },
  { argv: ["--iptables-resync=0"], problems: ["--iptables-resync is 0, must be from 1 to 86400"] },
  { argv: ["--iptables-resync=-5"], problems: ["--iptables-resync is -5, must be from 1 to 86400"] },
  {
    argv: ["--subnet-lease-renew-margin=1440"],
    problems: ["--subnet-lease-renew-margin is 1440, must be from 1 to 1439"],
  },
  { argv: ["--healthz-port=65536"], problems: ["--healthz-port is 65536, must be from 0 to 65535"] },
  { argv: ["--healthz-ip=all"], problems: ['--healthz-ip is "all", must be an IP address, as 10.1.2.3 or fd00::1'] },
  { argv: ["--public-ip=fd00::1"], problems: ['--public-ip is "fd00::1", must be an IPv4 address, as 10.1.2.3'] },
  { argv: ["--public-ip=10.1.2"], problems: ['--public-ip is "10.1.2", must be an IPv4 address, as 10.1.2.3'] },
  { argv: ["--public-ipv6=10.1.2.3"], problems: ['--public-ipv6 is "10.1.2.3", must be an IPv6 address, as fd00::1'] },
  {
    argv: ["--iface-regex=["],
    problems: ['--iface-regex is "[", not a regular expression that is understood: [ has no ] at its end'],
  },
  { argv: ["--log-format=xml"], problems: ['--log-format is "xml", must be text or json'] },
  { argv: ["--subnet-file="], problems: ['--subnet-file is "", must be the path of a file'] },
  { argv: ["--subnet-dir="], problems: ['--subnet-dir is "", must be the path of a folder'] },
  {
    argv: ["--etcd-endpoints=http://a:1,http://u:sec,ret@b:2379"],
    problems: [
      '--etcd-endpoints: the etcd endpoint "…@b:2379" contains a user name: write it as http://10.0.0.1:2379, and use --etcd-username and --etcd-password',
    ],
  },
  ...["unix:///e", "http://a", "http://a b:1", "fd00::1:2379", "http://a:1/v3"].map((endpoint) => ({
    argv: [`--etcd-endpoints=http://a:1,${endpoint}`],
    problems: [
      `--etcd-endpoints: "${endpoint}" is not an etcd endpoint: write it as http://10.0.0.1:2379 or https://etcd1:2379`,
    ],
  })),
  { argv: ["--etcd-keyfile=/k"], problems: ["--etcd-keyfile needs --etcd-certfile as well"] },
  { argv: ["--etcd-certfile=/c"], problems: ["--etcd-certfile needs --etcd-keyfile as well"] },
  { argv: ["--etcd-username=u"], problems: ["--etcd-username needs --etcd-password as well"] },
  { argv: ["--json"], problems: ["--json needs --status; write flanneld --status --json"] },
  {
    argv: ["--iptables-resync=0"],
    environment: { FLANNELD_PUBLIC_IP: "nowhere" },
    problems: [
      'FLANNELD_PUBLIC_IP is "nowhere", must be an IPv4 address, as 10.1.2.3',
      "--iptables-resync is 0, must be from 1 to 86400",
    ],
  },
];
for (const { argv, environment = {}, problems } of usageErrors) {
  t.test(
    `${[...Object.entries(environment).map((pair) => pair.join("=")), ...argv].join(" ")} is refused`,
    async (t) => {
      t.strictSame(
        refusal(argv, environment),
        problems.map((problem) => `flanneld: ${problem}`),
      );
    },
  );
}

t.test("any words are read or refused, nothing else", async (t) => {
  const seed = testSeed();
  const number = randomFrom(seed);
  const random = (limit: number) => Math.floor(number() * limit);
  const pick = (list: readonly string[]) => list[random(list.length)] ?? "";
  const dashes = ["", "-", "--", "---"];
  const values = [
    "",
    " ",
    "=",
    "=true",
    "=0",
    "=-1",
    "=[",
    "=10.0.0.1",
    "=fd00::1",
    "=json",
    "=\0",
    `=${"x".repeat(300)}`,
  ];
  const outcomes = new Set<string>();
  for (let round = 0; round < 3000; round++) {
    const argv = Array.from({ length: random(4) }, () => pick(dashes) + pick([...flagNames, "", "x"]) + pick(values));
    const asked = ask(argv, { [variableOf(pick(flagNames))]: pick(values) });
    outcomes.add(asked.to === "print" ? `exit ${asked.exitCode}` : asked.to);
  }
  t.ok(outcomes.has("run") && outcomes.has("exit 2"), `${[...outcomes].join(", ")}, seed ${seed}`);
});

t.test("--version is told on stderr, as flannel does, whatever the variables hold", async (t) => {
  const told = { to: "print", exitCode: 0, stdout: "", stderr: "1.2.3\n" };
  t.strictSame(ask(["-version"], { FLANNELD_V: "loud" }), told);
  t.strictSame(ask(["--iface=eth0", "--version"]), told);
});

t.test("--status asks a running daemon, found by its subnet file", async (t) => {
  t.strictSame(ask(["--status"]), { to: "tell status", subnetFile: "/run/flannel/subnet.env", asJson: false });
  t.strictSame(ask(["--status", "--json", "--subnet-file=/tmp/s.env"]), {
    to: "tell status",
    subnetFile: "/tmp/s.env",
    asJson: true,
  });
});

t.test("--kube-subnet-mgr fails, and says what can be used", async (t) => {
  t.strictSame(ask(["--kube-subnet-mgr", "--ip-masq"]), {
    to: "print",
    exitCode: 1,
    stdout: "",
    stderr:
      "flanneld: --kube-subnet-mgr: leasing from Kubernetes is not implemented yet; use etcd (--etcd-endpoints) or a folder (--subnet-dir)\n",
  });
});

t.test("what is logged of the options has no password in it", async (t) => {
  const { settings } = options(["--etcd-username=u", "--kube-api-url=https://u:secret@10.0.0.1:6443"], {
    FLANNELD_ETCD_PASSWORD: "secret",
  });
  t.equal(settings["etcd-password"], "(hidden)");
  t.equal(settings["kube-api-url"], "https://u:(hidden)@10.0.0.1:6443");
  t.equal(settings["etcd-username"], "u");
  t.notMatch(JSON.stringify(settings), /secret/);
});

t.test("help names every flag once, in groups, and goes to stdout", async (t) => {
  for (const argv of [["-h"], ["--help"], ["--ifcae=x", "-help"]]) {
    const asked = ask(argv);
    t.match(asked, { to: "print", exitCode: 0, stderr: "" });
    const text = asked.to === "print" ? asked.stdout : "";
    for (const name of flagNames) t.equal(text.match(new RegExp(`^  --${name}[ \n]`, "gm"))?.length, 1, name);
    for (const heading of Object.keys(groups)) t.match(text, new RegExp(`^${heading}$`, "m"));
    t.strictSame(
      text.split("\n").filter((line) => line.length > 120),
      [],
    );
  }
});

t.test("every flag is in one group of the help", async (t) => {
  t.strictSame(Object.values(groups).flat().toSorted(), flagNames.toSorted());
  t.equal(variableOf("subnet-lease-renew-margin"), "FLANNELD_SUBNET_LEASE_RENEW_MARGIN");
});

t.test("the README has every flag with its default, and every key of the network configuration", async (t) => {
  const page = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  for (const name of flagNames) {
    const initial = flags[name].default;
    const shown = initial === "" || Array.isArray(initial) ? "" : `\`${initial}\` `;
    t.ok(page.includes(`\n| \`${name}\` | ${shown}| `), name);
  }
  for (const name of Object.keys(earlierFlags)) t.match(page, `\`${name}\``, name);
  for (const names of Object.values(packageVariables)) for (const name of names) t.match(page, `\`${name}\``, name);
  const { Backend } = schema.properties;
  for (const key of [...Object.keys(schema.properties), ...Object.keys(Backend.properties)]) {
    t.match(page, new RegExp(`^\\| .*\`${key}\`.* \\|`, "m"), key);
  }
});
