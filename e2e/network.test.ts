// `twill network` on a host of its own, seen with the eyes of ip, find and cnitool.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { type Host, newHost, type Ran } from "./lab/host.ts";
import { needsKernel, needsRoot } from "./lab/needs.ts";
import { goBin, ourBin, ourTools } from "./lab/project.ts";
import "./lab/search-path.ts";

interface Node extends Host {
  /** Runs `twill network`. */
  network(args: string | readonly string[], stdin?: string): Ran;
  /** Runs it for its output. @throws Error when it fails */
  networkSays(args: string | readonly string[]): string;
  /** What `inspect` prints of one network. */
  inspect(name: string): Inspected;
  cnitool(args: string, environment?: Record<string, string>): Ran;
  /** Addresses of all interfaces of a container but lo, as `eth0 172.17.0.2/16`. */
  addresses(container: number): string[];
  defaultRoutes(container: number): string[];
}

interface Inspected {
  Id: string;
  IPAM: { Config: { Subnet: string; Gateway: string }[] };
  Containers: Record<string, { Name: string; IPv4Address: string; IPv6Address: string; MacAddress: string }>;
  Options: Record<string, string>;
  Labels: Record<string, string>;
}

const path = { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d" };

/** The resolver that connect starts has its socket in a folder of the host, and ends when the containers are gone. */
const ownRun = 'mkdir -p /run/twill /var/lib/run && mount --bind /var/lib/run /run/twill && exec "$0" "$@"';

function newNode(t: Parameters<typeof newHost>[0], containers = 2): Node {
  const host = newHost(t, { containers });
  const network = (args: string | readonly string[], stdin = "") => {
    const words = typeof args === "string" ? args.split(" ") : args;
    return host.runInside(["sh", "-c", ownRun, join(ourTools, "twill"), "network", ...words], path, stdin);
  };
  const networkSays = (args: string | readonly string[]) => {
    const { status, stdout, stderr } = network(args);
    if (status !== 0) throw new Error(`twill network ${args}: ${stderr}`);
    return stdout;
  };
  const container = (i: number) => host.containers[i] ?? host;
  return {
    ...host,
    network,
    networkSays,
    inspect: (name) => JSON.parse(networkSays(["inspect", name]))[0],
    cnitool: (args, environment = {}) =>
      host.runInside([join(ourTools, "cnitool"), ...args.split(" ")], { ...path, ...environment }),
    addresses(i) {
      const links = container(i).json("ip", "-j", "address") as { ifname: string; addr_info: AddressInfo[] }[];
      return links
        .filter(({ ifname }) => ifname !== "lo")
        .flatMap(({ ifname, addr_info }) =>
          addr_info
            .filter(({ scope }) => scope === "global")
            .map(({ local, prefixlen }) => `${ifname} ${local}/${prefixlen}`),
        );
    },
    defaultRoutes: (i) =>
      container(i)
        .sh("ip route show default")
        .trim()
        .split("\n")
        .map((line) => line.trim())
        .filter(Boolean),
  };
}

interface AddressInfo {
  scope: string;
  local: string;
  prefixlen: number;
}

const nameOf = (node: Node, i: number): string => node.containers[i]?.name ?? "";

t.test(
  "a network is created, used by two containers, inspected, and leaves nothing when it is removed",
  needsRoot,
  async (t) => {
    const node = newNode(t);
    const before = node.sh("ip -o link | wc -l");
    const id = node.networkSays("create --subnet 10.5.0.0/24 --label tier=web --label plain front").trim();
    t.match(id, /^[0-9a-f]{64}$/);
    t.match(node.networkSays("ls"), new RegExp(`^${id.slice(0, 12)} +front +bridge +local$`, "m"));
    node.networkSays(["connect", "--alias", "www", "front", nameOf(node, 0)]);
    node.networkSays(["connect", "front", node.containers[1]?.path ?? ""]);
    t.strictSame([node.addresses(0), node.addresses(1)], [["eth0 10.5.0.2/24"], ["eth0 10.5.0.3/24"]]);
    node.containers[0]?.sh("ping -c 1 -W 2 10.5.0.3");
    t.strictSame(node.defaultRoutes(0), ["default via 10.5.0.1 dev eth0"]);
    t.match(node.containers[1]?.sh("busybox nslookup www 127.0.0.11"), "10.5.0.2", "its alias is answered");

    const shown = node.inspect(id.slice(0, 10));
    t.match(shown, {
      Id: id,
      IPAM: { Config: [{ Subnet: "10.5.0.0/24", Gateway: "10.5.0.1" }] },
      Labels: { tier: "web", plain: "" },
    });
    t.strictSame(
      Object.values(shown.Containers)
        .map(({ Name, IPv4Address }) => `${Name} ${IPv4Address}`)
        .sort(),
      [`${nameOf(node, 0)} 10.5.0.2/24`, `${nameOf(node, 1)} 10.5.0.3/24`],
    );

    const refused = node.network("rm front");
    t.equal(refused.status, 1);
    t.match(refused.stderr, `network front id ${id} has active endpoints`);
    t.match(refused.stderr, nameOf(node, 1), "and it names them");
    for (const i of [0, 1]) node.networkSays(["disconnect", "front", nameOf(node, i)]);
    t.strictSame([node.addresses(0), node.addresses(1)], [[], []]);
    t.equal(node.networkSays("rm front"), "front\n");
    t.equal(node.sh("ip -o link | wc -l"), before, "the bridge is gone");
    const left = node.runInside([
      "find",
      "/var/lib",
      "-path",
      "/var/lib/run",
      "-prune",
      "-o",
      "-type",
      "f",
      "-print",
    ]).stdout;
    t.equal(left, "", "and every file");
    t.match(node.network("inspect front"), { status: 1, stdout: "[]\n", stderr: /No such network: front/ });
  },
);

t.test(
  "cnitool lists, checks and deletes what connect made, and a network of twill is one for it and for the Go plugins",
  needsRoot,
  async (t) => {
    const node = newNode(t);
    const [netns, other] = node.containers.map((container) => container.path);
    node.networkSays("create --subnet 10.5.0.0/24 front");
    node.networkSays(["connect", "front", nameOf(node, 0)]);
    t.match(node.cnitool("list"), {
      stdout: new RegExp(`^front +cnitool-\\w+ +eth0 +10.5.0.2/24 +${netns} +alive$`, "m"),
    });
    t.match(node.cnitool(`check front ${netns}`), { status: 0, stderr: "" });
    t.match(node.cnitool("validate front", { CNI_PATH: ourBin }), { status: 0, stdout: /twill-front.conflist: ok/ });
    const file = "/var/lib/net.d/twill-front.conflist";
    const { cniVersions: _, ...older } = JSON.parse(
      readFileSync(join(node.varLib, "net.d/twill-front.conflist"), "utf8"),
    );
    node.write(file, JSON.stringify(older)); // as runtimes read it whose library is as old as these Go plugins
    t.match(node.cnitool(`add front ${other}`, { CNI_PATH: goBin }), { status: 0, stderr: "" });
    node.containers[1]?.sh("ping -c 1 -W 2 10.5.0.2");
    const refused = node.network(["disconnect", "front", nameOf(node, 1)]);
    t.match(refused, { status: 1, stderr: /not connected to network front|connected by its runtime/ });
    t.match(node.cnitool(`del front ${other}`, { CNI_PATH: goBin }), { status: 0 });
    t.match(node.cnitool(`del front ${netns}`), { status: 0 });
    t.strictSame(node.addresses(0), []);
  },
);

t.test(
  "default routes follow Docker's order: the alphabetically first network has it, whichever came first",
  needsRoot,
  async (t) => {
    const node = newNode(t, 1);
    const name = nameOf(node, 0);
    for (const [i, net] of ["mid", "zeta", "alpha"].entries())
      node.networkSays(`create --subnet 10.${5 + i}.0.0/24 ${net}`);
    const first = () => node.defaultRoutes(0)[0];
    const seen = ["mid", "zeta", "alpha"].map((net) => {
      node.networkSays(["connect", net, name]);
      return first();
    });
    t.strictSame(seen, [
      "default via 10.5.0.1 dev eth0",
      "default via 10.5.0.1 dev eth0",
      "default via 10.7.0.1 dev eth2",
    ]);
    t.match(node.containers[0]?.sh("ip route get 192.0.2.1"), "via 10.7.0.1 dev eth2");
    for (const [i, net] of ["mid", "zeta", "alpha"].entries())
      t.match(node.cnitool(`check ${net} ${node.containers[0]?.path} -i eth${i}`), { status: 0 }, `CHECK of ${net}`);
    node.networkSays(["disconnect", "alpha", name]);
    t.equal(first(), "default via 10.5.0.1 dev eth0");
    node.networkSays(["disconnect", "mid", name]);
    t.equal(first(), "default via 10.6.0.1 dev eth1");
    node.networkSays(["connect", "mid", name]);
    t.strictSame(
      node
        .addresses(0)
        .map((line) => line.split(" ")[0])
        .sort(),
      ["eth1", "eth2"],
      "the number after the highest",
    );
  },
);

t.test(
  "what connect made goes when the namespace is gone, and not because its name leads elsewhere",
  needsRoot,
  async (t) => {
    const node = newNode(t, 2);
    const [name, other] = [nameOf(node, 0), nameOf(node, 1)];
    node.networkSays("create --subnet 10.5.0.0/24 front");
    node.networkSays(["connect", "front", name]);
    node.networkSays(["connect", "front", other]);
    const results = join(node.varLib, "cni/results");
    const reserved = () => readdirSync(join(node.varLib, "cni/networks/front")).filter((file) => /^\d/.test(file));
    t.strictSame([reserved().length, readdirSync(results).length], [2, 2]);
    for (const verb of ["delete", "add"]) spawnSync("ip", ["netns", verb, name]);
    node.containers[0]?.sh("ip link add eth0 type veth peer name other");
    t.strictSame(
      Object.values(node.inspect("front").Containers).map(({ Name }) => Name),
      [other],
    );
    t.strictSame(reserved(), ["10.5.0.3"]);
    t.equal(readdirSync(results).length, 1);
    node.containers[0]?.sh("ip link show eth0"); // of the new namespace: nobody's but its own
    spawnSync("umount", [`/run/netns/${other}`]); // the namespace is gone, its file is not
    node.networkSays("rm front");
    t.notOk(existsSync(join(node.varLib, "net.d/twill-front.conflist")));
  },
);

t.test(
  "bridge is there from the start, gets subnet and file when it is used, and like host and none cannot be removed",
  needsRoot,
  async (t) => {
    const node = newNode(t, 1);
    t.match(node.networkSays("ls"), /bridge +bridge +local\n.*host +host +local\n.*none +null +local\n/);
    node.networkSays(["connect", "bridge", nameOf(node, 0)]);
    t.strictSame(node.addresses(0), ["eth0 172.17.0.2/16"]);
    t.match(node.sh("ip -br link show twill0"), "UP");
    t.match(readFileSync(join(node.varLib, "net.d/twill-bridge.conflist"), "utf8"), '"172.17.0.0/16"');
    for (const name of ["bridge", "host", "none"]) {
      t.match(node.network(["rm", name]), {
        status: 1,
        stderr: `${name} is a pre-defined network and cannot be removed`,
      });
      t.match(node.network(["create", name]), {
        status: 1,
        stderr: `operation is not permitted on predefined ${name} network`,
      });
    }
    t.match(node.network(["connect", "host", nameOf(node, 0)]), { status: 1, stderr: "connected to host network" });
  },
);

t.test("prune asks, and removes what it made and nobody uses, not another program's networks", needsRoot, async (t) => {
  const node = newNode(t, 1);
  node.write(
    "/var/lib/net.d/10-podnet.conflist",
    JSON.stringify({ cniVersion: "1.0.0", name: "podnet", plugins: [{ type: "loopback" }] }),
  );
  for (const name of ["used", "free", "kept"])
    node.networkSays(["create", ...(name === "kept" ? ["--label", "keep"] : []), name]);
  node.networkSays(["connect", "used", nameOf(node, 0)]);
  for (const answer of ["", "n\n", "no\n", "\n", "yellow\n"])
    t.match(node.network("prune", answer), { status: 0, stdout: /\[y\/N\] $/ }, JSON.stringify(answer));
  t.match(node.network("prune --filter label!=keep", "y\n").stdout, /\[y\/N\] Deleted Networks:\nfree\n\n$/);
  t.equal(node.networkSays("prune --force"), "Deleted Networks:\nkept\n\n");
  t.equal(node.networkSays("prune -f"), "");
  t.equal(node.networkSays(["ls", "--format", "{{.Name}}"]), "bridge\nhost\nnone\npodnet\nused\n");
  t.match(node.network("rm podnet"), {
    status: 1,
    stderr: /podnet was not created by twill network.*10-podnet.conflist/s,
  });
});

t.test("ls and inspect print by templates, filters and as JSON, in Docker's names", needsRoot, async (t) => {
  const node = newNode(t, 1);
  const id = node.networkSays("create --subnet 10.5.0.0/24 --label tier=web front").trim();
  node.networkSays(["connect", "front", nameOf(node, 0)]);
  const says = (...args: string[]) => node.networkSays(args);
  t.equal(says("ls", "-q", "--filter", "type=custom"), `${id.slice(0, 12)}\n`);
  t.equal(says("ls", "-q", "--no-trunc", "-f", "label=tier=web", "-f", "driver=bridge"), `${id}\n`);
  t.equal(
    says("ls", "-f", "dangling=false", "-f", "type=custom", "--format", "table {{.Name}}\\t{{.Labels}}"),
    "NAME   LABELS\nfront  tier=web\n",
  );
  t.match(JSON.parse(says("ls", "-f", "name=front", "--format", "json")), {
    ID: id.slice(0, 12),
    Name: "front",
    Internal: "false",
  });
  t.match(JSON.parse(says("ls", "--json", "--filter", "name=front")), [
    { Name: "front", Driver: "bridge", Scope: "local" },
  ]);
  t.equal(says("inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "front"), "10.5.0.1\n");
  t.equal(
    says("inspect", "--format", "{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}", "front"),
    `${nameOf(node, 0)} 10.5.0.2/24\n`,
  );
  t.match(node.network(["inspect", "-f", "{{if .Internal}}x{{end}}", "front"]), {
    status: 1,
    stderr: /"if", which is not supported/,
  });
});

const ping = (node: Node, from: number, address: string) =>
  node.containers[from]?.run("ping", "-c", "1", "-W", "1", address).status === 0;

t.test("networks do not reach each other", needsRoot, async (t) => {
  const node = newNode(t, 3);
  for (const [i, net] of ["one", "two"].entries()) node.networkSays(`create --subnet 10.${5 + i}.0.0/24 ${net}`);
  for (const [i, net] of ["one", "two", "two"].entries()) node.networkSays(["connect", net, nameOf(node, i)]);
  t.ok(ping(node, 1, "10.6.0.3"), "within a network");
  t.notOk(ping(node, 0, "10.6.0.2"), "from one to the other");
  t.notOk(ping(node, 1, "10.5.0.2"), "and back");
  t.ok(ping(node, 0, "10.6.0.1"), "the host answers, as with Docker");
});

t.test("with enable_icc=false containers reach the gateway, not each other", needsRoot, async (t) => {
  const node = newNode(t, 2);
  node.networkSays("create --subnet 10.5.0.0/24 -o icc=false apart");
  for (const i of [0, 1]) node.networkSays(["connect", "apart", nameOf(node, i)]);
  t.ok(ping(node, 0, "10.5.0.1"));
  t.notOk(ping(node, 0, "10.5.0.3"));
});

t.test("an internal network has no way out, and the host takes nothing from it", needsRoot, async (t) => {
  const node = newNode(t, 2);
  node.sh("sysctl -qw net.ipv4.ip_forward=1; ip address add 198.51.100.1/32 dev lo");
  const id = node.networkSays("create --internal --subnet 10.5.0.0/24 -o bridge.name=inner inner").trim();
  for (const i of [0, 1]) node.networkSays(["connect", "inner", nameOf(node, i)]);
  t.ok(ping(node, 0, "10.5.0.3"), "its containers reach each other");
  t.strictSame(node.defaultRoutes(0), []);
  t.equal(
    node.sh("ip -j address show inner | jq '.[0].addr_info | length'").trim(),
    "0",
    "the host has no address, not even fe80::",
  );
  const mac = node.sh("cat /sys/class/net/inner/address").trim();
  const echoes = () => node.sh("nstat -asz IcmpInEchos | awk '/IcmpInEchos/ { print $2 }'").trim();
  const before = echoes();
  node.containers[0]?.sh(`ip route add 198.51.100.0/24 dev eth0; ip neighbour add 198.51.100.1 lladdr ${mac} dev eth0`);
  t.notOk(ping(node, 0, "198.51.100.1"), "a host's address, by the MAC of the bridge");
  t.equal(echoes(), before, "the host did not take it");
  t.notOk(
    node.containers[0]
      ?.sh(`ip neighbour del 198.51.100.1 dev eth0; ping -c 1 -W 1 198.51.100.1 || ip neighbour show`)
      .includes(mac),
    "nor ARP",
  );
  t.match(node.inspect("inner"), { Internal: true, Id: id });
});

t.test(
  "inspect shows both ends of each attachment, its health, and the addresses that are left; ipam ls who has which",
  needsRoot,
  async (t) => {
    const node = newNode(t, 2);
    const [name, other] = [nameOf(node, 0), nameOf(node, 1)];
    const netns = node.containers[0]?.path ?? "";
    node.networkSays("create --subnet 10.5.0.0/29 front");
    node.networkSays(["connect", "--alias", "www", "front", name]);
    node.cnitool(`add front ${node.containers[1]?.path}`, {
      CAP_ARGS: '{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}',
    });
    const shown = Object.values(JSON.parse(node.networkSays("inspect --check front"))[0].Containers) as Record<
      string,
      unknown
    >[];
    const [own, runtimes] = [shown.find(({ Name }) => Name === name), shown.find(({ Name }) => Name !== name)];
    const [inside] = (node.containers[0] ?? node).json("ip", "-j", "link", "show", "eth0") as [
      { ifindex: number; link_index: number },
    ];
    const [outside] = node.json("ip", "-j", "link", "show", String(own?.["HostInterface"])) as [
      { ifindex: number; master: string },
    ];
    t.match(own, {
      Interface: "eth0",
      InterfaceIndex: inside.ifindex,
      HostInterfaceIndex: inside.link_index,
      Bridge: outside.master,
      Namespace: netns,
      NamespaceState: "alive",
      ConnectedBy: "twill network",
      Aliases: ["www"],
      Health: "ok",
    });
    t.match(runtimes, { ConnectedBy: "runtime", Ports: { "80/tcp": "0.0.0.0:8080" }, Health: "ok" });
    t.match(node.inspect("front").IPAM.Config, [{ Subnet: "10.5.0.0/29", Used: 2, Free: 3 }]);
    const aliases =
      "{{range .Containers}}{{.Bridge}} {{.Process}}{{.Aliases}};{{end}}{{range .IPAM.Config}}{{.IPRange}}{{end}}";
    t.match(
      node.networkSays(["inspect", "-f", aliases, "front"]).split(";").sort(),
      ["\n", /^br-\w+ $/, /^br-\w+ \[www\]$/],
      "what one of them has not is printed as nothing",
    );
    const health = () =>
      node.networkSays(["inspect", "--check", "-f", "{{range .Containers}}{{.Health}};{{end}}", "front"]);
    node.sh("nft flush ruleset");
    t.match(health(), /not found; found by CHECK\. To fix: restore it: twill reload/);
    t.match(node.runInside([join(ourTools, "twill"), "reload"], path), { status: 0 });
    t.equal(health(), "ok;ok;\n");
    node.containers[0]?.sh("ip address flush dev eth0");
    t.match(
      node.networkSays(["inspect", "--check", "-f", "{{range .Containers}}{{.Health}};{{end}}", "front"]),
      /10\.5\.0\.2/,
      "what is wrong",
    );

    const ipam = (args: string) => node.runInside([join(ourTools, "twill"), "ipam", ...args.split(" ")], path);
    spawnSync("ip", ["netns", "delete", other]);
    t.match(
      ipam("ls").stdout,
      new RegExp(`^front +10.5.0.2 +${name} +cnitool-\\w+ +eth0 +\\S+Z +alive\nfront +10.5.0.3 .* dead$`, "m"),
    );
    node.write("/var/lib/cni/networks/front/10.5.0.5", "gone\r\neth0");
    t.match(JSON.parse(ipam("ls --json front").stdout)[2], {
      Address: "10.5.0.5",
      Container: "gone",
      State: "no attachment",
    });
    t.match(ipam("ls nosuch"), { status: 1, stderr: /No such network: nosuch/ });
  },
);

t.test("addresses of both families, MAC and interface are those that were asked for", needsRoot, async (t) => {
  const node = newNode(t, 2);
  node.networkSays(
    "create --ipv6 --subnet 10.5.0.0/24 --subnet fd00:5::/64 --ip-range 10.5.0.64/26 --aux-address dns=10.5.0.64 dual",
  );
  const asked = "connect --ip 10.5.0.70 --ip6 fd00:5::70 --mac 02:42:0a:05:00:46 --interface net7 dual";
  node.networkSays([...asked.split(" "), nameOf(node, 0)]);
  t.strictSame(node.addresses(0), ["net7 10.5.0.70/24", "net7 fd00:5::70/64"]);
  t.match(node.containers[0]?.sh("ip link show net7"), "02:42:0a:05:00:46");
  t.match(node.containers[0]?.sh("ip -6 route show default"), "default via fd00:5::1 dev net7");
  const taken = node.network(["connect", "--ip", "10.5.0.70", "dual", nameOf(node, 1)]);
  t.match(taken, {
    status: 1,
    stderr: `Address already in use.\n  To fix: 10.5.0.70 is the address of container ${nameOf(node, 0)} in network dual`,
  });
  t.strictSame(node.addresses(1), [], "and nothing is left of the refused one");
  node.networkSays(["connect", "dual", nameOf(node, 1)]);
  t.match(
    node.addresses(1),
    [/^eth0 10\.5\.0\.(6[5-9]|[7-9]\d|1[01]\d|12[0-7])\/24$/, /^eth0 fd00:5::/],
    "of the range, not the auxiliary one",
  );
  node.containers[1]?.sh("ping -c 1 -W 2 fd00:5::70");
});

t.test("an address outside of --ip-range can be asked for; the others are of the range", needsRoot, async (t) => {
  const node = newNode(t, 3);
  node.networkSays("create --subnet 10.5.0.0/24 --ip-range 10.5.0.128/25 --aux-address dns=10.5.0.128 ranged");
  node.networkSays(["connect", "--ip", "10.5.0.7", "ranged", nameOf(node, 0)]);
  node.networkSays(["connect", "ranged", nameOf(node, 1)]);
  t.strictSame([node.addresses(0), node.addresses(1)], [["eth0 10.5.0.7/24"], ["eth0 10.5.0.129/24"]]);
  t.match(node.network(["connect", "--ip", "10.5.0.7", "ranged", nameOf(node, 2)]), {
    status: 1,
    stderr: "Address already in use.",
  });
  t.match(node.networkSays("inspect --check ranged").match(/"Health": "ok"/g), { length: 2 });
  node.networkSays(["disconnect", "ranged", nameOf(node, 0)]);
  node.networkSays(["connect", "--ip", "10.5.0.7", "ranged", nameOf(node, 2)]);
  t.strictSame(node.addresses(2), ["eth0 10.5.0.7/24"], "it was given back");
});

t.test("with static addresses, each connect names its own", needsRoot, async (t) => {
  const node = newNode(t, 2);
  node.networkSays("create --ipam-driver static fixed");
  node.networkSays(["connect", "--ip", "10.5.0.7/24", "--ip6", "fd00:5::7/64", "fixed", nameOf(node, 0)]);
  node.networkSays(["connect", "--ip", "10.5.0.8/24", "fixed", nameOf(node, 1)]);
  t.strictSame(node.addresses(0), ["eth0 10.5.0.7/24", "eth0 fd00:5::7/64"]);
  node.containers[1]?.sh("ping -c 1 -W 2 10.5.0.7; ping -c 1 -W 2 10.5.0.1");
  t.match(node.network(["connect", "--ip", "10.5.0.8/24", "fixed", nameOf(node, 0)]), { status: 1 });
  node.networkSays(["disconnect", "fixed", nameOf(node, 0)]);
  t.match(node.network(["connect", "--ip", "10.5.0.8/24", "fixed", nameOf(node, 0)]), {
    status: 1,
    stderr: /Address already in use\.\n {2}To fix: 10\.5\.0\.8\/24 is the address of container/,
  });
  t.match(node.networkSays("inspect --check fixed"), '"Health": "ok"');
});

t.test(
  "with TWILL_FAST_DEL, disconnect leaves nothing and holds up no command when it returns",
  needsRoot,
  async (t) => {
    const node = newNode(t, 1);
    const name = nameOf(node, 0);
    node.networkSays("create --subnet 10.5.0.0/24 front");
    const twill = join(ourTools, "twill");
    const script = `${twill} network disconnect front ${name} && { flock -n /var/lib/cni/twill true || echo held; ip -o link show type veth; ls /var/lib/cni/results; }`;
    for (let round = 0; round < 5; round++) {
      node.networkSays(["connect", "front", name]);
      const { status, stdout, stderr } = node.runInside(["sh", "-c", ownRun, "sh", "-c", script], {
        ...path,
        TWILL_FAST_DEL: "1",
      });
      t.strictSame({ status, stdout, stderr }, { status: 0, stdout: "", stderr: "" });
      t.strictSame(node.addresses(0), []);
    }
  },
);

t.test("addresses of the link that were asked for are added, others refused", needsRoot, async (t) => {
  const node = newNode(t, 1);
  node.networkSays("create front");
  const refused = node.network(["connect", "--link-local-ip", "10.1.1.1", "front", nameOf(node, 0)]);
  t.match(refused, { status: 1, stderr: /Invalid link-local IP address: "10\.1\.1\.1"/ });
  t.strictSame(node.addresses(0), []);
  node.containers[0]?.sh("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
  const asked = "connect --link-local-ip 169.254.7.7 --link-local-ip 169.254.7.7 --link-local-ip fe80::77 front";
  node.networkSays([...asked.split(" "), nameOf(node, 0)]);
  t.match(node.containers[0]?.sh("ip -br address show eth0"), / 172\.17\.0\.2\/16 169\.254\.7\.7\/16 fe80::77\/64/);
});

t.test(
  "options of a connection set the interface's sysctls and its name; a refused one leaves nothing",
  needsRoot,
  async (t) => {
    const node = newNode(t, 1);
    const name = nameOf(node, 0);
    node.networkSays("create --subnet 10.5.0.0/24 front");
    const martians = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians";
    t.match(node.network(["connect", "--driver-opt", `${martians}_x=1`, "front", name]), {
      status: 1,
      stderr: /sysctl net\.ipv4\.conf\.IFNAME\.log_martians_x of interface "eth0" cannot be "1": .*ENOENT/,
    });
    t.strictSame(node.addresses(0), []);
    const options = [
      "--driver-opt",
      `${martians}=1,net.ipv4.neigh.IFNAME.ucast_solicit=7`,
      "--driver-opt",
      "ifname=net0",
    ];
    node.networkSays(["connect", ...options, "front", name]);
    t.equal(
      node.containers[0]?.sh(
        "cat /proc/sys/net/ipv4/conf/net0/log_martians /proc/sys/net/ipv4/neigh/net0/ucast_solicit",
      ),
      "1\n7\n",
    );
  },
);

t.test("a copy of twill calls the plugins in itself, not those of another build", needsRoot, async (t) => {
  const node = newNode(t, 1);
  node.networkSays("create front");
  node.sh(
    `mkdir /var/lib/copies && cp ${join(ourBin, "bridge")} /var/lib/copies/ && cd /var/lib/copies && for name in ${readdirSync(ourBin).join(" ")}; do [ -e $name ] || ln bridge $name; done; chmod -x bridge`,
  );
  const copied = { ...path, CNI_PATH: "/var/lib/copies" }; // where no file can be executed
  const call = (verb: string) =>
    node.runInside(["sh", "-c", ownRun, join(ourTools, "twill"), "network", verb, "front", nameOf(node, 0)], copied);
  t.match(call("connect"), { status: 0, stderr: "" });
  t.strictSame(node.addresses(0), ["eth0 172.17.0.2/16"]);
  t.match(call("disconnect"), { status: 0, stderr: "" });
  node.sh(
    "printf x | dd of=/var/lib/copies/bridge bs=1 seek=$(($(stat -c %s /var/lib/copies/bridge) - 2)) conv=notrunc 2>&1",
  );
  t.match(call("connect"), { status: 1, stderr: /cannot be started.*chmod \+x/s });
});

t.test("a network of macvlan is on its parent, which no second one gets", needsKernel("macvlan"), async (t) => {
  const node = newNode(t, 2);
  node.sh("ip link add lan0 type veth peer name lan1; ip link set lan0 up; ip link set lan1 up");
  node.networkSays("create -d macvlan --subnet 192.0.2.0/24 --gateway 192.0.2.254 -o parent=lan0 lan");
  for (const i of [0, 1]) node.networkSays(["connect", "lan", nameOf(node, i)]);
  t.match(node.containers[0]?.sh("ip -d link show eth0"), "macvlan mode bridge");
  t.strictSame(node.defaultRoutes(0), ["default via 192.0.2.254 dev eth0"]);
  t.ok(ping(node, 0, node.addresses(1)[0]?.replace(/^eth0 |\/24$/g, "") ?? ""));
  const second = node.network("create -d macvlan --subnet 198.51.100.0/24 -o parent=lan0 second");
  t.match(second, { status: 1, stderr: /network lan is already using parent interface lan0/ });
  for (const i of [0, 1]) node.networkSays(["disconnect", "lan", nameOf(node, i)]);
  node.networkSays("rm lan");
  t.match(node.sh("ip -br link show lan0"), "UP", "the parent stays");
});

/** A plugin that kills who called it, once, at the verb that is in a file beside it. */
const killer = `#!/bin/sh
at=/var/lib/killer/at
[ "$CNI_COMMAND" != "$(cat $at 2>/dev/null)" ] || { rm $at; kill -9 $PPID; }
[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion": "1.0.0"}'
`;

t.test(
  "what a connect or disconnect that was killed has left, the next command removes, whichever it is",
  needsRoot,
  async (t) => {
    const node = newNode(t);
    node.networkSays("create --subnet 10.5.0.0/24 front");
    const file = "/var/lib/net.d/twill-front.conflist";
    const list = JSON.parse(node.runInside(["cat", file]).stdout);
    node.write("/var/lib/killer/killer", killer);
    node.write(file, JSON.stringify({ ...list, plugins: [...list.plugins, { type: "killer" }] }));
    node.runInside(["chmod", "755", "/var/lib/killer/killer"]);
    const [web, db] = [nameOf(node, 0), nameOf(node, 1)];
    const records = () => node.runInside(["find", "/var/lib/cni", "-type", "f", "-name", "*cnitool-*"]).stdout;
    const links = () => node.sh("ip -o link show type veth").trim();
    const killedAt = (verb: string, command: string) => {
      node.write("/var/lib/killer/at", verb);
      const words = ["sh", "-c", ownRun, join(ourTools, "twill"), "network", ...command.split(" ")];
      node.runInside(words, { ...path, CNI_PATH: `${ourBin}:/var/lib/killer` });
      t.equal(node.runInside(["ls", "/var/lib/killer"]).stdout, "killer\n", `${command} was killed at ${verb}`);
    };
    const again = (args: string) => {
      const words = ["sh", "-c", ownRun, join(ourTools, "twill"), "network", ...args.split(" ")];
      return node.runInside(words, { ...path, CNI_PATH: `${ourBin}:/var/lib/killer` });
    };

    killedAt("ADD", `connect front ${web}`);
    t.not(links(), "", "it has left a link");
    t.match(again("ls"), { status: 0, stderr: new RegExp(`undid the connect of container ${web} `) });
    t.strictSame([links(), records(), node.addresses(0)], ["", "", []]);

    killedAt("ADD", `connect front ${web}`);
    t.match(
      again(`connect front ${web}`),
      { status: 0, stderr: /undid the connect/ },
      "also when it is asked for again",
    );
    t.match(again(`connect front ${db}`), { status: 0, stderr: "" }, "and one that ended well is not undone");
    killedAt("DEL", `disconnect front ${web}`);
    t.strictSame(node.addresses(0).length, 1, "it has left a link");
    t.match(again("inspect front"), { status: 0, stderr: new RegExp(`completed the disconnect of container ${web} `) });
    t.strictSame([node.addresses(0), node.addresses(1).length], [[], 1]);
    t.match(again(`disconnect front ${db}`), { status: 0, stderr: "" });
    t.match(again("rm front"), { status: 0, stderr: "" });
  },
);

t.test("a network is not removed while it cannot be read who is in it", needsRoot, async (t) => {
  const node = newNode(t, 1);
  const id = node.networkSays("create --subnet 10.5.0.0/24 front").trim();
  node.networkSays(["connect", "front", nameOf(node, 0)]);
  node.networkSays("create --subnet 10.6.0.0/24 back");
  const spoil = (directory: string) => node.sh(`for file in ${node.varLib}/${directory}/*; do echo { > $file; done`);
  spoil(`cni/twill/networks/${id}`);
  spoil("cni/results");
  for (const command of ["rm front", "prune --force"]) {
    const refused = node.network(command);
    t.equal(refused.status, 1, command);
    t.match(refused.stderr, `a container may be in network front`);
    t.match(refused.stderr, new RegExp(`twill/networks/${id}/cnitool-\\w+\\.json: it is no record`));
  }
  t.strictSame(node.addresses(0), ["eth0 10.5.0.2/24"]);
  t.strictSame(node.networkSays("ls --filter type=custom --format {{.Name}}"), "front\n", "back was not in doubt");
});

t.test("who is not root lists and inspects networks as far as files can be read", needsRoot, async (t) => {
  const node = newNode(t, 1);
  node.networkSays("create --subnet 10.5.0.0/24 front");
  node.networkSays(["connect", "front", nameOf(node, 0)]);
  const twill = "/var/lib/twill";
  node.runInside(["sh", "-c", `cp ${join(ourTools, "twill")} ${twill}; chmod 755 ${twill} /var/lib`]);
  const asNobody = (command: string) =>
    node.runInside(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", twill, ...command.split(" ")], path);
  t.match(asNobody("network ls --format {{.Name}}"), { status: 0, stdout: "bridge\nfront\nhost\nnone\n", stderr: "" });
  const { status, stdout, stderr } = asNobody("network inspect front");
  t.match({ status, stderr }, { status: 0, stderr: "not shown: /var/lib/cni/results cannot be read" });
  const [shown] = Object.values((JSON.parse(stdout) as [Inspected])[0].Containers);
  t.match(shown, { Name: nameOf(node, 0), IPv4Address: "10.5.0.2/24" });
  t.match(asNobody("ipam ls"), { status: 1, stdout: /10\.5\.0\.2 .* unknown/ });
  t.match(asNobody("network rm front"), { status: 1, stderr: /run it as root/ });
  node.sh("mkdir -m 700 /var/lib/closed");
  const searching = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", twill, "run", "nosuch"];
  const notFound = { status: 127, stderr: /"nosuch": not found/ };
  t.match(node.runInside(searching, { ...path, PATH: "/var/lib/closed:/usr/bin" }), notFound);
  node.sh("chmod 600 /var/lib/net.d/twill-front.conflist");
  const unreadable = /twill-front\.conflist cannot be read \(EACCES\).*run it as root, or let others read the file/;
  t.match(asNobody("network ls --format {{.Name}}"), { status: 0, stdout: "bridge\nhost\nnone\n", stderr: unreadable });
});

t.test(
  "a container that lives in a process, and whose path is gone or another one's, is disconnected",
  needsRoot,
  async (t) => {
    const node = newNode(t, 1);
    const name = nameOf(node, 0);
    for (const [i, net] of ["alpha", "mid", "zeta"].entries()) {
      node.networkSays(`create --subnet 10.${5 + i}.0.0/24 ${net}`);
      node.networkSays(["connect", net, name]);
    }
    const process = spawn("ip", ["netns", "exec", name, "sh", "-c", "echo there; exec sleep 1000"]);
    t.teardown(() => process.kill("SIGKILL"));
    await once(process.stdout, "data");
    spawnSync("ip", ["netns", "del", name]);
    const notMoved = /could not be moved to its next network: its namespace is not at \S+ any more\n$/;
    t.match(node.network(["disconnect", "alpha", name]), { status: 0, stderr: notMoved });
    spawnSync("ip", ["netns", "add", name]);
    t.match(node.network(["disconnect", "mid", name]), { status: 0, stderr: notMoved });
    t.match(node.network(["disconnect", "zeta", name]), { status: 0, stderr: "" }, "there is no next one");
    t.match(node.network("ls"), { status: 0, stderr: "" });
    for (const net of ["alpha", "mid", "zeta"]) t.strictSame(node.inspect(net).Containers, {});
  },
);

t.test("a container of a network whose file is gone can be disconnected", needsRoot, async (t) => {
  const node = newNode(t, 1);
  node.networkSays("create --subnet 10.5.0.0/24 front");
  node.networkSays(["connect", "front", nameOf(node, 0)]);
  node.runInside(["rm", "/var/lib/net.d/twill-front.conflist"]);
  t.notMatch(node.networkSays("ls"), "front");
  t.match(node.network(["disconnect", "front", nameOf(node, 0)]), { status: 0, stderr: "" });
  t.strictSame(node.addresses(0), []);
  t.match(node.network(["disconnect", "front", nameOf(node, 0)]), { status: 1, stderr: /No such network: front/ });
});
