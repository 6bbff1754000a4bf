// `twill run` on a host of its own, seen with the eyes of ip, nft, ping and the command itself.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { needsRoot } from "./lab/needs.ts";
import { type RunNode as Node, newRunNode as newNode, stopped } from "./lab/run-node.ts";

/** Everything but the resolver's own files and what host-local keeps of a network. */
const leftOf = (node: Node): string[] => [
  ...node.runFiles(),
  ...(existsSync(join(node.varLib, "cni/results")) ? readdirSync(join(node.varLib, "cni/results")) : []),
  ...node.sh("ip -o link show type veth").trim().split("\n").filter(Boolean),
  ...node
    .sh("nft list ruleset 2> /dev/null | grep -E 'dport|10\\.5\\.0\\.[2-9]' || true")
    .trim()
    .split("\n")
    .filter(Boolean),
];

t.test(
  "a command has a network, a host name and files of its own, and all of it is taken back",
  needsRoot,
  async (t) => {
    const node = newNode(t);
    node.networkSays("create --subnet 10.5.0.0/24 front");
    const web = await node.starts(
      "web",
      "--rm -it --net front --hostname www1 --network-alias shop --ip 10.5.0.9 --link-local-ip 169.254.7.7 --mac-address 02:00:00:00:00:09 --dns-search corp.example",
      "ip -br address show eth0 > /var/lib/seen; cat /sys/class/net/eth0/address /etc/hostname /etc/hosts /etc/resolv.conf >> /var/lib/seen; hostname >> /var/lib/seen; echo $HOSTNAME >> /var/lib/seen",
    );
    const seen = readFileSync(join(node.varLib, "seen"), "utf8");
    t.match(seen, /^eth0@if\d+ +UP +10\.5\.0\.9\/24 169\.254\.7\.7\/16/);
    t.match(seen, /^02:00:00:00:00:09\nwww1\n127\.0\.0\.1\tlocalhost$/m, "its /sys, its /etc/hostname");
    t.match(seen, /^10\.5\.0\.9\twww1\b/m, "its /etc/hosts");
    t.match(seen, /^search corp\.example\nnameserver 127\.0\.0\.11$/m, "its /etc/resolv.conf");
    t.match(seen, /www1\nwww1\n$/, "its host name");
    const other = node.runs("--network front", "for n in web www1 shop web.front; do ping -c 1 -W 2 $n; done");
    t.equal(
      other.stdout.match(/ 0% packet loss/g)?.length,
      4,
      `its names are answered: ${other.stdout}${other.stderr}`,
    );
    t.match(node.networkSays("inspect front"), '"Name": "web"');
    const refused = node.runs("--name web --network none true");
    t.match(refused, {
      status: 125,
      stderr: /The container name "\/web" is already in use by container "[0-9a-f]{64}"/,
    });
    t.equal((await stopped(web)).status, 128 + 15, "a signal is passed on, and told");
    t.strictSame(leftOf(node), []);
  },
);

t.test("none has only lo, host is the host, container:NAME shares network, name and files", needsRoot, async (t) => {
  const node = newNode(t);
  const links = "ip -o link | cut -d: -f2 | xargs; hostname";
  t.match(node.runs("--network none -h alone", links), { status: 0, stdout: "lo\nalone\n" });
  node.sh("ip link add seen type veth peer name other");
  t.match(node.runs("--network host", "ip -o link show seen; cat /etc/hosts").stdout, /seen@other[\s\S]*localhost/);
  t.match(node.runs("--network host -p 80:80", "true"), { status: 0, stderr: "Published ports are discarded" });
  node.networkSays("create --subnet 10.5.0.0/24 front");
  const web = await node.starts("web", "--network front --hostname www1");
  const shared = node.runs("--network container:web", "ip -br -4 address show eth0; hostname; cat /etc/hosts");
  t.match(shared.stdout, /10\.5\.0\.2\/24[\s\S]*\nwww1\n[\s\S]*10\.5\.0\.2\twww1/);
  const name = node.containers[0]?.name;
  node.containers[0]?.sh("ip link add bare type veth peer name end");
  t.match(node.runs(`--network container:${name}`, "ip -o link show bare"), { status: 0 }, "also a bare namespace");
  node.networkSays("create --subnet 10.6.0.0/24 back");
  node.networkSays("connect back web");
  t.match(
    node.runs("--network container:web", "ip -br -4 address show eth1; cat /etc/hosts").stdout,
    /10\.6\.0\.2[\s\S]*10\.6\.0\.2\twww1/,
  );
  await stopped(web);
  t.strictSame(leftOf(node), [
    ...node.sh("ip -o link show type veth").trim().split("\n"), // by hand
  ]);
  t.notMatch(node.networkSays("inspect back"), '"Name": "web"', "also of networks that it was connected to later");
});

