import { FAMILIES } from "../../../pkg/firewall/family.ts";
import {
  type BaseChain,
  enteredIfDropped,
  legacyBaseChains,
  nftablesBaseChains,
} from "../../../pkg/firewall/input/base-chains.ts";
import { usesLegacy } from "../../../pkg/firewall/iptables/host.ts";
import { formatAddress } from "../../../pkg/ip/address.ts";
import { connect, NETLINK_NETFILTER } from "../../../pkg/netlink/connection.ts";
import { NF_INET_FORWARD } from "../../../pkg/netlink/nftables/chain.ts";
import type { Network } from "../../cnitool/lint/lint-file.ts";
import { hasFirewall, isRouted, subnetTextOf } from "./configured-network.ts";
import type { Check, Observation } from "./finding.ts";
import { type Sample, samplesOf } from "./traffic-sample.ts";

export const forwardPolicy: Check = {
  id: "forward-policy",
  about: "firewalls that drop what containers send through the host: a policy of drop, or a rule",
  severity: "warning",
  find(node) {
    const sampled = node.networks
      .filter(isRouted)
      .map((network) => ({ network, samples: samplesOf(network, node) }))
      .filter(({ samples }) => samples.length > 0);
    if (sampled.length === 0) return [];
    return forwardChains().flatMap(({ family, base }) =>
      sampled.flatMap(({ network, samples }) =>
        samples
          .filter((sample) => sample.family === family)
          .flatMap((sample) => droppedBy(base, sample, network))
          .slice(0, 1),
      ),
    );
  },
};

/** Returns the chains that every forwarded packet passes, of each family. */
export function forwardChains(): { family: "ip" | "ip6"; base: BaseChain }[] {
  const netfilter = connect(NETLINK_NETFILTER);
  return FAMILIES.flatMap((family) =>
    [...nftablesBaseChains(netfilter, family, NF_INET_FORWARD), ...legacyBaseChains(family, "FORWARD")].map((base) => ({
      family,
      base,
    })),
  );
}

function droppedBy(base: BaseChain, sample: Sample, network: Network): Observation[] {
  const entered = enteredIfDropped(base, sample);
  return entered === undefined ? [] : [observationOf(base, sample, entered, network)];
}

export const titleOf = ({ place, isLegacy }: BaseChain): string =>
  `chain ${place}${isLegacy ? " of legacy iptables" : ""}`;

function observationOf(base: BaseChain, sample: Sample, entered: ReadonlySet<string>, network: Network): Observation {
  const { source, inInterface, outInterface } = sample;
  const chain = titleOf(base);
  const others = [...entered].filter((one) => one !== base.name);
  const open = `accept its traffic in ${chain} (${openingCommand(base, sample)})`;
  return {
    text: `${chain} drops what containers of network "${network.name}" send through this host`,
    evidence: [
      `${network.file}: ${subnetTextOf(network)}`,
      `a packet from ${source && formatAddress(source)}, in through ${inInterface.name}, out through ${outInterface?.name || "any link"}; the policy is ${base.policy}${others.length > 0 ? `; chains: ${others.join(", ")}` : ""}`,
    ],
    remedy: hasFirewall(network)
      ? `find the rule that drops it, or ${open}`
      : `add {"type": "firewall"} to the plugins of the network, and create its containers again; or ${open}`,
  };
}

function openingCommand({ isLegacy, table, name, place }: BaseChain, { family, inInterface }: Sample): string {
  if (!isLegacy && table !== "filter") return `nft insert rule ${place} iifname ${inInterface.name} accept`;
  const program = isLegacy && !usesLegacy(family) ? `${family}tables-legacy` : `${family}tables`;
  return `${program} -I ${name} -i ${inInterface.name} -j ACCEPT`;
}
