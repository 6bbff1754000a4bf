// Debian's containerd with the Go plugins and with ours: the same calls of its CRI service, as kubelet makes them, show the same.
import t from "tap";
import { inLongRunOnly, needsRoot } from "../lab/needs.ts";
import { newContainerd } from "./containerd.ts";
import { compare, type Step, withoutIds } from "./sides.ts";

/** The commands of the steps. A pod's first process prints the pod's host name on port 80; IDs are kept by name. */
const commands = `${withoutIds}
  cri() { node e2e/runtimes/cri.mjs "$@"; }
  id() { cat /run/pods/$1; }
  start() { mkdir -p /run/pods; name=$1; shift; cri run $name $1 /$(basename $(cat /run/cgroup)) $2 $3 > /run/pods/$name; }
  process() { ctr -n k8s.io tasks list | awk -v id=$(id $1) '$1 == id { print $2 }'; }
  within() { pid=$(process $1); shift; nsenter --net --target $pid "$@"; }
  answer() { socat -T 5 - TCP:10.10.1.1:$1,connect-timeout=5 < /dev/null 2> /dev/null || true; }
  ask() { for i in $(seq 100); do said=$(answer $1); [ -z "$said" ] || break; sleep 0.1; done; echo "$1: $said"; }
  ask_once() { said=$(answer $1); echo "$1: \${said:-nobody}"; }
  remove_failed() { for failed in $(cri list | awk '{ print $1 }'); do cri remove $failed; done; }
  network() { until cri status | grep -q "NetworkReady $1"; do sleep 0.1; done; }
  traces() {
    { find /var/lib/cni/results -type f | grep -v cni-loopback; find /run/netns -type f
    find /var/lib/cni/networks -type f | grep -E '/[0-9.]+$'; ip -o link show type veth; ip -o link show type ifb
    iptables -t nat -S | grep 10.10; iptables -S | grep 10.10; } || true
  }`;

const steps: readonly Step[] = [
  {
    claim: "the node's network is ready",
    script: "cri status",
    shown: /^RuntimeReady true\nNetworkReady true$/,
  },
  {
    claim: "a pod has an address, routes, a loopback and a host port",
    script: `
      start a 8080; cri address $(id a)
      within a ip -brief address show | sort; within a ip route; within a ip -o link show eth0 | grep -o 'mtu [0-9]*'; ask 8080
      jq -S 'del(.config) | .cniArgs |= sort' /var/lib/cni/results/pods-$(id a)-eth0 | grep -v K8S_POD_UID`,
    shown: /^10\.10\.1\.2\neth0@PEER +UP +10\.10\.1\.2\/24 LINK-LOCAL\/64\nlo +UNKNOWN +127\.0\.0\.1\/8/,
  },
  {
    claim: "a host port that another pod has",
    script:
      "start b 8080 2> /run/refused && echo started || grep -o 'port 8080/tcp is held' /run/refused; ask 8080; [ ! -s /run/pods/b ] || cri remove $(id b)",
    shown: /^started\n/,
    differs: {
      page: "docs/plugins/portmap.md",
      heading: "A port that is taken is refused",
      ours: /^port 8080\/tcp is held\n8080: a$/,
    },
  },
  {
    claim: "bandwidth of annotations",
    script: `
      start slow 8081 kubernetes.io/ingress-bandwidth=10M kubernetes.io/egress-bandwidth=5M
      tc qdisc show | grep tbf | sed -E 's/qdisc tbf [0-9a-f]+: dev (veth|bwp)[0-9a-f]+ root refcnt [0-9]+/\\1/' | sort; ask 8081`,
    shown: /bwp rate 5Mbit .*\nveth rate 10Mbit .*\n8081: slow/,
    differs: {
      page: "docs/plugins/bandwidth.md",
      heading: "A burst that has no room is cut, not taken modulo 2^32",
      ours: /^bwp rate 5Mbit burst 171798691b lat 25ms\nveth rate 10Mbit burst 343597382b lat 25ms\n8081: slow$/,
    },
  },
  {
    claim: "pods outlive the daemon, and end after it",
    script: `
      kill -9 $(pidof containerd); setsid containerd -c /run/containerd.toml > /run/containerd.log 2>&1 < /dev/null &
      until ctr version > /dev/null 2>&1; do sleep 0.1; done
      ask 8080; cri stop $(id a); ask_once 8080; cri address $(id slow)`,
    shown: /^8080: a\n8080: nobody\n/,
  },
  {
    claim: "stop and remove can be repeated",
    script:
      "for i in 1 2; do cri stop $(id slow); done; for i in 1 2; do cri remove $(id slow); cri remove $(id a); done; echo done",
    shown: /^done$/,
  },
  {
    claim: "rules and links while a pod runs, but for those that say whose an address is",
    script: `
      rm -f /run/pods/*; for id in $(ctr -n k8s.io containers list -q); do cri remove $id; done
      start c 8082; ask 8082
      { iptables -t nat -S; iptables -S; } | grep -v -e '-j RETURN' -e 'CNI-.*-OWNERS' | without_ids | sort
      ip -brief address show pods0; cri remove $(id c)`,
    shown: /^8082: c\n/,
  },
  {
    claim: "fifty pods in a row leave nothing",
    script: `for i in $(seq 50); do start row 8083; ask 8083; cri remove $(id row); done | sort | uniq -c; traces`,
    shown: /^50 8083: row$/,
  },
  {
    claim: "without a network the node is not ready, and is again when there is one",
    script: `
      mv /etc/cni/net.d/10-pods.conflist /run; network false; cri status
      start d 8084 2>&1 || true
      mv /run/10-pods.conflist /etc/cni/net.d; network true; remove_failed
      start d2 8084; ask 8084; cri remove $(id d2)`,
    shown: /NetworkReady false NetworkPluginNotReady .*cni plugin not initialized\n.*\n8084: d2$/,
  },
  {
    claim: "a network with a plugin that is not installed: the pod is refused, and leaves nothing",
    script: `
      mv /etc/cni/net.d/10-pods.conflist /run; network false
      sed 's/"type":"firewall"/"type":"nowhere"/' /run/10-pods.conflist > /etc/cni/net.d/10-pods.conflist; network true
      start e 8085 2>&1 | sed 's/.*sandbox "ID"//' || true
      rm /etc/cni/net.d/10-pods.conflist; network false; mv /run/10-pods.conflist /etc/cni/net.d; network true
      remove_failed
      start e2 8085; ask 8085; cri remove $(id e2); traces`,
    shown: /failed to find plugin \\?"nowhere\\?" in path \[\/opt\/cni\/bin\]\n8085: e2$/,
  },
];

t.test("containerd shows the same with the Go plugins and with ours", inLongRunOnly(needsRoot), async (t) => {
  const [go, ours] = await Promise.all([newContainerd(t, "go"), newContainerd(t, "ours")]);
  await compare(t, { go, ours }, commands, steps);
});
