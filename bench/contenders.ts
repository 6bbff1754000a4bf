// Who is measured, and with which networks.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { goBin, ourBin, projectRoot } from "../e2e/lab/project.ts";
import { compile } from "./launcher.ts";
import { type Contender, chainName, type Netconf, type Node } from "./node.ts";

export type Contenders = Record<"twill" | "Go" | "C", Contender> & { earlier?: Contender };

/** @param earlier Folder of the plugins of an earlier build of ours. */
export const contenders = (earlier?: string): Contenders => ({
  twill: { bin: copied(ourBin, "twill") },
  Go: { bin: copied(goBin, "Go") },
  C: floor(),
  ...(earlier !== undefined && { earlier: { bin: copied(earlier, "earlier") } }),
});

/** Ours, now and before, and Go's: those who can do everything, with their names. */
export function pluginsOf({ twill, earlier, Go }: Contenders): [who: "twill" | "earlier" | "Go", Contender][] {
  return [["twill", twill], ...(earlier ? [["earlier", earlier] as ["earlier", Contender]] : []), ["Go", Go]];
}

/**
 * A copy of a folder of executables, names for one file still one file. Everybody's is made by `cp`: how a file was written decides
 * how large the pieces are in which the page cache holds it, and a file as the build leaves it starts up to a third slower.
 */
function copied(folder: string, name: string): string {
  const copy = join(projectRoot, "dist/bench/contenders", name);
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(dirname(copy), { recursive: true });
  execFileSync("cp", ["-a", folder, copy]);
  return copy;
}

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

/** The C program, under the names of the plugins that it stands for. @see floor.c, which describes its environment */
function floor(): Contender {
  for (const name of ["host-local", "macvlan", "host-device"]) compile("floor.c", `floor/${name}`);
  return {
    bin: dirname(compile("floor.c", "floor/bridge")),
    environment: ({ name, ipMasq, ipMasqBackend = "iptables", master, device }, containerId) => ({
      FLOOR_PARENT: String(master ?? device ?? ""),
      FLOOR_BRIDGE: BRIDGE,
      FLOOR_GATEWAY: GATEWAY,
      FLOOR_DATA: `/var/lib/cni/networks/${name}`,
      FLOOR_CHAIN: chainName(containerId),
      ...(ipMasq === true && { FLOOR_MASQUERADE: String(ipMasqBackend) }),
    }),
  };
}

/** Makes where the C program keeps its reservations. */
export function prepareReservations(node: Node): void {
  mkdirSync(reservations(node, "bench"), { recursive: true });
}

/** Makes what the C program expects as bridge: what a plugin's first ADD leaves on a host. */
export function prepareForFloor(node: Node, masquerade: Masquerade): void {
  prepareReservations(node);
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
