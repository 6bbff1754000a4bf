// `twill uninstall --purge`: what twill made goes by its marks, and what others made stays byte for byte.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import t from "tap";
import { type Host, newHost, type Ran } from "../lab/host.ts";
import { needsKernel, needsRoot } from "../lab/needs.ts";
import { goBin, ourBin, ourTools } from "../lab/project.ts";
import { attach, configure, environment, twill } from "./lab.ts";

/** A /run of the host's own, with the machine's namespaces in it: purge looks for commands of `twill run` there, and removes /run/twill. */
const ownRun = `mkdir -p /var/lib/run/netns && mount --rbind /run/netns /var/lib/run/netns && mount --rbind /var/lib/run /run && exec "$0" "$@"`;

const withRun = (node: Host, ...args: string[]): Ran =>
  node.runInside(["sh", "-c", ownRun, join(ourTools, "twill"), ...args], environment);

const purge = (node: Host, ...args: string[]): Ran => withRun(node, "uninstall", "--purge", ...args);

const network = (name: string, number: number, backend: string) => [
  {
    type: "bridge",
    bridge: `${name}0`,
    isDefaultGateway: true,
    ipMasq: true,
    ...(backend === "nftables" && { ipMasqBackend: backend }),
    ipam: { type: "host-local", ranges: [[{ subnet: `10.${number}.0.0/24` }]] },
  },
  { type: "portmap", ...(backend === "nftables" && { backend }), capabilities: { portMappings: true } },
  { type: "firewall", backend },
];

const published = (hostPort: number) => ({
  CAP_ARGS: JSON.stringify({ portMappings: [{ hostPort, containerPort: 80, protocol: "tcp" }] }),
});

/** What Docker, podman with netavark, and the administrator have on a host. */
const foreign = `
  ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up
  ip link add veth1234567 type veth peer name vethpeer; ip link set veth1234567 master docker0 up
  ip link add mine type veth peer name mine1; ip link set mine alias "cni is what I like"
  iptables -t nat -N DOCKER; iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
  iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
  iptables -t nat -A DOCKER ! -i docker0 -p tcp --dport 9000 -j DNAT --to-destination 172.17.0.2:80
  iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER
  iptables -A INPUT -m comment --comment 'name: "ours" id: "x", I wrote this' -j ACCEPT
  nft 'table inet netavark { chain POSTROUTING { type nat hook postrouting priority 100; ip saddr 10.89.0.0/24 masquerade
  }
  }'
  mkdir -p /var/lib/docker/network; echo x > /var/lib/docker/network/local-kv.db`;

/** Links, rules and files, without what changes at each look; bridges of the networks, which stay, are left out. */
const traces = (node: Host): string =>
  node.sh(`
    nft -s list ruleset
    iptables-save | grep -v '^#' | sed 's/\\[.*\\]//'
    ip -o link show | sed 's/@.*//; s/^[0-9]*: //; s/<[^>]*> //; s/ state [A-Z]*//' | grep -v -e ours0 -e theirs0 | sort
    find /var/lib -type f ! -path '*/.twill/*' ! -path '/var/lib/run/*' ! -name 'last_reserved_ip*' -exec cksum {} + | sort -k 3`);

