// Whose a link is, its alias says from the moment it is there: DEL and GC find by it what a killed ADD has left.
import t from "tap";
import { type Host, newHost } from "./host.ts";
import { type Feature, needsKernel } from "./needs.ts";

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
  ifname: string;
  ifalias?: string;
}

function aliases(node: Host, isOnHost = false): string[] {
  const links = (isOnHost ? node : node.containers[0])?.json("ip", "-j", "link") as ListedLink[];
  return links.flatMap(({ ifalias }) => ifalias ?? []);
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
