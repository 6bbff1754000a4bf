// Links in networks of `twill network` with enable_icc=false: what passes between containers, seen from inside of them, and with the eyes of bridge and nft.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { inFullRunOnly, inLongRunOnly, needsKernel } from "./lab/needs.ts";
import { ourBin, ourTools } from "./lab/project.ts";
import { newRunNode, type RunNode, stopped } from "./lab/run-node.ts";

const needs = needsKernel("nft_bridge");

/** Answers by TCP and UDP, of both families, as long as the command that was started with it. */
const serve = [
  "for port in 5432 5433; do setpriv --pdeathsig KILL socat TCP6-LISTEN:$port,fork,reuseaddr,ipv6-v6only=0 SYSTEM:'echo yes' < /dev/null > /dev/null 2>&1 & done",
  "for port in 6000 6001; do setpriv --pdeathsig KILL socat UDP6-RECVFROM:$port,fork,ipv6-v6only=0 SYSTEM:'echo yes' < /dev/null > /dev/null 2>&1 & done",
  "until [ $(ss -Htuln '( sport = 5432 or sport = 5433 or sport = 6000 or sport = 6001 )' | wc -l) = 4 ]; do sleep 0.05; done",
].join("\n");

/** Asks at once for all, and prints what answers: `tcp 10.5.0.2 5432`, `ping 10.5.0.1`. */
const ask = (probes: readonly string[]) =>
  [
    "tcp() { socat -T 1 - TCP:$1:$2,connect-timeout=1 < /dev/null; }",
    "udp() { for i in 1 2 3 4 5; do echo x | socat -T 0.3 - UDP:$1:$2 | grep yes && break; done; }", // socat may miss one while it forks
    `ping() { command ping -c 1 -W 1 "$(echo $1 | tr -d '[]')" > /dev/null && echo yes; }`,
    ...probes.map((probe) => `{ test "$(${probe} 2> /dev/null)" = yes && echo "${probe}"; } &`),
    "wait",
  ].join("\n");

/** Runs a script inside a container of `twill run`. */
const inside = (node: RunNode, container: string) => (script: string) =>
  node.runs(`--network container:${container}`, script).stdout;

/** What of the probes is answered where the script is run. What should be is asked for again where the machine is slow; what should not be, never answers. */
function answered(run: (script: string) => string, probes: readonly string[], expected: readonly string[]): string[] {
  for (let attempt = 1; ; attempt++) {
    const printed = run(ask(probes)).split("\n");
    const lines = probes.filter((probe) => printed.includes(probe));
    const isLess = lines.length < expected.length && lines.every((line) => expected.includes(line));
    if (!isLess || attempt === 5) return lines;
  }
}

const ports = ["tcp 5432", "tcp 5433", "udp 6000", "udp 6001", "ping"];
/** All that could be asked of addresses. */
const allOf = (...addresses: readonly string[]): string[] =>
  addresses.flatMap((address) => ports.map((port) => port.replace(/( |$)/, ` ${address}$1`).trimEnd()));

interface Port {
  ifname: string;
  isolated: boolean;
}
/** The names of ports that are not isolated. */
const openPorts = (node: RunNode): string[] =>
  (node.json("bridge", "-j", "-d", "link") as Port[]).filter(({ isolated }) => !isolated).map(({ ifname }) => ifname);

const tables = (node: RunNode): string => node.sh("nft list tables bridge");

interface Shown {
  Name: string;
  HostInterface: string;
  IPv4Address: string;
  Health: string;
}
const inspected = (node: RunNode, network = "apart"): Map<string, Shown> =>
  new Map(
    (Object.values(JSON.parse(node.networkSays(`inspect --check ${network}`))[0].Containers) as Shown[]).map((one) => [
      one.Name,
      one,
    ]),
  );

function newNode(test: Parameters<typeof newRunNode>[0], containers = 1): RunNode {
  const node = newRunNode(test, containers);
  node.networkSays(
    "create --ipv6 --subnet 10.5.0.0/24 --subnet fd00:5::/64 -o icc=false -o bridge.name=br-apart apart",
  );
  return node;
}

