import { type Address, isIPv4 } from "../../../pkg/ip/address.ts";
import type { FamilyName } from "../../../pkg/ip/family.ts";
import { enableForwarding } from "../../../pkg/link/sysctl.ts";
import type { Network } from "../../cnitool/lint/lint-file.ts";
import { isRouted, subnetsOf } from "./configured-network.ts";
import type { Check, Observation } from "./finding.ts";

const families: readonly { family: FamilyName; title: string; setting: string; isUsed(network: Network): boolean }[] = [
  { family: "ipv4", title: "IPv4", setting: "ipv4/ip_forward", isUsed: (network) => hasSubnet(network, isIPv4) },
  {
    family: "ipv6",
    title: "IPv6",
    setting: "ipv6/conf/all/forwarding",
    isUsed: (network) => hasSubnet(network, (address) => !isIPv4(address)),
  },
];

/** A network whose subnets are not in its configuration counts as one of IPv4. */
function hasSubnet(network: Network, isOfFamily: (address: Address) => boolean): boolean {
  const subnets = subnetsOf(network);
  return subnets.length === 0 ? isOfFamily(ANY_IPV4) : subnets.some(({ address }) => isOfFamily(address));
}
const ANY_IPV4 = new Uint8Array(4);

export const forwarding: Check = {
  id: "forwarding",
  about: "forwarding of IPv4 and IPv6, where the host is the gateway of running containers",
  severity: "error",
  find: (node) =>
    families.flatMap(({ isUsed, ...family }): Observation[] => {
      const routed = new Set(
        node.networks
          .filter(isRouted)
          .filter(isUsed)
          .map(({ name }) => name),
      );
      const alive = node.cache.attachments.filter(
        ({ entry, state }) => state === "alive" && routed.has(entry.networkName),
      );
      const names = [...new Set(alive.map(({ entry }) => entry.networkName))];
      if (names.length === 0 || node.sysctl(family.setting) !== "0") return [];
      return [observationOf(family, names, alive.length)];
    }),
};

function observationOf(
  { family, title, setting }: Omit<(typeof families)[number], "isUsed">,
  networks: readonly string[],
  containers: number,
): Observation {
  const name = `net.${setting.replaceAll("/", ".")}`;
  return {
    text: `the host does not forward ${title}, and is the gateway of ${containers} running attachments`,
    evidence: [`${name} is 0`, `networks: ${networks.join(", ")}`],
    remedy: `sysctl -w ${name}=1, and find what sets it to 0: look in /etc/sysctl.conf and /etc/sysctl.d`,
    fix: { text: `set ${name} to 1`, run: () => enableForwarding(family) },
  };
}
