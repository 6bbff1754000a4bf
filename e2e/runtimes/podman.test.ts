// Debian's podman with our plugins: what its commands promise, what survives whom, and a node that changes between the Go plugins and ours.
import { spawnSync } from "node:child_process";
import t, { type Test } from "tap";
import { unpackedLibraries } from "../../dev/unpacked.mjs";
import { until } from "../cluster/until.ts";
import { inLongRunOnly, type Need, needsRoot } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";
import { IMAGE } from "./node.ts";
import { newPodman, type Podman } from "./podman.ts";

/** n1 has IPv4 and names, n2 IPv6 too; the default network of podman costs nothing. */
const networks = `
  podman network create --subnet 10.10.1.0/24 n1
  podman network create --subnet 10.10.2.0/24 --ipv6 --subnet fd00:2::/64 n2`;

async function newPodmanWithNetworks(t: Test): Promise<Podman> {
  const podman = await newPodman(t);
  await podman.done(networks);
  return podman;
}

/** Then nobody is left who would have podman run DEL. */
const killWithMonitor = (name: string) =>
  `kill -9 $(cat $(podman inspect --format {{.ConmonPidFile}} ${name})) $(podman inspect --format {{.State.Pid}} ${name})`;

const short = (id: string) => id.slice(0, 12);

/** Setup unpacks podman where there is apt-get, and takes the machine's own elsewhere. */
const needsPodman: Need =
  spawnSync("podman", ["--version"], {
    env: { PATH: process.env["PATH"], LD_LIBRARY_PATH: unpackedLibraries(projectRoot) },
  }).status === 0
    ? needsRoot
    : { skip: "podman is not here: node dev/setup.mjs test unpacks it" };

t.test("podman: a container answers on its published port, and leaves nothing", needsPodman, async (t) => {
  const { done, start, ask, traces } = await newPodman(t);
  await done("podman network create --subnet 10.10.1.0/24 n1");
  const id = await start("a", "--network n1 -p 8080:80");
  t.equal(await ask("127.0.0.1:8080"), short(id));
  t.match(await done("dist/bin/cnitool list n1"), short(id));
  await done("podman rm -f -t 0 a && podman network rm n1");
  t.equal(await traces(), "");
  t.equal(await done("ip -br link show type bridge"), "");
});

t.test("podman: what its commands promise of ports, addresses and names", inLongRunOnly(needsRoot), async (t) => {
  const { done, start, ask, traces, type } = await newPodmanWithNetworks(t);
  const a = await start(
    "a",
    "--network n1 --ip 10.10.1.50 --mac-address 02:11:22:33:44:55 --network-alias web -p 127.0.0.1:8080:80",
  );
  const b = await start(
    "b",
    "--network n2:ip=10.10.2.77,ip=fd00:2::77,mac=02:00:00:00:00:77,interface_name=net7 --network n1 -p 8081:80",
  );
  t.equal(await ask("127.0.0.1:8080"), short(a));
  t.equal(await ask("10.10.2.1:8081"), short(b));
  t.equal(await ask("10.10.1.1:8080"), "", "published on one address only");
  t.match(await done("podman exec a ip addr show eth0"), /02:11:22:33:44:55[\s\S]*10\.10\.1\.50\/24/);
  t.match(
    await done("podman exec b ip addr show net7"),
    /02:00:00:00:00:77[\s\S]*10\.10\.2\.77\/24[\s\S]*fd00:2::77\/64/,
  );
  t.match(await done("podman exec b nslookup web"), /web\.dns\.podman\nAddress: 10\.10\.1\.50/);

  await done("podman network connect --ip 10.10.2.140 n2 a");
  t.equal(await ask("10.10.2.140"), short(a));
  await done("podman network disconnect n2 a");
  t.equal(await ask("10.10.2.140", 1), "");

  await done("podman restart -t 0 a");
  t.equal(await ask("127.0.0.1:8080"), short(a), "after a restart");
  await done("podman stop -t 0 a && podman start a");
  t.equal(await ask("127.0.0.1:8080"), short(a), "after a stop");
  await done("nft flush ruleset");
  t.equal(await ask("127.0.0.1:8080", 1), "");
  await done("podman network reload --all");
  t.equal(await ask("127.0.0.1:8080"), short(a), "after podman network reload");
  t.equal(await ask("10.10.2.1:8081"), short(b));

  t.match(await type(`podman run -d --network n1 --ip 10.10.1.50 localhost/image:1`), {
    status: 126,
    stderr: /10\.10\.1\.50 is held by|requested IP address 10\.10\.1\.50 is not available/,
  });
  await done("podman rm -fa -t 0");
  t.equal(await traces(), "");
  await done("podman network rm n1 n2");
  t.equal(await done("ip -br link show type bridge"), "");
});

