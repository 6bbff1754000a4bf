// Debian's podman with the Go plugins and with ours: the same commands show the same.
import t from "tap";
import { inLongRunOnly, needsRoot } from "../lab/needs.ts";
import { cgroup, newPodman } from "./podman.ts";
import { compare, type Step, withoutIds } from "./sides.ts";

/** The commands of the steps. A container's host name is its name, so that `ask` shows who answers. */
const commands = `${withoutIds}
  start() { name=$1; shift; podman run -d ${cgroup} --name $name --hostname $name "$@" localhost/image:1 > /dev/null; }
  ask() { echo "$1: $(curl -s --max-time 60 --retry 60 --retry-delay 1 --retry-connrefused http://$1/etc/hostname)"; }
  ask_once() { echo "$1: $(curl -s --max-time 1 http://$1/etc/hostname || echo nobody)"; }
  name() { for i in $(seq 50); do said=$(podman exec $1 nslookup -type=a $2 $3 | grep -A 1 ^Name || true); [ -z "$said" ] || break; sleep 0.1; done; echo "\${said:-$2: nobody}"; }
  no_name() { for i in $(seq 50); do said=$(podman exec $1 nslookup $2 $3 2>&1 | grep -o NXDOMAIN | head -1 || true); [ -z "$said" ] || break; sleep 0.1; done; echo "$2: \${said:-answered}"; }
  addresses() { podman exec $1 ip address show $2 | awk '/inet|link\\/ether/ { print $1, $2 }'; }
  inspect() { podman inspect --format '{{json .NetworkSettings.Networks}}' $1 | jq -S .; }`;

