// The plugin dnsname behind bridge, as podman calls it: dig as a container, and podman's own plugin, with its dnsmasq, beside ours.
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { unpackedFolder } from "../../dev/unpacked.mjs";
import { type Call, type Container, type Host, killIfAlive, type Namespace, newHost, type Verb } from "../lab/host.ts";
import { inLongRunOnly, needsRoot } from "../lab/needs.ts";
import { ourTools, projectRoot } from "../lab/project.ts";

const unpacked = (name: string, path: string) => join(unpackedFolder(projectRoot, name), path);
const goDnsname = unpacked("golang-github-containernetworking-plugin-dnsname", "usr/lib/cni");
const dnsmasq = unpacked("dnsmasq-base", "usr/sbin");

interface Node extends Host {
  /** Calls bridge, or dnsname behind it. */
  call(plugin: string, verb: Verb, call?: PodCall): ReturnType<Host["cni"]>;
  /** Calls ADD of bridge and dnsname. @returns the result of dnsname */
  add(pod: string, call?: PodCall): ReturnType<Host["cni"]>;
  /** Kills both processes of the resolver, also those that one of them has started for the other meanwhile. */
  killResolver(): void;
}

interface PodCall extends Call {
  pod?: string;
  aliases?: readonly string[];
  network?: string;
  prevResult?: unknown;
  keys?: Record<string, unknown>;
}

const subnets = [[{ subnet: "10.10.1.0/24" }], [{ subnet: "fd00:10::/64" }]];

/** A node whose /run/twill and resolv.conf are its own. */
function newNode(t: Test, { containers = 2, bin = {} as { dnsname?: string } } = {}): Node {
  const host = newHost(t, { containers });
  host.sh(`
    mkdir -p /var/lib/run /run/twill && mount --bind /var/lib/run /run/twill
    printf 'nameserver 127.0.0.53\\n' > /var/lib/resolv.conf && mount --bind /var/lib/resolv.conf /etc/resolv.conf`);
  const inHost = () =>
    execFileSync("ip", ["netns", "pids", host.name], { encoding: "utf8" }).split("\n").filter(Boolean);
  t.teardown(() => inHost().forEach((pid) => void killIfAlive(Number(pid))));
  const results = new Map<number, unknown>();
  const call: Node["call"] = (
    plugin,
    verb,
    { pod, aliases = [], network = "n1", prevResult, keys = {}, ...rest } = {},
  ) => {
    const { container = 0 } = rest;
    const conf = {
      cniVersion: "0.4.0",
      name: network,
      type: plugin,
      ...(plugin === "bridge"
        ? { bridge: "cni-podman1", isGateway: true, ipMasq: true, ipam: { type: "host-local", ranges: subnets } }
        : {
            domainName: "dns.podman",
            capabilities: { aliases: true },
            runtimeConfig: { aliases: { [network]: aliases } },
          }),
      prevResult: prevResult ?? results.get(container),
      ...keys,
    };
    const args = pod === undefined ? "" : `IgnoreUnknown=1;K8S_POD_NAMESPACE=${pod};K8S_POD_NAME=${pod}`;
    const done = host.cni(plugin, verb, conf, {
      args,
      ...(plugin === "dnsname" && bin.dnsname !== undefined ? { bin: bin.dnsname } : {}),
      environment: { PATH: `${dnsmasq}:/usr/sbin:/usr/bin:/sbin:/bin`, XDG_RUNTIME_DIR: "/var/lib" },
      ...rest,
    });
    if (plugin === "bridge" && verb === "ADD") results.set(container, done.stdout);
    return done;
  };
  return {
    ...host,
    call,
    add(pod, options = {}) {
      t.match(call("bridge", "ADD", { ...options, keys: {} }), { status: 0 });
      return call("dnsname", "ADD", { pod, ...options });
    },
    killResolver() {
      for (let pids = inHost(); pids.length > 0; pids = inHost()) for (const pid of pids) killIfAlive(Number(pid));
    },
  };
}

const dig = (from: Namespace, ...args: string[]) =>
  from.run("dig", "@10.10.1.1", "+short", "+tries=1", "+time=2", ...args).stdout.trim();

/** As soon as no container is left: the resolver itself ends some seconds later. */
async function nobodyListens(node: Host): Promise<void> {
  while (node.sh("ss -Hlun sport = :53") !== "") await sleep(20);
}

