// Whose a link is, its alias says from the moment it is there: DEL and GC find by it what a killed ADD has left.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { type Feature, needsKernel, needsRoot } from "./lab/needs.ts";
import { projectRoot } from "./lab/project.ts";

interface Maker {
  keys?: Record<string, unknown>;
  needs?: readonly Feature[];
  /** On the host, before ADD. */
  prepare?: string;
  /** Where the link with the alias is; in the container unless given. */
  isOnHost?: boolean;
}

const uplink = "ip link add uplink type veth peer name far; ip link set uplink up; ip link set far up";
const ipam = { type: "host-local", subnet: "10.1.0.0/24" };
const makers: Record<string, Maker> = {
  bridge: { isOnHost: true },
  dummy: { keys: { ipam }, needs: ["dummy"] },
  ipvlan: { keys: { master: "uplink", ipam }, prepare: uplink, needs: ["ipvlan"] },
  macvlan: { keys: { master: "uplink" }, prepare: uplink, needs: ["macvlan"] },
  ptp: { keys: { ipam }, isOnHost: true },
  tap: {},
  vlan: { keys: { master: "uplink", vlanId: 5 }, prepare: uplink, needs: ["vlan"] },
};
const inContainer: Maker["keys"] = { master: "uplink", linkInContainer: true };
const rows: [string, string, Maker][] = [
  ...Object.entries(makers).map(([plugin, maker]): [string, string, Maker] => [plugin, plugin, maker]),
  ...["ipvlan", "macvlan", "vlan"].map((plugin): [string, string, Maker] => [
    `${plugin}, linkInContainer`,
    plugin,
    { ...makers[plugin], keys: { ...makers[plugin]?.keys, ...inContainer } },
  ]),
];

interface ListedLink {
  ifindex: number;
  ifname: string;
  ifalias?: string;
}

function aliases(node: Host, isOnHost = false): string[] {
  const links = (isOnHost ? node : node.containers[0])?.json("ip", "-j", "link") as ListedLink[];
  return links.flatMap(({ ifalias }) => ifalias ?? []);
}

function namesOnHost(node: Host): string[] {
  return (node.json("ip", "-j", "link") as ListedLink[]).map(({ ifname }) => ifname);
}

for (const [title, plugin, { keys = {}, needs = [], prepare = "true", isOnHost }] of rows) {
  const conf = { cniVersion: "1.1.0", name: "net", type: plugin, ...keys };
  const prepared = (t: Parameters<typeof newHost>[0]) => {
    const node = newHost(t);
    (keys["linkInContainer"] === true ? node.containers[0] : node)?.sh(prepare);
    return node;
  };

  t.test(`${title}: the link's alias names network, container and interface`, needsKernel(...needs), async (t) => {
    const node = prepared(t);
    t.match(node.cni(plugin, "ADD", conf), { status: 0 });
    t.strictSame(aliases(node, isOnHost), ["cni net container-0 eth0"]);
  });

  t.test(`${title}: a link that has the name keeps its alias when ADD fails`, needsKernel(...needs), async (t) => {
    const node = prepared(t);
    node.containers[0]?.sh("ip link add eth0 type bridge; ip link set eth0 alias theirs");
    t.match(node.cni(plugin, "ADD", conf), { status: 1, stdout: { msg: /"eth0" already exists/ } });
    t.strictSame(aliases(node), ["theirs"]);
    t.strictSame(aliases(node, true), []);
  });
}

// Programs take the first interface for the container's own, so an index that is chosen at random would choose for them.
for (const plugin of ["tap", "macvlan", "ipvlan", "dummy"]) {
  const { keys, needs = [] } = makers[plugin] ?? {};
  t.test(
    `${plugin}: a container's interfaces have the kernel's numbers, in the order of ADD`,
    needsKernel(...needs),
    async (t) => {
      const node = newHost(t);
      node.containers[0]?.sh(uplink);
      const parent = keys?.["master"] === undefined ? {} : inContainer;
      const conf = { cniVersion: "1.1.0", name: "net", type: plugin, ...keys, ...parent };
      const indexOf = (name: string) => {
        const links = node.containers[0]?.json("ip", "-j", "link") as ListedLink[];
        return links.find(({ ifname }) => ifname === name)?.ifindex ?? Number.NaN;
      };
      for (const ifName of ["net2", "net1"]) t.match(node.cni(plugin, "ADD", conf, { ifName }), { status: 0 });
      const last = Math.max(indexOf("uplink"), indexOf("far"));
      t.strictSame([indexOf("net2"), indexOf("net1")], [last + 1, last + 2]);
    },
  );
}

// An unmarked link of the host is found by nobody once its namespace is gone, so no signal may fall between the link and its alias.
const limits = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 8_000_000, egressBurst: 800_000 };
for (const plugin of ["bridge", "ptp", "bandwidth"]) {
  t.test(
    `${plugin}: killed at any of its sends, ADD leaves no link on the host without an alias`,
    needsKernel("ifb", "tbf"),
    async (t) => {
      const node = newHost(t);
      const conf = { cniVersion: "1.1.0", name: "net", type: plugin, ...(plugin === "ptp" && { ipam }) };
      const chained = plugin === "bandwidth" && {
        prevResult: node.cni("bridge", "ADD", { ...conf, type: "bridge" }).stdout,
        ...limits,
      };
      const kept = namesOnHost(node);
      for (let send = 1, signal: string | null = "SIGKILL"; signal !== null; send++) {
        const inject = ["-e", "trace=sendto", "-e", `inject=sendto:signal=KILL:when=${send}`];
        const under = ["strace", "-f", "-qq", "-o", "/dev/null", ...inject];
        ({ signal } = node.cni(plugin, "ADD", { ...conf, ...chained }, { under }));
        const made = (node.json("ip", "-j", "link") as ListedLink[]).filter(
          ({ ifname }) => !kept.includes(ifname) && ifname !== "cni0",
        );
        t.strictSame(
          made.map(({ ifalias }) => ifalias),
          made.map(() => "cni net container-0 eth0"),
          `killed at send ${send}`,
        );
        t.match(node.cni(plugin, "DEL", { ...conf, ...chained }), { status: 0 });
        if (signal === null) t.ok(send > 4, `an ADD has ${send - 1} sends`);
      }
    },
  );
}

// What the alias relies on: RTM_NEWLINK and many aliases after it in one send, by a process that is killed at a random moment.
t.test(
  "the kernel carries out all messages of a send, also for a process that is killed meanwhile",
  needsRoot,
  async (t) => {
    const node = newHost(t);
    for (let round = 0; round < 5; round++) {
      const loop = join(projectRoot, "e2e/lab/link-alias-loop.ts");
      const child = spawn("ip", ["netns", "exec", node.name, process.execPath, "--import", "tsx", loop], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      await once(child.stdout, "data");
      await setTimeout(8 * round);
      child.kill("SIGKILL");
      await once(child, "close");
      const made = (node.json("ip", "-j", "link") as ListedLink[]).filter(({ ifname }) => /^made/.test(ifname));
      t.ok(made.length > 0);
      t.strictSame(
        made.filter(({ ifalias }) => ifalias !== "last"),
        [],
        `of ${made.length} links`,
      );
      node.sh(made.map(({ ifname }) => `ip link delete ${ifname}`).join("\n"));
    }
  },
);