t.test(
  "podman: networks of twill network are its own, and its containers are connected by name",
  inLongRunOnly(needsRoot),
  async (t) => {
    const { done, start, ask, traces, type } = await newPodmanWithNetworks(t);
    const network = (args: string) => done(`dist/bin/twill network ${args}`);
    await network("create --subnet 10.10.5.0/24 --label tier=web front");
    await network("create --subnet 10.10.6.0/24 back");
    t.match(await done("podman network ls"), /\bfront +bridge\b/);
    t.match(JSON.parse(await done("podman network inspect front"))[0], {
      driver: "bridge",
      subnets: [{ subnet: "10.10.5.0/24", gateway: "10.10.5.1" }],
    });
    const a = await start("a", "--network front --network-alias www --dns 127.0.0.11 -p 8080:80");
    const b = await start("b", "--network none");
    t.equal(await ask("127.0.0.1:8080"), short(a), "podman runs a container in it");
    t.match(
      await network("inspect --format '{{range .Containers}}{{.Name}} {{.IPv4Address}};{{end}}' front"),
      "a 10.10.5.2/24;",
    );
    for (const name of ["a", "www.front", short(a)])
      t.match(await done(`podman exec a nslookup ${name}`), `Name:\t${name}\nAddress: 10.10.5.2`);
    t.match(await type("dist/bin/twill network disconnect front a"), {
      status: 1,
      stderr: /podman network disconnect/,
    });
    t.match(await type("dist/bin/twill network rm front"), { status: 1, stderr: /a 10\.10\.5\.2/ });

    await network(`connect --alias www back a`);
    await network(`connect back ${short(b)}`);
    t.equal(await ask("10.10.6.2"), short(a), "of a container that has another network");
    t.equal(await ask("10.10.6.3"), short(b), "of one that had none");
    t.match(await done("podman exec b ip addr show eth0"), "10.10.6.3/24");
    t.match(await done("podman exec a ip addr show eth1"), "10.10.6.2/24");

    await done("podman rm -f -t 0 a");
    t.match(JSON.parse(await network("inspect back"))[0].Containers, { [b]: { Name: "b" } });
    t.notMatch(await traces(), "10.10.6.2");
    await done(killWithMonitor("b"));
    await done("podman rm -f -t 0 b");
    await network("rm front back");
    t.equal(await traces(), "");
    t.equal(await done("ip -br link show type bridge"), "");
  },
);

t.test("podman: ten containers that start and end at once", inLongRunOnly(needsRoot), async (t) => {
  const { done, start, ask, traces } = await newPodmanWithNetworks(t);
  const numbers = Array.from({ length: 10 }, (_, i) => i);
  const ids = await Promise.all(numbers.map((i) => start(`c${i}`, `--network n1 --network n2 -p 808${i}:80`)));
  for (const i of numbers) t.equal(await ask(`127.0.0.1:808${i}`), short(ids[i] ?? ""));
  await Promise.all(numbers.map((i) => done(`podman rm -f -t 0 c${i}`)));
  t.equal(await traces(), "");
});