t.test(
  "a link opens the exposed ports of its target to its client, and nothing else",
  inFullRunOnly(needs),
  async (t) => {
    const node = newNode(t);
    const db = await node.starts("db", "--network apart --expose 5432 --expose 6000/udp", serve);
    await node.starts("other", "--network apart", serve);
    const app = await node.starts("app", "--network apart --link db:store", serve);
    const [ofDb, ofOther, ofApp] = [
      ["10.5.0.2", "[fd00:5::2]"],
      ["10.5.0.3", "[fd00:5::3]"],
      ["10.5.0.4", "[fd00:5::4]"],
    ] as const;
    const gateways = ["ping 10.5.0.1", "ping [fd00:5::1]"];
    const holes = ofDb.flatMap((address) => [`tcp ${address} 5432`, `udp ${address} 6000`]);
    const reached = [...gateways, ...holes];
    t.strictSame(answered(inside(node, "app"), [...gateways, ...allOf(...ofDb, ...ofOther)], reached), reached);
    t.strictSame(answered(inside(node, "other"), [...gateways, ...allOf(...ofDb, ...ofApp)], gateways), gateways);
    t.strictSame(answered(inside(node, "db"), [...gateways, ...allOf(...ofOther, ...ofApp)], gateways), gateways);
    t.match(node.runs("--network container:app", "busybox nslookup store 127.0.0.11").stdout, "10.5.0.2");
    const big =
      "for i in 1 2 3 4; do head -c 6000 /dev/zero | tr '\\0' x | socat -b 9000 -T 0.3 - UDP:10.5.0.2:6000 | grep yes && break; done";
    t.equal(node.runs("--network container:app", big).stdout, "yes\n", "also what is sent in fragments");
    t.strictSame(openPorts(node), [inspected(node).get("db")?.HostInterface]);
    t.strictSame(
      [...inspected(node).values()].map(({ Health }) => Health),
      ["ok", "ok", "ok"],
    );

    const bare = node.containers[0];
    node.networkSays(`connect --link db --ip 10.5.0.9 apart ${bare?.name}`);
    const asked = ["tcp 10.5.0.2 5432", "tcp 10.5.0.2 5433", "tcp 10.5.0.4 5432"];
    const opened = asked.slice(0, 1);
    t.strictSame(
      answered((script) => bare?.sh(script) ?? "", asked, opened),
      opened,
      "a second client",
    );
    node.networkSays(`disconnect apart ${bare?.name}`);
    t.notMatch(node.sh("nft list table bridge twill_links_apart"), "10.5.0.9", "it takes its holes with it");
    t.strictSame(answered(inside(node, "app"), allOf(...ofDb), holes), holes, "and nothing of the other's");

    await stopped(app);
    t.equal(tables(node), "", "with the last client the rules go");
    t.strictSame(openPorts(node), [], "and the target is isolated again");
    await stopped(db);
  },
);

t.test(
  "holes follow a target that is killed and comes back, and are there again after a flush",
  inFullRunOnly(needs),
  async (t) => {
    const node = newNode(t);
    const serveOne = "exec socat TCP6-LISTEN:5433,fork,reuseaddr,ipv6-v6only=0 SYSTEM:'echo yes'"; // alone, so that the namespace goes with it
    const db = await node.starts("db", "--network apart --expose 5433", "true", serveOne);
    await node.starts("app", "--network apart --link db");
    process.kill(db.process, "SIGKILL");
    await db.ended;
    node.networkSays("ls");
    t.strictSame([tables(node), openPorts(node)], ["", []], "no target, no hole");
    await node.starts("db", "--network apart --ip 10.5.0.77 --ip6 fd00:5::77 --expose 5433", "true", serveOne);
    node.runs("--network container:db", "until ss -Htln | grep -q :5433; do sleep 0.05; done");
    const ofDb = allOf("10.5.0.77", "[fd00:5::77]");
    const holes = ["tcp 10.5.0.77 5433", "tcp [fd00:5::77] 5433"];
    t.strictSame(answered(inside(node, "app"), ofDb, holes), holes, "at its new addresses");

    t.match(node.twill("reload"), { status: 0, stdout: /nothing is missing/ });
    /** Damages what was made, and looks; twice, since the resolver may just be having `twill network` remove what the killed target left. */
    const damaged = (script: string, look: () => string | undefined, told: RegExp) => {
      node.sh(script);
      if (told.test(look() ?? "")) return;
      node.sh(script);
      t.match(look(), told);
    };
    const health = (name: string) => () => inspected(node).get(name)?.Health;
    const remove = "nft delete table bridge twill_links_apart 2> /dev/null || true";
    const planned = /^apart, links: 1 changes to make\n {4}table bridge twill_links_apart is missing/m;
    damaged(remove, () => node.twill("reload --dry-run").stdout, planned);
    damaged("nft flush ruleset", () => node.twill("reload").stdout, /^apart, links: 1 changes made$/m);
    t.strictSame(answered(inside(node, "app"), ofDb, holes), holes);
    damaged(
      remove,
      () => node.twill("doctor").stdout,
      /^error: what links .* open is not as .* \[lost-links\]\n {2}apart: table bridge/m,
    );
    damaged(remove, health("app"), /^its links: table bridge twill_links_apart is missing; twill reload/);
    t.equal(health("app")(), "ok", "the command that told it has restored it");
    const isolate = `bridge link set dev ${inspected(node).get("db")?.HostInterface} isolated on`;
    damaged(isolate, health("db"), /^its links: port \w+ of the bridge is isolated, must not be/);
    t.strictSame(openPorts(node), [inspected(node).get("db")?.HostInterface]);
  },
);