/** Returns the lines of a text that another one has not as often. */
function linesLost(from: string, to: string): string[] {
  const left = to.split("\n");
  return from.split("\n").filter((line) => {
    const at = left.indexOf(line);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

for (const backend of ["nftables", "iptables"]) {
  t.test(
    `uninstall --purge leaves Go's, Docker's, podman's and the administrator's objects (${backend})`,
    needsRoot,
    async (t) => {
      const node = newHost(t, { containers: 3 });
      configure(node, network("ours", 1, backend), "ours");
      configure(node, network("theirs", 2, "iptables"), "theirs", "0.4.0");
      node.sh(foreign);
      attach(node, 1, "theirs", { ...published(8081), CNI_PATH: goBin });
      const withoutOurs = traces(node);
      attach(node, 0, "ours", published(8080));
      node.sh("ip netns del NAME || true".replace("NAME", node.containers[2]?.name ?? ""));
      const withOurs = traces(node);

      t.match(
        purge(node),
        { status: 1, stderr: /1 containers have interfaces or files that twill has made.*\n?.*ours cnitool-/s },
        "it runs",
      );
      t.equal(traces(node), withOurs, "a refusal changes nothing");
      t.match(purge(node, "--force", "--dry-run"), {
        status: 0,
        stdout: /^would remove the attachment ours cnitool-\w+ eth0\n/,
      });
      t.equal(traces(node), withOurs, "--dry-run changes nothing");
      t.match(purge(node, "--network", "theirs"), { status: 0 }, "nothing of that network is twill's");
      t.equal(traces(node), withOurs);

      const done = purge(node, "--force");
      t.match(done, { status: 0, stdout: /^removed the attachment ours cnitool-\w+ eth0\n/, stderr: "" });
      const left = traces(node);
      t.notMatch(left, /10\.1\.0|8080|twill/);
      t.strictSame(linesLost(withoutOurs, left), [], "all that was there without ours is there");
      t.strictSame(linesLost(left, withOurs), [], "nothing was added");
      t.equal(node.containers[1]?.run("ping", "-c1", "-W2", "10.2.0.1").status, 0, "Go's container keeps its network");
      t.match(purge(node), { status: 0 }, "it can be repeated");
      t.equal(traces(node), left);
    },
  );
}

t.test("uninstall --purge removes what a dead container left, without --force", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  configure(node, network("ours", 1, "nftables"), "ours");
  attach(node, 0, "ours", published(8080));
  attach(node, 1, "ours", published(8081));
  node.sh(`for name in ${node.containers.map(({ name }) => name).join(" ")}; do ip netns del $name; done
    while ip -o link show type veth | grep -q .; do sleep 0.01; done
    rm /var/lib/cni/results/$(ls /var/lib/cni/results | head -1)`);
  t.match(purge(node, "--network", "ours"), {
    status: 0,
    stdout: /^(removed the attachment ours cnitool-\w+ eth0\n){2}/,
  });
  t.notMatch(traces(node), /10\.1\.0\.[23]\b|808[01]|cnitool-/);
  t.match(node.runInside(["find", "/var/lib/cni/networks", "-name", "10.*"], environment).stdout, /^$/);
});

/** An interface that leaves no link on the host, and rules that only twill makes. */
const withoutHostLink = [
  { type: "tap", ipam: { type: "host-local", ranges: [[{ subnet: "10.3.0.0/24" }]] } },
  { type: "portmap", backend: "nftables", capabilities: { portMappings: true } },
  { type: "firewall", backend: "nftables" },
];

for (const { title, plugins } of [
  { title: "a veth pair", plugins: network("ours", 1, "nftables") },
  { title: "an interface in the container alone", plugins: withoutHostLink },
]) {
  t.test(
    `uninstall --purge refuses for a container with ${title} whose runtime has its cache elsewhere`,
    needsRoot,
    async (t) => {
      const node = newHost(t);
      configure(node, plugins, "ours");
      attach(node, 0, "ours", published(8080));
      node.sh("mv /var/lib/cni/results /var/lib/elsewhere");
      const before = traces(node);
      const refused = purge(node, "--network", "ours");
      t.match(refused, {
        status: 1,
        stderr: /ours cnitool-\w+ eth0 \(no readable entry of a runtime names it: whether it runs is unknown\)/,
      });
      t.match(refused.stderr, /add --force/);
      t.equal(traces(node), before);
      t.match(purge(node, "--network", "ours", "--force"), {
        status: 0,
        stdout: /^removed the attachment ours cnitool-/,
      });
      t.notMatch(
        node.sh("nft -s list ruleset; find /var/lib/cni/networks -name '10.*'; ip -o link show type veth"),
        /10\.[13]\.0\.[2-9]|8080|veth/,
      );
    },
  );
}

t.test(
  "uninstall --purge: rules of a container that no runtime remembers go when it is shown to be gone",
  needsRoot,
  async (t) => {
    const node = newHost(t, { containers: 2 });
    configure(node, withoutHostLink, "taps");
    configure(node, network("ours", 1, "nftables"), "ours");
    attach(node, 0, "taps", published(8080));
    attach(node, 1, "ours", published(8081));
    node.sh(`for name in ${node.containers.map(({ name }) => name).join(" ")}; do ip netns del $name; done
    while ip -o link show type veth | grep -q .; do sleep 0.01; done
    rm -r /var/lib/cni/results
    ip link add theirs type veth peer name theirs1`);
    t.match(purge(node, "--network", "taps"), { status: 1, stderr: /taps .*unknown/ }, "its address is reserved");
    t.match(
      purge(node, "--network", "ours"),
      { status: 1, stderr: /ours .*unknown/ },
      "a veth without a mark may be its",
    );
    node.sh("rm /var/lib/cni/networks/taps/10.3.0.2; ip link delete theirs");
    t.match(purge(node, "--network", "taps"), { status: 0, stdout: /^removed the attachment taps / });
    t.match(purge(node, "--network", "ours"), { status: 0, stdout: /^removed the attachment ours / });
    t.notMatch(node.sh("nft -s list ruleset"), /10\.[13]\.0\.[2-9]|808/);
  },
);

t.test(
  "uninstall --purge: an address in the usual directory counts after the network got its own",
  needsRoot,
  async (t) => {
    const node = newHost(t);
    configure(node, withoutHostLink, "taps");
    attach(node, 0, "taps", published(8080));
    node.sh("mv /var/lib/cni/results /var/lib/elsewhere");
    const ipam = { ...withoutHostLink[0]?.ipam, dataDir: "/var/lib/other" };
    configure(node, [{ ...withoutHostLink[0], ipam }, ...withoutHostLink.slice(1)], "taps");
    t.match(purge(node, "--network", "taps"), { status: 1, stderr: /taps .*unknown/ });
  },
);

for (const { title, rule, table } of [
  {
    title: "a rule with a comment in the administrator's chain",
    rule: 'add rule inet twill_firewall CNI-ADMIN ip saddr 192.0.2.7 drop comment "mine"',
    table: "twill_firewall",
  },
  { title: "a policy", rule: "chain inet twill_firewall forward { policy drop; }", table: "twill_firewall" },
  {
    title: "a rule in a chain of the table",
    rule: "add rule ip twill_hostport output counter",
    table: "twill_hostport",
  },
  {
    title: "a chain",
    rule: "add chain ip twill_hostport mine { type filter hook input priority 0; }",
    table: "twill_hostport",
  },
]) {
  t.test(`uninstall --purge keeps the table of ${title}`, needsRoot, async (t) => {
    const node = newHost(t);
    configure(node, network("ours", 1, "nftables"), "ours");
    attach(node, 0, "ours", published(8080));
    node.sh(`nft '${rule}'`);
    const { status, stdout } = purge(node, "--force");
    t.equal(status, 0);
    t.match(stdout, `kept nftables' table ${table}: it has rules, chains or containers of others\n`);
    const left = node.sh("nft -s list ruleset");
    t.match(left, `${table} {`);
    t.notMatch(left, ["twill_firewall {", "twill_hostport {"].find((line) => !line.includes(table)) ?? "");
    t.notMatch(left, /10\.1\.0\.2|8080/, "the container's part is gone");
  });
}

t.test("uninstall --purge removes the entry in the cache that has it, as multus'", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, network("ours", 1, "nftables"), "ours");
  attach(node, 0, "ours", published(8080));
  node.sh("mkdir -p /var/lib/cni/multus && mv /var/lib/cni/results /var/lib/cni/multus/results");
  t.match(purge(node, "--force"), { status: 0, stderr: "" });
  t.equal(node.sh("ls /var/lib/cni/multus/results"), "");
});

