// Debian's podman for a user without rights, with the Go plugins and with ours: the same commands show the same.
import t from "tap";
import { inLongRunOnly, needsRoot } from "../lab/needs.ts";
import { IMAGE } from "./node.ts";
import { newRootlessPodman, USER } from "./podman.ts";
import { compare, type Step, withoutIds } from "./sides.ts";

/** A container's host name is its name, so that `ask` shows who answers. */
const commands = `${withoutIds}
  start() { name=$1; shift; podman run -d --name $name --hostname $name "$@" localhost/image:1 > /dev/null; }
  ask() { echo "$1: $(curl -s --max-time 60 --retry 60 --retry-delay 1 --retry-all-errors http://$1/etc/hostname)"; }
  addresses() { podman exec $1 ip address show $2 | awk '/inet|link\\/ether/ { print $1, $2 }'; }
  inspect() { podman inspect --format '{{json .NetworkSettings.Networks}}' $1 | jq -S .; }
  inside() { podman unshare --rootless-netns "$@"; }`;

const steps: readonly Step[] = [
  {
    claim: "the user has no rights, and podman calls CNI plugins",
    script: `
      id -u; podman info --format '{{.Host.Security.Rootless}} {{.Host.NetworkBackend}}'
      podman import --change 'CMD ["/bin/httpd","-f","-p","80","-h","/"]' ${IMAGE}.tar localhost/image:1 > /dev/null 2>&1`,
    shown: new RegExp(`^${USER}\ntrue cni$`),
  },
  {
    claim: "networks are made in the user's own folder",
    script: `
      podman network create --subnet 10.10.1.0/24 n1
      podman network create --subnet 10.10.2.0/24 --ipv6 --subnet fd00:2::/64 n2
      podman network create --disable-dns --internal --subnet 10.10.3.0/24 n3
      (cd .config/cni/net.d && ls *.conflist && jq -r '.plugins[].type' n1.conflist)`,
    shown: /n1\.conflist\nn2\.conflist\nn3\.conflist\nbridge\nportmap\nfirewall\ntuning\ndnsname$/,
  },
  {
    claim: "a container has the address and the MAC that it is given, and its port is published",
    script: `
      start a --network n1 --ip 10.10.1.50 --mac-address 02:11:22:33:44:55 --network-alias web -p 127.0.0.1:8080:80
      addresses a eth0; podman exec a ip route; inspect a; ask 127.0.0.1:8080`,
    shown: /^link\/ether 02:11:22:33:44:55\ninet 10\.10\.1\.50\/24[\s\S]*127\.0\.0\.1:8080: a$/,
  },
  {
    claim: "two networks, with both families",
    script: `
      start b --network n2:ip=10.10.2.77,ip=fd00:2::77,mac=02:11:00:00:00:77,interface_name=net7 --network n1 -p 8081:80
      addresses b net7; addresses b eth0; podman exec b ip route | sort; inspect b; ask 127.0.0.1:8081`,
    shown: /inet 10\.10\.2\.77\/24\ninet6 fd00:2::77\/64/,
  },
  {
    claim: "names and aliases are answered, and containers reach each other",
    script: `
      for name in web b; do podman exec a nslookup $name | grep -A 1 ^Name; done
      podman exec a ping -c 1 -w 60 10.10.2.77 | grep -o '. packets received'`,
    shown:
      /^Name:\tweb\.dns\.podman\nAddress: 10\.10\.1\.50\nName:\tb\.dns\.podman\nAddress: 10\.10\.1\.51\n1 packets received$/,
  },
  {
    claim: "the way out leads over slirp4netns, and an internal network has none",
    script: `
      start c --network n3
      podman exec c ip route; podman exec a ping -c 1 -w 60 10.0.2.2 | grep -o '. packets received'
      inside ip -br link show type bridge | awk '{ print $1 }'; inside iptables -t nat -S | grep -c MASQUERADE`,
  },
  {
    claim: "connect and disconnect, restart",
    script: `
      podman network connect --ip 10.10.2.140 n2 a; addresses a eth1; podman network disconnect n2 a
      podman exec a ip -o link show | awk '{ print $2 }'
      podman restart -t 0 a b > /dev/null; ask 127.0.0.1:8080; ask 127.0.0.1:8081; addresses a eth0; addresses b net7`,
    shown: /inet 10\.10\.2\.140\/24/,
  },
  {
    claim: "an address that is taken is refused",
    script:
      "start x --network n1 --ip 10.10.1.50 2> refused || echo $?; grep -c 10.10.1.50 refused; podman rm -f x > /dev/null",
    shown: /^126\n1/,
  },
  {
    claim: "nothing is left when all containers are gone",
    script: `
      podman rm -f -t 0 a b > /dev/null
      inside sh -c 'ls /var/lib/cni/results | wc -l; find /var/lib/cni/networks -type f | grep -cE "/10[0-9.]+$|/fd00"; ip -br link show type veth | wc -l; iptables -t nat -S | grep 10.10.1' || true
      podman rm -f -t 0 c > /dev/null; podman network rm n1 n2 n3 > /dev/null; ls .config/cni/net.d; ls /run/user/${USER}/netns | wc -l`,
  },
];

t.test(
  "podman without rights shows the same with the Go plugins and with ours",
  inLongRunOnly(needsRoot),
  async (t) => {
    const [go, ours] = await Promise.all([newRootlessPodman(t, "go"), newRootlessPodman(t, "ours")]);
    await compare(t, { go, ours }, commands, steps);
  },
);

t.test(
  "podman without rights: twill restores its rules and finds its containers alive",
  inLongRunOnly(needsRoot),
  async (t) => {
    const { type } = await newRootlessPodman(t, "ours");
    const show = async (script: string) => {
      const { status, stdout, stderr } = await type(`${commands}\n${script}`);
      t.equal(status, 0, `${script}: ${stderr}`);
      return stdout.trim();
    };
    await show(`
    podman import -q --change 'CMD ["/bin/httpd","-f","-p","80","-h","/"]' ${IMAGE}.tar localhost/image:1
    podman network create --subnet 10.10.1.0/24 n1 && start a --network n1`);
    t.match(await show("inside /mnt/dist/bin/cnitool list"), /\bn1 .* alive$/m);
    t.equal(
      await show("inside nft flush ruleset; podman exec a ping -c 1 -W 1 10.0.2.2 > /dev/null || echo lost"),
      "lost",
    );
    t.match(await show("inside /mnt/dist/bin/twill reload"), /changes made\n1 attachments/);
    t.match(await show("podman exec a ping -c 1 -w 60 10.0.2.2"), "1 packets received");
    t.equal(await show("inside /mnt/dist/bin/twill gc"), "");
    t.equal(await show("podman rm -f -t 0 a > /dev/null; inside /mnt/dist/bin/cnitool list"), "no attachments");
  },
);