const containersOf = ({ containers }: Host): [Container, Container] => containers as [Container, Container];

for (const [whose, bin, needs] of [
  ["ours", {}, needsRoot],
  ["podman's", { dnsname: goDnsname }, inLongRunOnly(needsRoot)], // what setup unpacks for that run
] as const)
  t.test(
    `dnsname, ${whose}: names, aliases and the domain are answered at the gateway's addresses`,
    needs,
    async (t) => {
      const node = newNode(t, { bin });
      const [web, db] = containersOf(node);
      const added = node.add("web", { aliases: ["www"] });
      t.match(added, {
        status: 0,
        stderr: "",
        stdout: {
          cniVersion: "0.4.0",
          ips: [{ address: "10.10.1.2/24" }, { address: "fd00:10::2/64" }],
          dns: { nameservers: ["10.10.1.1", "fd00:10::1"], search: ["dns.podman"] },
        },
      });
      t.match(node.add("db", { container: 1 }), { status: 0 });
      const answered = async (what: string, wanted: string, ...args: string[]) => {
        for (let i = 0; i < 30 && dig(web, ...args) !== wanted; i++) await sleep(20); // dnsmasq reads its file after ADD
        t.equal(dig(web, ...args), wanted, what);
      };
      await answered("with the domain", "10.10.1.3", "db.dns.podman");
      await answered("without", "10.10.1.3", "db");
      await answered("of the other family", "fd00:10::3", "db", "AAAA");
      await answered("an alias", "10.10.1.2", "www.dns.podman");
      await answered("by TCP", "10.10.1.2", "+tcp", "web");
      await answered("reverse", "db.dns.podman.", "-x", "10.10.1.3");
      t.match(web.run("dig", "@10.10.1.1", "nobody.dns.podman").stdout, /status: NXDOMAIN/);
      t.match(web.run("dig", "@10.10.1.1", "db").stdout, /\bdb\.\s+0\s+IN\s+A\s/, "nothing is to be kept");
      t.equal(web.run("dig", "@fd00:10::1", "+short", "db").stdout.trim(), "10.10.1.3", "at the other address");

      t.match(node.call("dnsname", "DEL", { container: 1, pod: "db" }), { status: 0, stdout: "" });
      await answered("is gone", "", "db.dns.podman");
      await answered("is not", "10.10.1.2", "web.dns.podman");
      t.match(node.call("dnsname", "DEL", { pod: "web" }), { status: 0, stdout: "" });
      t.match(node.call("dnsname", "DEL", { pod: "web" }), { status: 0, stdout: "" }, "once more");
      await nobodyListens(node);
      t.match(db.run("dig", "@10.10.1.1", "+tries=1", "+time=1", "db").stdout, "refused", "nobody listens any more");
    },
  );

t.test("dnsname: names are for the host and containers with names in that network alone", needsRoot, async (t) => {
  const node = newNode(t);
  const [web, other] = containersOf(node);
  t.match(node.add("web"), { status: 0 });
  node.sh(
    `ip link add out type veth peer name eth0 netns ${other.name} && ip addr add 192.0.2.1/24 dev out && ip link set out up`,
  );
  other.sh("ip addr add 192.0.2.2/24 dev eth0 && ip link set eth0 up && ip route add default via 192.0.2.1");
  t.equal(dig(web, "web"), "10.10.1.2");
  t.equal(dig(node, "web"), "10.10.1.2", "the host asks from its address in the network");
  other.sh("ping -c 1 -W 2 10.10.1.1");
  t.notMatch(dig(other, "web"), "10.10.1.2", "who is routed there has no answer");
  t.notMatch(dig(other, "+tcp", "web"), "10.10.1.2");
  t.notMatch(
    other.run("dig", "@192.0.2.1", "+tries=1", "+time=1", "web").stdout,
    "10.10.1.2",
    "nor at other addresses of the host",
  );
  node.sh(`ip link add lan type veth peer name lan0 netns ${other.name} && ip link set lan master cni-podman1 up`);
  other.sh("ip addr add 10.10.1.77/24 dev lan0 && ip link set lan0 up && ping -c 1 -W 2 -I lan0 10.10.1.1");
  t.notMatch(dig(other, "web"), "10.10.1.2", "nor who has an address of the network, and no name in it");
  t.notMatch(dig(other, "+tcp", "web"), "10.10.1.2");
});

