// What `twill network` refuses, and that nothing is left of it: seen with ip, nft and find.
import { dirname, join } from "node:path";
import t from "tap";
import { newHost } from "./lab/host.ts";
import { inFullRunOnly, needsRoot } from "./lab/needs.ts";
import { ourBin, ourTools } from "./lab/project.ts";
import "./lab/search-path.ts";

const path = { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d" };
/** The resolver that connect starts has its socket in a folder of the host beside /var/lib, and ends when the containers are gone. */
const ownRun = 'mkdir -p "$0" /run/twill && mount --bind "$0" /run/twill && exec "$@"';

/**
 * On a host with a route to 10.100.0.0/16, the interface lan0, and the networks front (10.5.0.0/24), in which WEB is, full (10.6.0.0/30), in which WEB is as well, and lan on lan0.
 * DB is in none of them.
 */
const refused: readonly [command: string, why: RegExp][] = [
  ["create front", /network with name front already exists/],
  ["create bridge", /not permitted on predefined bridge network/],
  ["create ../front", /invalid network name "\.\.\/front"/],
  ["create a\u001bb", /invalid network name "a\\u001bb"/],
  ["create --subnet 10.5.0.128/25 new", /Pool overlaps.*10\.5\.0\.0\/24 of network "front"/s],
  ["create --subnet 10.100.3.0/24 new", /Pool overlaps.*the route 10\.100\.0\.0\/16 through lan0/s],
  ["create --subnet 10.7.0.0/24 --gateway 10.8.0.1 new", /no matching subnet for gateway 10\.8\.0\.1/],
  ["create --subnet 10.7.0.0/24 --ip-range 10.8.0.0/25 new", /no matching subnet for range 10\.8\.0\.0\/25/],
  ["create --subnet 10.7.0.0/24 --aux-address r=10.8.0.9 new", /no matching subnet for aux-address 10\.8\.0\.9/],
  ["create --subnet 10.7.0.0/31 new", /No available addresses on this pool/],
  ["create -o bridge.name=br-front new", /networks have same bridge name/],
  ["create -o mtu=12 new", /failed to parse mtu value: "12"/],
  ["create -d macvlan --subnet 10.7.0.0/24 new", /needs a parent interface/],
  ["create -d macvlan -o parent=nosuch0 new", /the host has no interface "nosuch0"/],
  ["create -d ipvlan --subnet 10.7.0.0/24 -o parent=lan0 new", /network lan is already using parent interface lan0/],
  ["create --scope swarm new", /invalid scope "swarm"/],
  ["rm front", /network front id \w+ has active endpoints.*WEB 10\.5\.0\.2/s],
  ["rm nosuch", /No such network: nosuch/],
  ["rm bridge", /pre-defined network and cannot be removed/],
  ["connect nosuch DB", /No such network: nosuch/],
  ["connect DB front", /No such network: DB.*front DB/s],
  ["connect front nosuch", /No such container: nosuch/],
  ["connect front /etc/passwd", /No such container: "\/etc\/passwd" is not a network namespace/],
  ["connect front HOST", /sharing network namespace with another container or host cannot be connected/],
  ["connect front WEB", /endpoint with name WEB already exists in network front/],
  ["connect host DB", /connected to host network/],
  ["connect --ip 10.5.0.2 front DB", /Address already in use.*container WEB/s],
  ["connect --ip 10.5.0.1 front DB", /Address already in use.*"gateway"/s],
  ["connect --ip 10.9.0.2 front DB", /Invalid address 10\.9\.0\.2: It does not belong/],
  ["connect --ip 10.5.0.77 front DB", /10\.5\.0\.77 is not available/],
  ["connect full DB", /no IP addresses available/],
  ["connect --mac 01:00:5e:00:00:01 front DB", /invalid MAC "01:00:5e:00:00:01"/],
  ["connect --mac 02:42 front DB", /invalid MAC "02:42"/],
  ["connect --alias a/b front DB", /invalid alias "a\/b"/],
  ["connect --alias a\nb front DB", /invalid alias "a\\nb"/],
  ["connect --alias x bridge DB", /network-scoped alias is supported only/],
  ["connect --link WEB:-x front DB", /invalid alias "-x"/],
  ["connect --interface lo front DB", /has an interface "lo" already/],
  ["connect --interface a/b front DB", /invalid interface name "a\/b"/],
  ["connect --link-local-ip 10.1.1.1 front DB", /Invalid link-local IP address/],
  ["disconnect front DB", /container DB is not connected to network front/],
  ["disconnect nosuch WEB", /No such network: nosuch/],
];

t.test("what is refused leaves links, addresses, rules and files as they were", inFullRunOnly(needsRoot), async (t) => {
  const node = newHost(t, { containers: 2 });
  const [web = node, db = node] = node.containers;
  const run = join(dirname(node.varLib), "run-twill");
  const network = (args: string) => {
    const names: Readonly<Record<string, string>> = { WEB: web.name, DB: db.name, HOST: node.path };
    const words = args.split(" ").map((word) => word.replace(/\b(WEB|DB|HOST)\b/, (name) => names[name] ?? name));
    return node.runInside(["sh", "-c", ownRun, run, join(ourTools, "twill"), "network", ...words], path);
  };
  node.sh("ip link add lan0 type veth peer name lan1; ip address add 10.100.0.1/16 dev lan0; ip link set lan0 up");
  for (const made of [
    "create --subnet 10.5.0.0/24 -o bridge.name=br-front front",
    "create --subnet 10.6.0.0/30 full",
    "create -d macvlan --subnet 192.0.2.0/24 -o parent=lan0 lan",
    "connect front WEB",
    "connect full WEB",
  ])
    t.match(network(made), { status: 0 }, made);
  node.write("/var/lib/cni/networks/front/10.5.0.77", "another\r\neth0"); // a reservation that has no attachment

  const before = node.snapshot();
  for (const [command, why] of refused) {
    const { status, stdout, stderr } = network(command);
    const seen = [web, db].reduce((text, { name }, i) => text.replaceAll(name, ["WEB", "DB"][i] ?? ""), stderr);
    t.match({ status, stdout, seen }, { status: 1, stdout: "", seen: why }, command);
    t.strictSame(node.snapshot(), before, `nothing is left of ${command}`);
  }
});