t.test("uninstall --purge: a plugin is missing, or fails", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  configure(node, [...network("ours", 1, "nftables"), { type: "extra" }], "ours");
  const path = { CNI_PATH: `${ourBin}:/var/lib/extra` };
  node.sh(`mkdir /var/lib/extra && cp ${goBin}/tuning /var/lib/extra/extra`);
  const all = "nft -s list ruleset; ip -o link show type veth; find /var/lib/cni/networks -name '10.*'";
  attach(node, 0, "ours", { ...published(8080), ...path });
  node.sh("rm /var/lib/extra/extra");
  const missing = purge(node, "--force");
  t.match(missing, {
    status: 0,
    stderr: /^twill uninstall: ours cnitool-\w+ eth0: what a missing plugin made stays: /,
  });
  t.notMatch(node.sh(all), /10\.1\.0|8080|twill_|veth/);

  node.sh(`cp ${goBin}/tuning /var/lib/extra/extra`);
  attach(node, 1, "ours", { ...published(8080), ...path });
  node.sh("printf '#!/bin/sh\\nexit 1\\n' > /var/lib/extra/extra");
  const failed = node.runInside(["sh", "-c", ownRun, join(ourTools, "twill"), "uninstall", "--purge", "--force"], {
    ...environment,
    ...path,
  });
  t.match(failed, { status: 1, stderr: /could not remove the attachment ours / });
  t.match(failed.stderr, /^twill uninstall: kept \/var\/lib\/cni\/networks\/\.twill.*: attachments are left$/m);
  t.match(failed.stderr, /the plugins stay installed/);
  t.match(failed.stdout, /^(?!.*has put nothing on this node)/s, "files are not uninstalled");
  t.notMatch(node.sh(all), /10\.1\.0|8080|veth/, "what has marks goes all the same");
  node.sh("test -d /var/lib/cni/networks/.twill");
});