t.test("-p publishes a port, -P each exposed one at the next free port from 32768 on", needsRoot, async (t) => {
  const node = newNode(t);
  node.networkSays("create --subnet 10.5.0.0/24 front");
  const serve = "exec busybox httpd -f -p 80";
  const web = await node.starts("web", "--network front -p 8080:80 -p 127.0.0.1:9000-9001:90-91/udp", "true", serve);
  const ports = (name: string) =>
    JSON.parse(node.networkSays(`inspect front`))[0].Containers[
      JSON.parse(readFileSync(join(node.varLib, `run/run/${name}/container.json`), "utf8")).id
    ].Ports;
  t.strictSame(ports("web"), { "80/tcp": "0.0.0.0:8080", "90/udp": "127.0.0.1:9000", "91/udp": "127.0.0.1:9001" });
  const container = node.containers[0];
  node.sh(
    `ip link add out type veth peer name eth0 netns ${container?.name} && ip address add 192.0.2.1/24 dev out && ip link set out up`,
  );
  container?.sh("ip link set eth0 up && ip address add 192.0.2.2/24 dev eth0");
  t.match(
    container?.sh(
      "timeout 5 sh -c 'until busybox nc -w 1 192.0.2.1 8080 < /dev/null; do sleep 0.05; done' && echo connected",
    ),
    "connected",
    "from outside",
  );
  t.match(node.runs("--network front -p 8080:81", "true"), {
    status: 125,
    stderr: "Bind for 0.0.0.0:8080 failed: port is already allocated",
  });

  const low = Number(node.sh("cat /proc/sys/net/ipv4/ip_local_port_range").split(/\s/)[0]);
  t.equal(low, 32768);
  const listener = await node.starts("listener", "--network host", "true", "exec busybox nc -l -p 32769");
  node.sh("timeout 5 sh -c 'until ss -ltn | grep -q :32769; do sleep 0.05; done'");
  const all = await node.starts("all", "--network front -P --expose 80 --expose 53/udp --expose 81-82");
  t.strictSame(
    ports("all"),
    { "80/tcp": "0.0.0.0:32768", "53/udp": "0.0.0.0:32768", "81/tcp": "0.0.0.0:32770", "82/tcp": "0.0.0.0:32771" },
    "one that a program has is passed over",
  );
  for (const one of [all, listener, web]) await stopped(one);
  node.sh("ip link delete out");
  t.strictSame(leftOf(node), []);
});

/** A node whose command "web" serves a word at its address in "mid", and in each network that it is connected to afterwards. */
async function publishingNode(t: Parameters<typeof newNode>[0]) {
  const node = newNode(t);
  for (const [name, subnet] of [
    ["alpha", "10.4.0.0/24"],
    ["mid", "10.5.0.0/24"],
    ["zeta", "10.6.0.0/24"],
  ])
    node.networkSays(`create --subnet ${subnet} ${name}`);
  const started = [await node.starts("web", "--network mid -p 8080:80")];
  const serve = async (word: string, address: string) => {
    node.write(`/var/lib/${word}/index.html`, `${word}\n`);
    const httpd = `exec busybox httpd -f -p ${address}:80 -h /var/lib/${word}`;
    started.unshift(await node.starts(`serves-${word}`, "--network container:web", "true", httpd));
    node.runs("--network container:web", `until busybox nc ${address} 80 < /dev/null; do sleep 0.05; done`);
  };
  await serve("mid", "10.5.0.2");
  const [outside] = node.containers;
  node.sh(
    `ip link add out type veth peer name eth0 netns ${outside?.name} && ip address add 192.0.2.1/24 dev out && ip link set out up`,
  );
  outside?.sh("ip link set eth0 up && ip address add 192.0.2.2/24 dev eth0");
  const request = (address: string) =>
    `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 5 ${address} 8080 2>&1 | tail -n 1`;
  /** Who answers, outside and on the host. */
  const answering = () => [outside?.sh(request("192.0.2.1")).trim(), node.sh(request("127.0.0.1")).trim()];
  const stop = async () => {
    for (const one of started) await stopped(one);
  };
  return { ...node, serve, answering, stop };
}

t.test("published ports follow the default route, as in Docker", needsRoot, async (t) => {
  const node = await publishingNode(t);
  t.strictSame(node.answering(), ["mid", "mid"]);
  node.networkSays("connect zeta web");
  t.strictSame(node.answering(), ["mid", "mid"], "zeta sorts behind mid");
  node.networkSays("connect alpha web");
  await node.serve("alpha", "10.4.0.2");
  t.strictSame(node.answering(), ["alpha", "alpha"]);
  const inspected = JSON.parse(node.networkSays("inspect --check alpha mid zeta")) as {
    Containers: Record<string, { Health: string; Ports: Record<string, string> }>;
  }[];
  t.strictSame(
    inspected.flatMap(({ Containers }) => Object.values(Containers).map(({ Health, Ports }) => [Health, Ports])),
    [
      ["ok", { "80/tcp": "0.0.0.0:8080" }],
      ["ok", {}],
      ["ok", {}],
    ],
  );
  node.networkSays("disconnect alpha web");
  t.strictSame(node.answering(), ["mid", "mid"]);
  node.networkSays("disconnect mid web");
  await node.serve("zeta", "10.6.0.2");
  t.strictSame(node.answering(), ["zeta", "zeta"], "also when the network is left with which they were asked for");
  t.match(node.network("disconnect zeta web"), {
    status: 0,
    stderr: "published ports of container web lead nowhere",
  });
  t.match(node.runs("--network mid -p 8080:80", "true").stderr, "port is already allocated", "they are kept for it");
  node.networkSays("connect zeta web");
  t.match(node.networkSays("inspect zeta"), '"80/tcp": "0.0.0.0:8080"');
  await node.stop();
  node.sh("ip link delete out");
  t.strictSame(leftOf(node), []);
});

