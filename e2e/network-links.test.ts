// Links in networks of `twill network` with enable_icc=false: what passes between containers, seen from inside of them, and with the eyes of bridge and nft.
import t from "tap";
import { inFullRunOnly, needsKernel } from "./lab/needs.ts";
import { newRunNode, type RunNode, stopped } from "./lab/run-node.ts";

const needs = needsKernel("nft_bridge");

/** Answers by TCP and UDP, of both families. */
const serve = [
  "for port in 5432 5433; do socat TCP6-LISTEN:$port,fork,reuseaddr,ipv6-v6only=0 SYSTEM:'echo yes' < /dev/null > /dev/null 2>&1 & done",
  "for port in 6000 6001; do socat UDP6-RECVFROM:$port,fork,ipv6-v6only=0 SYSTEM:'echo yes' < /dev/null > /dev/null 2>&1 & done",
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

/** What of the probes is answered inside a container of `twill run`. */
function answered(node: RunNode, container: string, probes: readonly string[]): string[] {
  const { stdout } = node.runs(`--network container:${container}`, ask(probes));
  const lines = stdout.split("\n").filter(Boolean);
  return probes.filter((probe) => lines.includes(probe));
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

function newNode(test: Parameters<typeof newRunNode>[0]): RunNode {
  const node = newRunNode(test);
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
    t.strictSame(answered(node, "app", [...gateways, ...allOf(...ofDb, ...ofOther)]), [...gateways, ...holes]);
    t.strictSame(answered(node, "other", [...gateways, ...allOf(...ofDb, ...ofApp)]), gateways);
    t.strictSame(answered(node, "db", [...gateways, ...allOf(...ofOther, ...ofApp)]), gateways);
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
    t.strictSame(
      bare?.sh(ask(["tcp 10.5.0.2 5432", "tcp 10.5.0.2 5433", "tcp 10.5.0.4 5432"])).trim(),
      "tcp 10.5.0.2 5432",
      "a second client",
    );
    node.networkSays(`disconnect apart ${bare?.name}`);
    t.notMatch(node.sh("nft list table bridge twill_links_apart"), "10.5.0.9", "it takes its holes with it");
    t.strictSame(answered(node, "app", allOf(...ofDb)), holes, "and nothing of the other's");

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
    t.strictSame(answered(node, "app", ofDb), holes, "at its new addresses");

    t.match(node.twill("reload"), { status: 0, stdout: /nothing is missing/ });
    node.sh("nft delete table bridge twill_links_apart");
    t.match(inspected(node).get("app")?.Health, /^its links: table bridge twill_links_apart is missing; twill reload/);
    t.match(
      node.twill("reload --dry-run").stdout,
      /^apart, links: 1 changes to make\n {4}table bridge twill_links_apart is/m,
    );
    node.sh("nft flush ruleset");
    t.match(node.twill("reload"), { status: 0, stdout: /^apart, links: 1 changes made$/m });
    t.strictSame(answered(node, "app", ofDb), holes);
    t.equal(inspected(node).get("app")?.Health, "ok");
    node.sh(`bridge link set dev ${inspected(node).get("db")?.HostInterface} isolated on`);
    t.match(inspected(node).get("db")?.Health, /^its links: port \w+ of the bridge is isolated, must not be/);
    node.twill("reload");
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
    const lines = node.containers[0]?.sh(ask(asked)).trim().split("\n").sort();
    t.strictSame(lines, asked.slice(0, 2), "a target that comes later, by what it publishes");
  },
);