t.test("uninstall --purge keeps what a container of the same ID has in another network", needsRoot, async (t) => {
  const node = newHost(t);
  const checked = (name: string, number: number) =>
    network(name, number, "nftables").map((plugin) =>
      plugin.type === "bridge" ? { ...plugin, macspoofchk: true } : plugin,
    );
  configure(node, checked("dead", 1), "dead");
  configure(node, checked("living", 2), "living");
  attach(node, 0, "dead", published(8080));
  const name = node.containers[0]?.name ?? "";
  node.sh(`ip netns del ${name}
    while ip -o link show type veth | grep -q .; do sleep 0.01; done
    rm /var/lib/cni/results/dead-*`);
  t.equal(spawnSync("ip", ["netns", "add", name]).status, 0);
  attach(node, 0, "living", published(8081)); // cnitool makes the ID from the path
  const before = node.sh("nft -s list table bridge nat");
  t.match(before, /macspoofchk-cnitool-\w+-eth0/);
  t.match(purge(node, "--network", "dead"), { status: 0, stdout: /^removed the attachment dead cnitool-\w+ eth0\n/ });
  t.equal(node.sh("nft -s list table bridge nat"), before);
  t.match(node.sh("nft list ruleset"), /8081/);
  t.notMatch(node.sh("nft list ruleset"), /8080/);
});

t.test(
  "uninstall --purge refuses where a damaged file may be the entry of a container that runs",
  needsRoot,
  async (t) => {
    const node = newHost(t);
    configure(node, network("ours", 1, "nftables"), "ours");
    attach(node, 0, "ours", published(8080));
    node.sh(`set -- /var/lib/cni/results/*; : > $1
    ip link delete $(ip -o link show type veth | sed 's/^[0-9]*: //; s/@.*//')`);
    const before = traces(node);
    t.match(purge(node, "--network", "ours"), { status: 1, stderr: /eth0 \(.*whether it runs is unknown\)/ });
    t.equal(traces(node), before);
  },
);

t.test("uninstall --purge ends the resolver, which makes nothing again", needsRoot, async (t) => {
  const node = newHost(t);
  t.match(withRun(node, "network", "create", "front"), { status: 0 });
  t.match(withRun(node, "network", "connect", "front", node.containers[0]?.path ?? ""), { status: 0 });
  const listening = () => node.sh("ss -Hxl | grep resolver.sock || true");
  t.match(listening(), "/run/twill/resolver.sock");
  t.match(purge(node, "--network", "front", "--force"), { status: 0 });
  t.match(listening(), "/run/twill/resolver.sock", "which others' networks may need");
  t.match(purge(node, "--dry-run"), { stdout: "would remove the resolver on /run/twill/resolver.sock\n" });
  t.match(purge(node), { status: 0, stdout: /^removed the resolver on .*\n(.*\n)*removed \/run\/twill$/m });
  t.equal(listening(), "", "it has ended when the command returns");
  t.equal(node.sh("find /var/lib/run/twill 2> /dev/null || true"), "");
});