t.test("ports that were being moved when twill was killed are moved by the next command", needsRoot, async (t) => {
  const node = await publishingNode(t);
  node.networkSays("connect alpha web");
  await node.serve("alpha", "10.4.0.2");
  const [record] = node.sh("ls /var/lib/cni/twill/networks/*/*.json | xargs grep -l '\"alpha\"'").trim().split("\n");
  node.sh(`sed -i 's/^{/{"unfinished":"connect",/' ${record}`);
  node.sh("nft list ruleset 2> /dev/null | grep -q 8080 && nft flush ruleset"); // nor have the rules got there
  t.match(node.network("ls"), { status: 0, stderr: "undid the connect of container web and network alpha" });
  t.strictSame(node.answering(), ["mid", "mid"]);
});

t.test(
  "a link of the network bridge is a line of hosts and variables; of another one a name that only the command sees",
  needsRoot,
  async (t) => {
    const node = newNode(t);
    const db = await node.starts("db", "--expose 5432");
    const linked = node.runs("--name app --link db:data-base", "ping -c 1 -W 2 data-base; cat /etc/hosts; env");
    t.match(linked.stdout, " 0% packet loss");
    t.match(linked.stdout, /^172\.17\.0\.2\tdata-base [0-9a-f]{12} db$/m);
    for (const line of [
      "NAME=/app/data-base",
      "PORT=tcp://172.17.0.2:5432",
      "PORT_5432_TCP=tcp://172.17.0.2:5432",
      "PORT_5432_TCP_ADDR=172.17.0.2",
      "PORT_5432_TCP_PORT=5432",
      "PORT_5432_TCP_PROTO=tcp",
    ])
      t.match(linked.stdout, `\nDATA_BASE_${line}\n`);
    const bare = node.containers[0]?.name;
    node.networkSays(`connect bridge ${bare}`);
    t.match(
      node.runs(`--link ${bare}:other`, "cat /etc/hosts").stdout,
      new RegExp(`^172\\.17\\.0\\.\\d+\\tother cnitool-[0-9a-f]{12} ${bare}$`, "m"),
      "of a bare namespace with the short ID that the resolver answers",
    );
    node.networkSays(`disconnect bridge ${bare}`);
    t.match(node.runs("--link nobody", "true"), {
      status: 125,
      stderr: "Cannot link to /nobody, as it does not belong to network bridge",
    });
    await stopped(db);
    t.strictSame(leftOf(node), []);
  },
);

t.test(
  "what a killed twill run leaves is removed by the next command, and its command is killed",
  needsRoot,
  async (t) => {
    const node = newNode(t);
    node.networkSays("create --subnet 10.5.0.0/24 front");
    const web = await node.starts("web", "--network front -p 8080:80");
    t.not(leftOf(node).length, 0);
    process.kill(web.process, "SIGKILL");
    t.match(await web.ended, { signal: "SIGKILL" }, "its streams are closed: nobody has them any more");
    t.match(node.networkSays("inspect front"), '"Containers": {}');
    t.strictSame(leftOf(node), []);
  },
);

t.test("the exit status is the command's, or says why there is none", needsRoot, async (t) => {
  const node = newNode(t);
  node.write("/var/lib/plain", "no program");
  node.write("/var/lib/broken", "\x7fELF");
  node.sh("chmod +x /var/lib/broken");
  const rows: [args: string, script: string | undefined, status: number, stderr: string | RegExp][] = [
    ["--network none", "exit 7", 7, ""],
    ["--network none", "kill -9 $$", 128 + 9, ""],
    ["--network none", "yes | head -n 1 > /dev/null", 0, ""],
    ["--network none nosuch", undefined, 127, 'exec: "nosuch": not found'],
    ["--network none /var/lib/plain", undefined, 126, "is no executable file"],
    ["--network none /var/lib/broken", undefined, 126, /execve.*ENOEXEC/],
    ["--network nowhere", "true", 125, "No such network: nowhere"],
  ];
  for (const [args, script, status, stderr] of rows)
    t.match(node.runs(args, script), { status, stderr }, `${args} ${script ?? ""}`);
  t.strictSame(leftOf(node), []);
});