t.test("dnsname: two networks on one bridge are answered at their own addresses", needsRoot, async (t) => {
  const node = newNode(t);
  const [web, db] = containersOf(node);
  t.match(node.add("web"), { status: 0 });
  const other = { container: 1, network: "n2" };
  const ipam = { type: "host-local", ranges: [[{ subnet: "10.10.2.0/24" }]] };
  node.sh("ip addr add 10.10.2.1/24 dev cni-podman1"); // bridge itself gives a bridge one address of IPv4
  t.match(node.call("bridge", "ADD", { ...other, keys: { ipam, isGateway: false } }), { status: 0 });
  const added = node.call("dnsname", "ADD", { ...other, pod: "db" });
  t.match(added, { status: 0, stderr: "" });
  t.strictSame((added.stdout as { dns: unknown }).dns, { nameservers: ["10.10.2.1"], search: ["dns.podman"] });
  t.equal(db.run("dig", "@10.10.2.1", "+short", "db").stdout.trim(), "10.10.2.2");
  t.match(db.run("dig", "@10.10.2.1", "web").stdout, /status: NXDOMAIN/);
  t.equal(dig(web, "web"), "10.10.1.2");
  t.match(web.run("dig", "@10.10.1.1", "db").stdout, /status: NXDOMAIN/);
});

t.test("dnsname: a resolver in another network namespace is named, and what to do", needsRoot, async (t) => {
  const node = newNode(t, { containers: 3 });
  const [web, , other] = node.containers as [Container, Container, Container];
  const endAllIn = ({ name }: Namespace) => {
    const pids = () => execFileSync("ip", ["netns", "pids", name], { encoding: "utf8" }).split("\n").filter(Boolean);
    while (pids().length > 0) spawnSync("kill", ["-KILL", ...pids()]); // again, as one may have started another
  };
  t.teardown(() => endAllIn(other));
  t.match(node.add("web"), { status: 0 });
  endAllIn(node);
  node.run("nsenter", `--net=${other.path}`, join(ourTools, "twill"), "resolver", "--sync");
  t.match(node.add("db", { container: 1 }), {
    status: 1,
    stdout: {
      code: 999,
      msg: /^names cannot be answered: the resolver runs in another network namespace than/,
      details: /To fix: end its two processes, twill-resolver; the next ADD starts one here/,
    },
  });
  endAllIn(other);
  t.match(node.call("dnsname", "ADD", { container: 1, pod: "db" }), { status: 0 });
  t.equal(dig(web, "db"), "10.10.1.3");
});

t.test("dnsname: where another program has port 53, ADD says so and leaves nothing", needsRoot, async (t) => {
  const node = newNode(t);
  const [web] = containersOf(node);
  t.match(node.add("web", { network: "n0" }), { status: 0 }); // makes the bridge
  t.match(node.call("dnsname", "DEL", { network: "n0" }), { status: 0 });
  await nobodyListens(node);
  const server = ["-k", "-h", "-R", "-C", "/dev/null", "-x", "", "--user=root", "-z", "-a10.10.1.1"];
  node.sh(
    `${dnsmasq}/dnsmasq ${server
      .slice(1)
      .map((arg) => (arg === "" ? "''" : arg))
      .join(" ")}`,
  );
  t.match(node.call("dnsname", "ADD", { pod: "web" }), {
    status: 1,
    stdout: {
      code: 999,
      msg: "names cannot be answered: another program on the host has port 53 of 10.10.1.1",
      details: /have it listen on other addresses, and start the container again/,
    },
  });
  t.equal(node.sh("find /var/lib/run/dnsname -type f"), "");
  t.equal(dig(web, "web"), "", "dnsmasq knows nothing");
});