t.test("uninstall --purge and containers that were connected by macvlan", needsKernel("macvlan"), async (t) => {
  const node = newHost(t);
  node.sh("ip link add lan0 type veth peer name lan1; ip link set lan0 up; ip link set lan1 up");
  const says = (...args: string[]) => {
    const { status, stderr } = withRun(node, "network", ...args);
    t.equal(status, 0, stderr);
  };
  says("create", "-d", "macvlan", "--subnet", "192.0.2.0/24", "-o", "parent=lan0", "lan");
  says("connect", "lan", node.containers[0]?.path ?? "");
  const record = () => node.sh("find /var/lib/cni/twill/networks -name '*.json' 2>/dev/null || true");
  const before = record();
  t.match(before, /\.json/);
  t.match(purge(node), { status: 1, stderr: /lan \S+ eth0/ });
  t.equal(record(), before);
  t.match(node.containers[0]?.sh("ip -o link show"), "eth0");
  t.match(purge(node, "--network", "lan", "--force"), { status: 0, stdout: /^removed the attachment lan \S+ eth0\n/ });
  t.equal(record(), "");
  t.notMatch(node.containers[0]?.sh("ip -o link show"), "eth0");
});

/** Removes the directory while a command waits for its lock, and holds that of a new one until the command waits for it. */
const removedWhileAwaited = `
  directory=/var/lib/cni/twill
  has_open() { for fd in /proc/$command/fd/*; do [ "$(stat -L -c %i "$fd" 2> /dev/null)" = "$1" ] && return 0; done; return 1; }
  await() { while ! has_open "$1"; do kill -0 $command 2> /dev/null || { echo "did not wait"; exit 1; }; done; }
  exec 8< $directory; flock 8; old=$(stat -c %i $directory)
  "$TWILL" network create net 8<&- & command=$!
  await $old
  mv $directory $directory.old; mkdir $directory; exec 9< $directory; flock 9; rmdir $directory.old
  exec 8<&-
  await $(stat -c %i $directory); echo "waits for the new one"
  exec 9<&-; wait $command`;

t.test(
  "a command that waited while the directory of its lock was removed waits for the lock of the new one",
  needsRoot,
  async (t) => {
    const node = newHost(t);
    node.sh("mkdir -p /var/lib/cni/twill");
    const { status, stdout, stderr } = node.runInside(["sh", "-c", ownRun, "sh", "-c", removedWhileAwaited], {
      ...environment,
      TWILL: join(ourTools, "twill"),
    });
    t.strictSame({ status, stderr }, { status: 0, stderr: "" });
    t.match(stdout, /^waits for the new one\n[0-9a-f]{64}\n$/);
  },
);

t.test("uninstall --purge refuses while a command of twill run is there", needsRoot, async (t) => {
  const node = newHost(t);
  const stop = `p=$(sed 's/.*"process":"\\([0-9]*\\)".*/\\1/' /var/lib/run/twill/run/idle/container.json) && kill $p`;
  const ended = node.runInsideAtOnce(
    ["sh", "-c", ownRun, join(ourTools, "twill"), "run", "--name", "idle", "--network", "none", "sleep", "1000"],
    environment,
  );
  t.teardown(() => node.run("sh", "-c", stop));
  node.sh("while ! [ -s /var/lib/run/twill/run/idle/container.json ]; do sleep 0.01; done");
  t.match(purge(node), { status: 1, stderr: /twill run, idle/ });
  node.sh("test -s /var/lib/run/twill/run/idle/container.json");
  node.sh(stop);
  await ended;
  t.match(purge(node), { status: 0 });
});

t.test("uninstall --network without --purge is refused", needsRoot, async (t) => {
  const node = newHost(t);
  t.match(twill(node, "uninstall", "--network", "x"), { status: 1, stderr: /--network and --force are about --purge/ });
});