t.test(
  "what is exposed decides: nothing, nothing opens; a network without isolation needs no hole",
  needs,
  async (t) => {
    const node = newNode(t);
    node.networkSays("create --subnet 10.6.0.0/24 open");
    await node.starts("quiet", "--network apart");
    await node.starts("web", "--network open --expose 80");
    const bare = node.containers[0]?.name;
    node.networkSays(`connect --link quiet apart ${bare}`);
    node.networkSays(`connect --link web open ${bare}`);
    t.strictSame([tables(node), openPorts(node).length], ["", 2], "the two of the open network");
    for (const network of ["apart", "open"]) node.networkSays(`disconnect ${network} ${bare}`);
    node.networkSays(`connect --link late:l apart ${bare}`);
    await node.starts("late", "--network apart --ip 10.5.0.8 -p 8080:5432", serve);
    const asked = ["ping 10.5.0.1", "tcp 10.5.0.8 5432", "tcp 10.5.0.8 5433"];
    const within = (script: string) => node.containers[0]?.sh(script) ?? "";
    const opened = asked.slice(0, 2);
    t.strictSame(answered(within, asked, opened), opened, "a target that comes later, by what it publishes");
  },
);

t.test(
  "a link to a container that a runtime attaches opens what that publishes, without a command",
  inFullRunOnly(needs),
  async (t) => {
    const node = newNode(t, 2);
    const [client, target] = node.containers;
    node.networkSays(`connect --link ${target?.name} apart ${client?.name}`);
    const add = (verb: string) =>
      node.runInside([join(ourTools, "cnitool"), verb, "apart", target?.path ?? ""], {
        CNI_PATH: ourBin,
        NETCONFPATH: "/var/lib/net.d",
        CAP_ARGS: '{"portMappings":[{"hostPort":8080,"containerPort":5432,"protocol":"tcp"}]}',
      });
    t.match(add("add"), { status: 0 });
    const isOpen = "nft list table bridge twill_links_apart 2> /dev/null | grep -q 'tcp . 5432'";
    node.sh(`timeout 20 sh -c "until ${isOpen}; do sleep 0.1; done"`);
    t.equal(openPorts(node).length, 1);
    t.match(add("del"), { status: 0 });
    node.sh(`timeout 20 sh -c "while nft list table bridge twill_links_apart 2> /dev/null; do sleep 0.1; done"`);
    node.networkSays(`disconnect apart ${client?.name}`);
  },
);

t.test(
  "a target of which the files are gone is isolated again, before the rules go that were about it",
  inFullRunOnly(needs),
  async (t) => {
    const node = newNode(t);
    await node.starts("db", "--network apart --expose 5432");
    await node.starts("app", "--network apart --link db");
    t.strictSame(openPorts(node), [inspected(node).get("db")?.HostInterface]);
    node.sh(`rm $(grep -l '"containerName":"db"' /var/lib/cni/twill/networks/*/*.json) /var/lib/cni/results/apart-*`);
    node.networkSays("ls");
    t.strictSame([openPorts(node), tables(node)], [[], ""]);
  },
);

/** Returns the commands of the page about what isolated ports do not stop: with iptables, with nftables, and for bridges. */
const rulesOfPage = () => blocksBelow("### Through the host, where containers are apart");

