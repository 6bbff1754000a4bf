// `twill uninstall --purge`: what twill made goes by its marks, and what others made stays byte for byte.
import t from "tap";
import { type Host, newHost } from "../lab/host.ts";
import { needsRoot } from "../lab/needs.ts";
import { goBin } from "../lab/project.ts";
import { attach, configure, environment, twill } from "./lab.ts";

const purge = (node: Host, ...args: string[]) => twill(node, "uninstall", "--purge", ...args);

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
    find /var/lib -type f ! -path '*/.twill/*' ! -name 'last_reserved_ip*' -exec cksum {} + | sort -k 3`);

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
      attach(node, 0, "ours", published(8080));
      node.sh("ip netns del NAME || true".replace("NAME", node.containers[2]?.name ?? ""));
      const withOurs = traces(node);

      t.match(
        purge(node),
        { status: 1, stderr: /1 containers have interfaces that twill has made.*\n?.*ours cnitool-/s },
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
      const expected = withOurs.split("\n").filter((line) => left.includes(line));
      for (const line of left.split("\n")) t.ok(expected.includes(line), line);
      for (const theirs of [
        /10\.2\.0\.2/,
        /8081/,
        /172\.17\.0\.2/,
        /netavark/,
        /I wrote this/,
        /mine/,
        /local-kv/,
        /veth1234567/,
      ])
        t.match(left, theirs);
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

t.test("uninstall --network without --purge is refused", needsRoot, async (t) => {
  const node = newHost(t);
  t.match(twill(node, "uninstall", "--network", "x"), { status: 1, stderr: /--network and --force are about --purge/ });
});
