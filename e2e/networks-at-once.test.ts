// Three networks with thirty containers each, which come and go at once: seen with ip, dig, nft and find.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { inFullRunOnly, needsRoot } from "./lab/needs.ts";
import { ourBin, ourTools } from "./lab/project.ts";
import "./lab/search-path.ts";

const NETWORKS = ["n0", "n1", "n2"];
const CONTAINERS_OF_EACH = 30;

const path = { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d" };
/** The resolver that connect starts has its socket in a folder of the host. */
const ownRun = "mkdir -p /run/twill /var/lib/run && mount --bind /var/lib/run /run/twill";

/** Runs the lines of a script side by side, with `network` for `twill network`; each that fails prints itself. */
async function atOnce(t: Tap, node: Host, lines: readonly string[]): Promise<void> {
  const script = `
    ${ownRun}
    network() { ${join(ourTools, "twill")} network "$@" || echo "failed: $*"; }
    ${lines.map((line) => `${line} &`).join("\n")}
    wait`;
  t.strictSame(await node.runInsideAtOnce(["sh", "-c", script], path), {
    status: 0,
    signal: null,
    stdout: "",
    stderr: "",
  });
}
type Tap = Pick<typeof t, "strictSame">;

const sorted = (text: string): string[] => text.trim().split("\n").filter(Boolean).sort();

t.test(
  `${NETWORKS.length} networks with ${CONTAINERS_OF_EACH} containers each, connected and disconnected at once: names in each network, nothing left`,
  inFullRunOnly(needsRoot),
  async (t) => {
    const node = newHost(t, { containers: NETWORKS.length * CONTAINERS_OF_EACH });
    const { containers } = node;
    const networkOf = (i: number) => NETWORKS[i % NETWORKS.length] ?? "";
    const onHost = (script: string) => node.runInside(["sh", "-ec", `${ownRun}\n${script}`], path);
    const network = (args: string) =>
      t.match(onHost(`${join(ourTools, "twill")} network ${args}`), { status: 0 }, args);
    const rulesAndLinks = () => node.sh("nft -s list ruleset; ip -o link | cut -d ' ' -f 2");
    const files = () => onHost("find /var/lib -path /var/lib/run -prune -o -type f -print | sort").stdout;
    const linksBefore = node.sh("ip -o link");

    for (const [i, name] of NETWORKS.entries()) network(`create --subnet 10.${20 + i}.0.0/24 ${name}`);
    node.write("/var/lib/questions", containers.map(({ name }, i) => `${name} A\nalias${i} A\n`).join(""));
    for (const name of NETWORKS)
      for (const verb of ["connect", "disconnect"]) network(`${verb} ${name} ${containers[0]?.name}`); // what stays until the network goes
    const [idle, filesIdle] = [rulesAndLinks(), files()];

    await atOnce(
      t,
      node,
      containers.map(({ name }, i) => `network connect --alias alias${i} ${networkOf(i)} ${name}`),
    );
    const addresses = containers.map((container) => {
      const [eth0] = container.json("ip", "-j", "-4", "address", "show", "eth0") as {
        addr_info: { local: string }[];
      }[];
      return eth0?.addr_info[0]?.local ?? "";
    });
    t.equal(new Set(addresses).size, containers.length, "each has an address of its own");
    for (const [i, address] of addresses.entries()) t.match(address, new RegExp(`^10\\.${20 + (i % 3)}\\.0\\.`));

    const questions = join(node.varLib, "questions");
    const asked = await Promise.all(
      containers.map(({ name }) =>
        node.runInsideAtOnce([
          ...["ip", "netns", "exec", name, "dig", "@127.0.0.11", "+tries=1", "+time=30"],
          ...["+noall", "+answer", "-f", questions],
        ]),
      ),
    );
    for (const [i, { stdout }] of asked.entries()) {
      const wanted = containers.flatMap(({ name }, other) =>
        networkOf(other) === networkOf(i)
          ? [name, `alias${other}`].map((one) => `${one}.\t600\tIN\tA\t${addresses[other]}`)
          : [],
      );
      t.strictSame(
        sorted(stdout.replaceAll(/\t+/g, "\t")),
        wanted.sort(),
        `names of network ${networkOf(i)}, and no other`,
      );
    }

    await atOnce(
      t,
      node,
      containers.map(({ name }, i) => `network disconnect ${networkOf(i)} ${name}`),
    );
    for (const container of containers) t.equal(container.sh("ip -o link | grep -vc LOOPBACK || true").trim(), "0");
    t.equal(rulesAndLinks(), idle, "no rule and no link");
    t.equal(files(), filesIdle, "no record, reservation or cached result");
    network(`rm ${NETWORKS.join(" ")}`);
    t.equal(files(), "/var/lib/questions\n");
    t.equal(node.sh("ip -o link"), linksBefore, "nor a bridge");
    while (existsSync(join(node.varLib, "run/resolver.sock"))) await sleep(50);
    t.pass("then the resolver ends");
  },
);