function blocksBelow(heading: string): string[] {
  const [, section = ""] = readFileSync("docs/docker-networks.md", "utf8").split(`${heading}\n`);
  return [...(section.split(/^## /m)[0] ?? "").matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands = ""]) => commands);
}

for (const [how, block] of [
  ["iptables", 0],
  ["a table for bridges", 2],
] as const)
  for (const filtersBridges of [0, 1])
    t.test(
      `what two isolated containers send each other through the host is dropped by the page's rules with ${how}, and no link is, bridge-nf-call-iptables=${filtersBridges}`,
      inFullRunOnly(needs),
      async (t) => {
        const rules = rulesOfPage()[block] ?? "";
        const node = newNode(t, 2);
        const [other, client] = node.containers;
        const setting = "/proc/sys/net/bridge/bridge-nf-call-ip";
        if (node.run("test", "-e", `${setting}tables`).status === 0)
          node.sh(`for family in '' 6; do echo ${filtersBridges} > ${setting}\${family}tables; done`);
        await node.starts("db", "--network apart --expose 5432", serve);
        node.networkSays(`connect apart ${other?.name}`);
        node.networkSays(`connect --link db apart ${client?.name}`);
        const [bridge] = node.json("ip", "-j", "link", "show", "br-apart") as { address: string }[];
        const toGateway = (...addresses: string[]) =>
          addresses.map((one) => `ip neigh replace ${one} lladdr ${bridge?.address} dev eth0 nud permanent`).join("\n");
        other?.sh(toGateway("10.5.0.2", "fd00:5::2"));
        inside(node, "db")(toGateway("10.5.0.3", "fd00:5::3"));
        const probes = ["tcp 10.5.0.2 5432", "tcp [fd00:5::2] 5432"];
        const reached = (container: typeof other, expected: readonly string[]) =>
          answered((script) => container?.sh(script) ?? "", probes, expected);
        t.strictSame([reached(other, probes), reached(client, probes)], [probes, probes], "without the rules");
        node.sh(rules);
        t.strictSame([reached(other, []), reached(client, probes)], [[], probes], "with them");
      },
    );

/** Calls that change something, of the host or on disk. */
const CHANGING = "sendto,sendmsg,rename,renameat,renameat2,unlink,unlinkat";

/** Kills a command before each call that changes something, every time once, until it comes to its end. */
function killedEverywhere(node: RunNode, command: string, look: (at: string) => void): void {
  const names = CHANGING.split(",");
  const counted = node.traced(command, ["-e", `trace=${CHANGING}`]);
  const counts = names.map((name) => counted.filter((line) => line.includes(` ${name}(`)).length);
  look("the end");
  for (const [i, name] of names.entries())
    for (let n = 1; n <= (counts[i] ?? 0); n++) {
      node.traced(command, ["-e", `trace=${name}`, "-e", `inject=${name}:signal=KILL:when=${n}`]);
      look(`${name} ${n}`);
    }
}

t.test(
  "killed at any moment, connect and disconnect leave no port open that should not be",
  inLongRunOnly(needs),
  async (t) => {
    const node = newNode(t);
    await node.starts("db", "--network apart --expose 5432", "true", "exec sleep 3000");
    const bare = node.containers[0]?.name;
    const state = () => [
      openPorts(node),
      tables(node),
      node.sh("ls /var/lib/cni/twill/networks/* /var/lib/cni/results"),
      node.sh("ip -br link show type veth | wc -l"),
    ];
    const port = inspected(node).get("db")?.HostInterface ?? "";
    /** The client's own is open until its ADD has isolated it. */
    const ruled = () => {
      const isOpen = () => openPorts(node).includes(port);
      if (!isOpen()) return true;
      const text = node.run("nft", "list", "table", "bridge", "twill_links_apart").stdout;
      const hasRules =
        text.includes(`elements = { "${port}" }`) && text.includes('goto between_ports comment "to a target');
      return hasRules || !isOpen(); // the resolver's twill network may be closing it just now
    };
    const apart = state();
    killedEverywhere(node, `network connect --link db apart ${bare}`, (at) => {
      t.ok(ruled(), `connect, ${at}: an open port has its rules`);
      node.networkSays("ls");
      const names = [...inspected(node).keys()];
      if (names.includes(bare ?? "")) {
        t.strictSame(
          [...inspected(node).values()].map(({ Health }) => Health),
          ["ok", "ok"],
          at,
        );
        node.networkSays(`disconnect apart ${bare}`);
      }
      t.strictSame(state(), apart, `connect, ${at}: nothing is left`);
    });
    node.networkSays(`connect --link db apart ${bare}`);
    killedEverywhere(node, `network disconnect apart ${bare}`, (at) => {
      t.ok(ruled(), `disconnect, ${at}: an open port has its rules`);
      node.networkSays("ls");
      if (inspected(node).has(bare ?? "")) node.networkSays(`disconnect apart ${bare}`);
      t.strictSame(state(), apart, `disconnect, ${at}: nothing is left`);
      node.networkSays(`connect --link db apart ${bare}`);
    });
  },
);