const steps: readonly Step[] = [
  {
    claim: "networks of all kinds are made, and listed",
    script: `
      ip link add up0 type veth peer name up1 && ip link set up0 up && ip link set up1 up
      podman network create --subnet 10.10.1.0/24 n1
      podman network create --subnet 10.10.2.0/24 --ipv6 --subnet fd00:2::/64 n2
      podman network create --disable-dns --internal --subnet 10.10.3.0/24 --ip-range 10.10.3.128/25 --opt mtu=1300 n3
      podman network create -d macvlan -o parent=up0 --subnet 10.10.4.0/24 n4
      podman network ls --format '{{.Name}} {{.Driver}}' | sort
      jq -r '.plugins[].type' /etc/cni/net.d/n1.conflist`,
    shown: /n1 bridge\nn2 bridge\nn3 bridge\nn4 macvlan\npodman bridge\nbridge\nportmap\nfirewall\ntuning\ndnsname$/,
  },
  {
    claim: "a container has the address and the MAC that it is given",
    script: `
      start a --network n1 --ip 10.10.1.50 --mac-address 02:11:22:33:44:55 --network-alias web -p 127.0.0.1:8080:80 -p 5000-5001:5000-5001/udp
      addresses a eth0; podman exec a ip route; inspect a`,
    shown: /^link\/ether 02:11:22:33:44:55\ninet 10\.10\.1\.50\/24/,
  },
  {
    claim: "two networks, one by the name of the interface that was asked for, with both families",
    script: `
      start b --network n2:ip=10.10.2.77,ip=fd00:2::77,mac=02:11:00:00:00:77,interface_name=net7 --network n1 -p 8081:80
      addresses b net7; addresses b eth0; podman exec b ip route | sort; podman exec b ip -6 route | grep -v ^fe80 | sort; inspect b`,
    shown: /inet 10\.10\.2\.77\/24\ninet6 fd00:2::77\/64/,
  },
  {
    claim: "an internal network has no way out, and the MTU that it is given",
    script: `
      start c --network n3
      podman exec c ip route; podman exec c ip link show eth0 | grep -o 'mtu [0-9]*'; podman exec c ping -c 1 -w 1 10.10.1.1 2>&1 | tail -1; inspect c`,
    shown: /mtu 1300/,
  },
  {
    claim: "macvlan has no bridge and no port of the host",
    script: "start d --network n4 --ip 10.10.4.9; addresses d eth0; podman exec d ip route; inspect d",
    shown: /inet 10\.10\.4\.9\/24/,
  },
  {
    claim: "published ports answer where they are published, from host and container",
    script: `
      ask 127.0.0.1:8080; ask_once 10.10.1.1:8080; ask 127.0.0.1:8081; ask 10.10.2.1:8081; ask_once '[fd00:2::1]:8081'
      podman exec a nc -w 60 10.10.1.1 8081 < /dev/null | head -1
      podman port a | sort; podman port b`,
    shown: /^127\.0\.0\.1:8080: a\n10\.10\.1\.1:8080: nobody\n127\.0\.0\.1:8081: b\n10\.10\.2\.1:8081: b\n/,
  },
  {
    claim: "names and aliases are answered",
    script: "for name in web b; do name a $name; done; podman exec a cat /etc/resolv.conf | grep -v '^options'",
    shown: /^Name:\tweb\.dns\.podman\nAddress: 10\.10\.1\.50\nName:\tb\.dns\.podman\nAddress: 10\.10\.1\.51\n/,
  },
  {
    claim: "a name goes with its container, and is the next one's that has it",
    script: `
      start e --network n1 --network-alias temporary; name a e; name a temporary
      podman rm -f -t 0 e > /dev/null; no_name a e.dns.podman; no_name a temporary.dns.podman
      start e --network n1; name a e; podman rm -f -t 0 e > /dev/null; no_name a e.dns.podman`,
    shown:
      /^Name:\te\.dns\.podman\n.*\nName:\ttemporary\.dns\.podman\n.*\ne\.dns\.podman: NXDOMAIN\ntemporary\.dns\.podman: NXDOMAIN\nName:\te\.dns/,
  },
  {
    claim: "containers of two bridges reach each other, as podman's networks have it",
    script: "podman exec a ping -c 1 -w 60 10.10.2.77 | grep -o '. packets received'",
  },
  {
    claim: "connect and disconnect",
    script: `
      podman network connect --ip 10.10.2.140 --alias al2 n2 a
      addresses a eth1; ask 10.10.2.140; name b al2 10.10.2.1; podman network disconnect n2 a; ask_once 10.10.2.140; no_name b al2.dns.podman 10.10.2.1
      podman exec a ip -o link show | awk '{ print $2 }'`,
    shown:
      /10\.10\.2\.140: a\nName:\tal2\nAddress: 10\.10\.2\.140\n10\.10\.2\.140: nobody\nal2\.dns\.podman: NXDOMAIN\n/,
  },
  {
    claim: "restart, and stop and start, keep addresses asked for, ports and names",
    script: `
      podman restart -t 0 a b > /dev/null; ask 127.0.0.1:8080; ask 127.0.0.1:8081; addresses a eth0; name b web 10.10.1.1
      podman stop -t 0 a > /dev/null; ask_once 127.0.0.1:8080; podman start a > /dev/null; ask 127.0.0.1:8080; addresses b net7`,
    shown: /^127\.0\.0\.1:8080: a\n127\.0\.0\.1:8081: b\n[\s\S]*\nName:\tweb\nAddress: 10\.10\.1\.50\n/,
  },
  {
    claim: "after a flush of the firewall podman network reload brings ports back",
    script: `
      nft flush ruleset; ask_once 127.0.0.1:8080
      podman network reload --all > /dev/null; ask 127.0.0.1:8080; ask 10.10.2.1:8081; addresses a eth0; addresses b net7`,
    shown: /^127\.0\.0\.1:8080: nobody\n127\.0\.0\.1:8080: a\n10\.10\.2\.1:8081: b\n/,
  },
  {
    claim: "an address that is taken is refused",
    script:
      "start x --network n1 --ip 10.10.1.50 2> /run/refused || echo $?; grep -c 10.10.1.50 /run/refused; podman rm -f x > /dev/null",
    shown: /^126\n1/,
  },
  {
    claim: "a pod's containers share its network",
    script: `
      podman pod create ${cgroup} --infra-image localhost/image:1 --infra-command "/bin/sleep 100000" --name p --network n1 -p 8082:80 > /dev/null
      podman run -d --pod p --name in-pod localhost/image:1 > /dev/null
      curl -s --max-time 60 --retry 60 --retry-delay 1 --retry-connrefused -o /dev/null -w '%{http_code}' http://127.0.0.1:8082/etc/hostname || true; podman pod rm -f -t 0 p > /dev/null`,
    shown: /^200$/,
  },
  {
    claim:
      "rules of running containers, but for those that say whose an address is, and that of podman's dnsname (docs/plugins/dnsname.md, No rule in INPUT)",
    script:
      "{ iptables -t nat -S; iptables -S; nft list tables; } | grep -v -e '-j RETURN' -e 'CNI-.*-OWNERS' -e '-A INPUT .*--dport 53 -j ACCEPT' | without_ids | sort",
  },
  {
    claim: "nothing is left when all containers are gone",
    script: `
      podman rm -f -t 0 -a > /dev/null
      find /var/lib/cni/results /run/netns -type f; find /var/lib/cni/networks -type f | grep -E '/[0-9.]+$|/[0-9a-f:]+$' || true
      ip -o link show type veth | grep -v up[01] || true; iptables -t nat -S | grep 10.10 || true; iptables -S | grep 10.10 || true
      podman network rm n1 n2 n3 n4 > /dev/null; ip -br link show type bridge`,
  },
];

t.test("podman shows the same with the Go plugins and with ours", inLongRunOnly(needsRoot), async (t) => {
  const [go, ours] = await Promise.all([newPodman(t, "go"), newPodman(t, "ours")]);
  await compare(t, { go, ours }, commands, steps);
});

const atOnce: readonly Step[] = [
  {
    claim: "thirty containers that start and end at once all have their address and port",
    script: `
      podman network create --subnet 10.10.1.0/24 n1 > /dev/null
      for i in $(seq 30); do start many$i --network n1 -p $((9000 + i)):80 & done; wait
      for i in $(seq 30); do ask 127.0.0.1:$((9000 + i)); done
      for i in $(seq 30); do podman inspect --format '{{.NetworkSettings.Networks.n1.IPAddress}}' many$i; done | sort -u | wc -l
      for i in $(seq 30); do podman rm -f -t 0 many$i > /dev/null & done; wait
      for i in $(seq 30); do ask_once 127.0.0.1:$((9000 + i)); done`,
    shown: /127\.0\.0\.1:9030: many30\n30\n127\.0\.0\.1:9001: nobody/,
  },
];

t.test("podman: thirty containers at once, with the Go plugins and with ours", inLongRunOnly(needsRoot), async (t) => {
  const [go, ours] = await Promise.all([newPodman(t, "go"), newPodman(t, "ours")]);
  await compare(t, { go, ours }, commands, atOnce);
});
