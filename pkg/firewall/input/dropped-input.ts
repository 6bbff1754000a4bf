/** Finds the firewalls of this host that drop what others send to one of its UDP ports. */

import { type Address, isIPv4 } from "../../ip/address.ts";
import type { Connection } from "../../netlink/connection.ts";
import { NF_INET_LOCAL_IN } from "../../netlink/nftables/chain.ts";
import { type Family, familyOf } from "../family.ts";
import { usesLegacy } from "../iptables/host.ts";
import { type BaseChain, enteredIfDropped, legacyBaseChains, nftablesBaseChains } from "./base-chains.ts";

/** What other hosts send to this one. */
export interface ExpectedInput {
  inInterface: { name: string; index: number };
  /** The hosts that send; empty: any may. */
  sources: readonly Address[];
  /** This host's address. */
  destination: Address;
  port: number;
}

export interface DroppedInput {
  /** The firewall, such as "firewalld (zone public)". */
  by: string;
  /** The commands that let the packets in, now and after the next start. */
  command: string;
}

/** The most hosts for which the rules are evaluated one by one. */
const MOST_SOURCES = 100;

/** @throws NetlinkError the kernel refuses to tell its rules */
export function droppedInput(netfilter: Connection, expected: ExpectedInput): DroppedInput[] {
  const family = familyOf(expected.destination);
  const bases = [...nftablesBaseChains(netfilter, family, NF_INET_LOCAL_IN), ...legacyBaseChains(family, "INPUT")];
  return bases.flatMap((base) => {
    const { port: destinationPort, ...packet } = expected;
    const entered = sourcesOf(expected)
      .map((source) => enteredIfDropped(base, { ...packet, destinationPort, source, family }))
      .find((chains) => chains !== undefined);
    if (entered === undefined) return [];
    const { titleOf, commandFor } = firewallOf(base, family);
    return [{ by: titleOf(entered), command: commandFor({ family, ...expected }, entered) }];
  });
}

function sourcesOf({ sources, destination }: ExpectedInput): (Address | undefined)[] {
  const known = sources.filter((source) => isIPv4(source) === isIPv4(destination)).slice(0, MOST_SOURCES);
  return known.length > 0 ? known : [undefined];
}

/** What a firewall is called, and how it is opened. */
interface Firewall {
  /** @param entered The chains of the table to which the packet came. */
  titleOf(entered: ReadonlySet<string>): string;
  commandFor(to: Opening, entered: ReadonlySet<string>): string;
}

interface Opening extends ExpectedInput {
  family: Family;
}

function firewallOf({ isLegacy, table, name, place }: BaseChain, family: Family): Firewall {
  if (isLegacy) return iptables(family, usesLegacy(family) ? undefined : `${family}tables-legacy`);
  if (table === "firewalld") return firewalld;
  return table === "filter" && name === "INPUT" ? iptables(family) : nftables(place);
}

const nftables = (place: string): Firewall => ({
  titleOf: () => `nftables (chain ${place})`,
  commandFor: ({ inInterface, port }) =>
    `nft insert rule ${place} iifname "${inInterface.name}" udp dport ${port} accept, and the same rule in the file that is loaded at boot (/etc/nftables.conf)`,
});

// --- firewalld, ufw ----------------------------------------------------------------------------------------------------------------------

const firewalld: Firewall = {
  titleOf(entered) {
    const zone = zoneOf(entered);
    return zone === undefined ? "firewalld" : `firewalld (zone ${zone})`;
  },
  commandFor({ port }, entered) {
    const zone = zoneOf(entered);
    const add = `${zone === undefined ? "" : `--zone=${zone} `}--add-port=${port}/udp`;
    return `firewall-cmd ${add} && firewall-cmd --permanent ${add}`;
  },
};

/** Returns the zone whose chain the packet has entered, as `filter_IN_public`, `IN_public` with firewalld's iptables backend. */
function zoneOf(entered: ReadonlySet<string>): string | undefined {
  const zones = [...entered].flatMap((chain) => /^(?:filter_)?IN_(.+)$/.exec(chain)?.[1] ?? []);
  const whole = zones.filter((name) => !/^policy_|_(pre|log|deny|allow|post)$/.test(name));
  return whole.length === 1 ? whole[0] : undefined;
}

/** A chain of ufw that INPUT jumps to. */
const UFW_CHAIN = /^ufw6?-before-input$/;

// --- iptables ----------------------------------------------------------------------------------------------------------------------------

/** @param program The iptables to use, if it is not the one in PATH. */
function iptables(family: Family, program = `${family}tables`): Firewall {
  const isFirewalld = (entered: ReadonlySet<string>) => entered.has("INPUT_ZONES") || zoneOf(entered) !== undefined;
  return {
    titleOf(entered) {
      if (isFirewalld(entered)) return firewalld.titleOf(entered);
      return [...entered].some((chain) => UFW_CHAIN.test(chain)) ? "ufw" : `${program} (chain INPUT)`;
    },
    commandFor(to, entered) {
      const { inInterface, port } = to;
      if (isFirewalld(entered)) return firewalld.commandFor(to, entered);
      if ([...entered].some((chain) => UFW_CHAIN.test(chain)))
        return `ufw allow in on ${inInterface.name} to any port ${port} proto udp`;
      return `${program} -I INPUT -i ${inInterface.name} -p udp --dport ${port} -j ACCEPT, and save the rules so that they are loaded at boot (netfilter-persistent save, or service ${family}tables save)`;
    },
  };
}