t.test(
  "dnsname: a container whose bridge is gone keeps nobody from taking over from podman's dnsmasq",
  needsRoot,
  async (t) => {
    const node = newNode(t);
    const [web, db] = containersOf(node);
    const { stdout } = node.add("db", { container: 1, network: "n0" }); // makes the bridge
    const { interfaces } = stdout as { interfaces: { name: string; sandbox?: string }[] };
    t.match(node.call("dnsname", "DEL", { container: 1, network: "n0" }), { status: 0 });
    await nobodyListens(node);
    t.match(node.call("bridge", "ADD"), { status: 0 });
    const directory = "/var/lib/containers/cni/dnsname/n1";
    node.sh(`mkdir -p ${directory} /var/lib/cni/results
    printf '%s\\n' user=root listen-address=10.10.1.1 bind-interfaces no-hosts no-resolv pid-file=${directory}/pidfile > ${directory}/dnsmasq.conf
    ${dnsmasq}/dnsmasq --conf-file=${directory}/dnsmasq.conf`);
    const config = { cniVersion: "0.4.0", name: "n1", plugins: [{ type: "bridge" }, { type: "dnsname" }] };
    const entry = {
      kind: "cniCacheV1",
      containerId: "earlier",
      config: Buffer.from(JSON.stringify(config)).toString("base64"),
      ifName: "eth0",
      networkName: "n1",
      netns: db.path,
      result: {
        cniVersion: "0.4.0",
        interfaces: [{ name: "renamed" }, ...interfaces.filter(({ sandbox }) => sandbox)],
        ips: [{ version: "4", interface: 1, address: "10.10.1.77/24" }],
      },
    };
    node.write("/var/lib/cni/results/n1-earlier-eth0", JSON.stringify(entry));
    t.match(node.call("dnsname", "ADD", { pod: "web" }), { status: 0, stderr: "" });
    t.equal(dig(web, "web"), "10.10.1.2");
  },
);

t.test("dnsname: CHECK, GC, and what ADD refuses", needsRoot, async (t) => {
  const node = newNode(t);
  const [web, db] = containersOf(node);
  t.match(node.add("web"), { status: 0 });
  t.match(node.call("dnsname", "CHECK", { pod: "web" }), { status: 0, stdout: "" });
  node.killResolver();
  await nobodyListens(node);
  t.match(node.call("dnsname", "CHECK", { pod: "web" }), {
    status: 1,
    stdout: { msg: "no resolver runs that answers names" },
  });
  t.match(node.add("db", { container: 1 }), { status: 0 });
  t.equal(dig(web, "web"), "10.10.1.2", "the next ADD starts one, which knows the others");

  const valid = [{ containerID: "container-1", ifname: "eth0" }];
  t.match(node.call("dnsname", "GC", { keys: { cniVersion: "1.1.0", "cni.dev/valid-attachments": valid } }), {
    status: 0,
  });
  t.equal(dig(db, "web.dns.podman"), "");
  t.equal(dig(db, "db.dns.podman"), "10.10.1.3");
  t.match(node.call("dnsname", "CHECK", { pod: "web" }), {
    status: 1,
    stdout: { msg: "the container has no names in the network, must have those of 10.10.1.2/24, fd00:10::2/64" },
  });

  node.sh("ip link add eth0 type veth peer name far && ip addr add 203.0.113.5/24 dev eth0 && ip link set eth0 up");
  const refusals: [string, Record<string, unknown>][] = [
    ["must be called as chained plugin", { prevResult: undefined }],
    [
      "no ip address was found in the network",
      { prevResult: { cniVersion: "0.4.0", interfaces: [{ name: "cni-podman1" }] } },
    ],
    [
      "the result has no interface of the host",
      {
        prevResult: {
          cniVersion: "0.4.0",
          interfaces: [{ name: "eth0", sandbox: web.path }], // as macvlan's
          ips: [{ version: "4", address: "203.0.113.9/24", gateway: "203.0.113.1", interface: 0 }],
        },
      },
    ],
    [
      'the result has no interface that the host has: there is no "nosuch0"',
      {
        prevResult: {
          cniVersion: "0.4.0",
          interfaces: [{ name: "nosuch0" }],
          ips: [{ version: "4", address: "10.10.1.9/24" }],
        },
      },
    ],
  ];
  for (const [msg, keys] of refusals)
    t.match(node.call("dnsname", "ADD", { pod: "x", keys }), { status: 1, stdout: { msg } });
  execFileSync("ip", ["netns", "del", node.containers[1]?.name ?? ""]); // nobody calls DEL
  while (node.sh("find /var/lib/run/dnsname -type f") !== "") await sleep(50);
  await nobodyListens(node);
});