t.test("podman: who is alive keeps port and rules, who is dead does not", inLongRunOnly(needsRoot), async (t) => {
  const { done, start, ask, traces, type } = await newPodmanWithNetworks(t);
  const a = await start("a", "--network n1 -p 8080:80");
  const b = await start("b", "--network n2 -p 8081:80");
  const list = () => done("dist/bin/cnitool list --json").then(JSON.parse);
  for (const network of ["n1", "n2"])
    t.match(await type(`podman run -d --network ${network} -p 8080:80 localhost/image:1`), {
      status: 126,
      stderr: new RegExp(`port 8080/tcp is held by container ${a} of network n1`),
    });
  t.equal(await ask("127.0.0.1:8080"), short(a));

  await done("kill -9 $(podman inspect --format {{.State.Pid}} b)");
  await until("podman's DEL", async () => (await done("ls /var/lib/cni/results")) === `n1-${a}-eth0`);
  await done("podman start b");
  t.equal(await ask("127.0.0.1:8081"), short(b));
  t.match(await done("dist/bin/twill reload"), /^2 attachments, nothing is missing$/);

  await done(killWithMonitor("b"));
  t.match(await list(), [{ namespace: "alive" }, { namespace: "alive" }], "podman's mount keeps the namespace");
  await done(`
    namespace=$(podman inspect --format {{.NetworkSettings.SandboxKey}} b)
    umount $namespace && rm -f $namespace`); // as a boot does
  t.match(await list(), [
    { containerId: a, namespace: "alive" },
    { containerId: b, namespace: "dead" },
  ]);
  await done("nft flush ruleset");
  t.match(await done("dist/bin/twill reload"), new RegExp(`^n1 ${a} eth0: \\d+ changes made\n1 attachments, `));
  t.equal(await ask("127.0.0.1:8080"), short(a));
  t.notMatch(await done("nft list ruleset"), /8081/);
  const gc = (network: string) => done(`CNI_PATH=/opt/cni/bin dist/bin/cnitool gc --dead ${network}`);
  t.equal(await gc("n1"), "");
  t.equal(await gc("n2"), `n2 ${b} eth0: deleted`);
  t.match(await list(), [{ containerId: a }]);
  t.equal(await ask("127.0.0.1:8080"), short(a));

  await start("c", "--network n1 -p 8082:80");
  await done(`
    ${killWithMonitor("a")}; ${killWithMonitor("c")}
    kill -9 $(grep -lx twill-resolver /proc/[0-9]*/comm | cut -d / -f 3)
    awk '$2 ~ "^/var/lib/containers" { print $2 }' /proc/mounts | tac | xargs umount
    umount /run/netns/* && nft flush ruleset && ip link del cni-podman1 && ip link del cni-podman2
    rm -rf /run/netns/* /run/twill /run/libpod /run/containers /run/runc /dev/shm/* /var/lib/cni/networks`); // as its tmpfiles.d does at boot
  t.match(await done("dist/bin/twill reload"), /^0 attachments/);
  await done("podman start a");
  t.equal(await ask("127.0.0.1:8080"), short(a), "after a boot");
  t.match(await done("dist/bin/twill reload"), /^1 attachments, nothing is missing$/);
  t.match(await done("podman exec a nslookup a"), /a\.dns\.podman\nAddress: 10\.10\.1\./, "names as well");
  t.match(await gc("n1"), /^n1 \w+ eth0: deleted$/);
  t.equal(await ask("127.0.0.1:8080"), short(a));
  await done("podman rm -fa -t 0");
  t.equal(await traces(), "");
});

t.test("podman: plugins are exchanged under running containers, Go's and ours", inLongRunOnly(needsRoot), async (t) => {
  const { done, start, ask, traces, usePlugins } = await newPodman(t);
  await done("podman network create --disable-dns --subnet 10.10.1.0/24 n1"); // of names: the next test
  await usePlugins("go");
  const ids = [await start("c0", "--network n1 --ip 10.10.1.50 -p 8080:80")];
  const all = async (what: string) => {
    for (const [i, id] of ids.entries()) t.equal(await ask(`127.0.0.1:808${i}`), short(id), `${what}: c${i}`);
  };
  await done(`
    ping -q -i 0.005 10.10.1.50 > /run/ping 2>&1 & echo $! > /run/ping.pid
    curl -s --limit-rate 400k -o /run/transferred http://127.0.0.1:8080/bin/busybox > /dev/null 2>&1 & echo $! > /run/curl.pid`);

  await usePlugins("ours");
  await all("ours in the place of Go's");
  await done("dist/bin/twill reload"); // what only ours have: rules that say whose an address is
  t.match(await done("dist/bin/twill reload"), /^1 attachments, nothing is missing$/);
  ids.push(await start("c1", "--network n1 -p 8081:80"));
  await all("ours has added");
  await usePlugins("go");
  ids.push(await start("c2", "--network n1 -p 8082:80"));
  await all("Go's in the place of ours");
  await done("podman rm -f -t 0 c1");
  ids.splice(1, 1);
  t.equal(await ask("127.0.0.1:8082"), short(ids[1] ?? ""));
  await usePlugins("ours");
  await done("podman rm -f -t 0 c2");
  t.equal(await ask("127.0.0.1:8080"), short(ids[0] ?? ""));

  await until("the end of the transfer", () => done("! test -e /proc/$(cat /run/curl.pid)").then(() => true));
  await done(`cmp /run/transferred ${IMAGE}/bin/busybox`);
  await done("kill -INT $(cat /run/ping.pid)");
  const [counts, sent, received] = await until(
    "ping's count",
    async () => /(\d+) packets transmitted, (\d+) received/.exec(await done("cat /run/ping")) ?? undefined,
  );
  t.comment(counts);
  t.ok(Number(sent) > 100, counts);
  t.ok(Number(sent) - Number(received) <= 1, `none is lost; the last may be on its way at the end: ${counts}`);

  await done("podman rm -f -t 0 c0");
  const stays = (await traces()).split("\n");
  t.match(stays, [/networks\/\.twill\/n1\/owners\/\S+:eth0$/, /^\s*ip saddr 10\.10\.1\.51 +counter return$/]);
  t.equal(stays.length, 2, "Go's DEL leaves of ours what says whose an address is");
  const next = await start("next", "--network n1 --ip 10.10.1.51 -p 8081:80");
  t.equal(await ask("127.0.0.1:8081"), short(next));
  await done("podman rm -f -t 0 next");
  t.equal(await traces(), stays[0], "and the next container with the address takes the rule with it");
});

