// An interface in the container as a main plugin leaves it, made by `ip`: what tests of chained plugins begin with.
import type { Container, Host } from "./host.ts";

/** 192.168.1.209/24 and fd00:9::209/64, a default route each, and a route of the neighbourhood. Its other end is there as well. The kernel adds the IPv6 address's local route some time after "up". */
export const interfaceByHand = `
ip link add net1 address 02:00:00:00:09:01 type veth peer name far address 02:00:00:00:09:02
ip address add 192.168.1.209/24 dev net1
ip address add fd00:9::209/64 dev net1
ip link set net1 up
ip link set far up
ip route add default via 192.168.1.1 dev net1
ip route add 192.0.2.0/24 via 192.168.1.9 dev net1 metric 50
ip route add default via fd00:9::1 dev net1
until ip -6 route show table local dev net1 | grep -q fd00:9::209; do sleep 0.01; done`;

/** What that plugin answered. */
export const resultByHand = {
  cniVersion: "1.1.0",
  interfaces: [{ name: "net1" }],
  ips: [
    { address: "192.168.1.209/24", gateway: "192.168.1.1", interface: 0 },
    { address: "fd00:9::209/64", gateway: "fd00:9::1", interface: 0 },
  ],
  routes: [{ dst: "0.0.0.0/0" }, { dst: "192.0.2.0/24", gw: "192.168.1.9" }, { dst: "::/0" }],
};

/** The first container of the host, with it. */
export function containerWith(node: Host, script = interfaceByHand): Container {
  const container = node.containers[0];
  if (container === undefined) throw new Error("a host without a container");
  container.sh(script);
  return container;
}

/** Lines that a command prints, without blanks around them. */
export const lines = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

/** Routes of both families in a table, without those of the other end. */
export const routesIn = ({ sh }: Container, table: number | string): string[] =>
  lines(sh(`for f in -4 -6; do ip $f route show table ${table} 2>/dev/null || true; done`)).filter(
    (line) => !line.includes(" dev far"),
  );

/** Rules for some packets only. */
export const ownRules = ({ sh }: Container): string[] =>
  lines(sh("ip rule; ip -6 rule")).filter((rule) => !/^\d+:\s+from all/.test(rule));
