// Who is measured, and with which networks.
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { goBin, ourBin } from "../e2e/lab/project.ts";
import { compile } from "./launcher.ts";
import { type Contender, chainName, type Netconf, type Node } from "./node.ts";

export type Contenders = Record<"twill" | "Go" | "C", Contender>;

export const contenders = (): Contenders => ({ twill: { bin: ourBin }, Go: { bin: goBin }, C: floor() });

/** Ours with the switch that lets DEL return before the kernel's wait is over. */
export const deletingFast = ({ bin }: Contender): Contender => ({
  bin,
  environment: () => ({ TWILL_FAST_DEL: "1" }),
});

export type Masquerade = "none" | "iptables" | "nftables" | "default";

const BRIDGE = "cni0";
const GATEWAY = "10.88.0.1";
const SUBNET = "10.88.0.0/16";

/** The usual network: gateway on the bridge, default route, addresses from host-local. */
export function bridgeConf(masquerade: Masquerade): Netconf {
  return {
    ...hostLocalConf("bench"),
    bridge: BRIDGE,
    isDefaultGateway: true,
    ...(masquerade !== "none" && { ipMasq: true }),
    ...((masquerade === "iptables" || masquerade === "nftables") && { ipMasqBackend: masquerade }),
  };
}

export function hostLocalConf(name: string): Netconf {
  return {
    cniVersion: "1.0.0",
    name,
    type: "bridge",
    ipam: { type: "host-local", ranges: [[{ subnet: SUBNET }]] },
  };
}

/** Where host-local keeps a network's reservations, as the host sees it. */
export const reservations = ({ host }: Node, network: string): string => join(host.varLib, "cni/networks", network);

/** The C program, as `bridge` and `host-local`. @see floor.c, which describes its environment */
function floor(): Contender {
  compile("floor.c", "floor/host-local");
  return {
    bin: dirname(compile("floor.c", "floor/bridge")),
    environment: ({ name, ipMasq, ipMasqBackend = "iptables" }, containerId) => ({
      FLOOR_BRIDGE: BRIDGE,
      FLOOR_GATEWAY: GATEWAY,
      FLOOR_DATA: `/var/lib/cni/networks/${name}`,
      FLOOR_CHAIN: chainName(containerId),
      ...(ipMasq === true && { FLOOR_MASQUERADE: String(ipMasqBackend) }),
    }),
  };
}

/** Makes what the C program expects: what a plugin's first ADD leaves on a host. */
export function prepareForFloor(node: Node, masquerade: Masquerade): void {
  mkdirSync(reservations(node, "bench"), { recursive: true });
  node.host.sh(`
    ip link add ${BRIDGE} type bridge
    ip address add ${GATEWAY}/16 dev ${BRIDGE}
    ip link set ${BRIDGE} address 0e:00:0a:58:00:01 up
    echo 1 > /proc/sys/net/ipv4/ip_forward`);
  if (masquerade === "nftables") node.host.sh(`nft '${nftChains}'`);
  else if (masquerade !== "none") node.host.sh(iptablesChain);
}

const nftChains = `
  table inet cni_plugins_masquerade {
    chain masq_checks { }
    chain postrouting {
      type nat hook postrouting priority 100; policy accept;
      ip daddr 224.0.0.0/4 return
      ip6 daddr ff00::/8 return
      goto masq_checks
    }
  }`;

/** iptables makes a table's chain with the first rule in it. */
const iptablesChain = "iptables -t nat -A POSTROUTING -j RETURN && iptables -t nat -D POSTROUTING -j RETURN";