t.test(
  "podman: the names of a network change from its own plugin to ours and back, as the page of dnsname says",
  inLongRunOnly(needsRoot),
  async (t) => {
    const { done, type, start, traces, usePlugins } = await newPodmanWithNetworks(t);
    const answers = async (asked: string, ...names: string[]) => {
      for (const name of names)
        await until(`${name} is answered in ${asked}`, () =>
          done(`podman exec ${asked} nslookup ${name}.dns.podman`).then(() => true),
        );
    };
    await usePlugins("go");
    await start("a", "--network n1");
    await start("c", "--network n1 --network-alias www");
    await answers("a", "a", "c", "www");
    await usePlugins("ours");
    await answers("a", "c"); // by dnsmasq still
    await start("b", "--network n1");
    await answers("a", "a", "b", "c", "www");
    await answers("b", "a", "b", "www");
    t.match(await type("test -e /run/containers/cni/dnsname/n1/pidfile"), { status: 1 }, "dnsmasq has ended");
    await done("podman rm -f -t 0 c");
    t.not(
      (await type("podman exec a nslookup www.dns.podman")).status,
      0,
      "what was taken over goes with its container",
    );
    await done("podman restart -t 0 a");
    await answers("a", "a", "b");
    await answers("b", "a");

    await done("podman stop -t 0 a b");
    await usePlugins("go");
    await done("podman start a b");
    await answers("a", "a", "b");
    await answers("b", "a");
    await done("podman rm -f -t 0 a b");
    t.equal(await traces(), "");
  },
);

t.test(
  "podman: twill install and uninstall under a running container lose no packet",
  inLongRunOnly(needsRoot),
  async (t) => {
    const { done, start, ask, usePlugins } = await newPodmanWithNetworks(t);
    await usePlugins("go");
    const sums = () => done("cd /opt/cni/bin && find . -type f -exec cksum {} + | sort -k 3");
    const [a] = [await start("a", "--network podman --ip 10.88.0.50 -p 8080:80")];
    const before = await sums();
    await done("ping -q -i 0.005 10.88.0.50 > /run/ping 2>&1 & echo $! > /run/ping.pid");
    await done("dist/bin/twill install --plugin-dir /opt/cni/bin");
    t.match(await done("/opt/cni/bin/bridge 2>&1 < /dev/null | head -1"), /\+twill\./);
    const b = await start("b", "--network podman -p 8081:80");
    t.equal(await ask("127.0.0.1:8081"), short(b), "a container by twill's plugins");
    t.equal(await ask("127.0.0.1:8080"), short(a), "one by Go's");
    await done("twill uninstall");
    t.equal(await sums(), before);
    await done("podman rm -f -t 0 b");
    await done("kill -INT $(cat /run/ping.pid)");
    const [counts, sent, received] = await until(
      "ping's count",
      async () => /(\d+) packets transmitted, (\d+) received/.exec(await done("cat /run/ping")) ?? undefined,
    );
    t.ok(Number(sent) > 100, counts);
    t.ok(Number(sent) - Number(received) <= 1, `none is lost; the last may be on its way at the end: ${counts}`);
    await done("podman rm -f -t 0 a");
  },
);
