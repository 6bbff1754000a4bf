// The rules of port mappings in iptables: one chain for each container and network, to which packets to its host ports jump.
//
//   -A POSTROUTING … -j CNI-HOSTPORT-MASQ                          first: the masquerade of bridge and ptp would accept these packets
//   -A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
//   -A CNI-HOSTPORT-SETMARK … -j MARK --set-xmark 0x2000/0x2000
//   -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT     and OUTPUT
//   -A CNI-HOSTPORT-DNAT … -p tcp -m multiport --dports 8080,8081 -j CNI-DN-2bbe0c48b91a7d1b8a675
//   -A CNI-DN-2bbe0c48b91a7d1b8a675 -s 10.22.0.0/16 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
//   -A CNI-DN-2bbe0c48b91a7d1b8a675 -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
//   -A CNI-DN-2bbe0c48b91a7d1b8a675 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.22.0.5:80
//   -A CNI-DN-2bbe0c48b91a7d1b8a675 -s 10.22.0.5/32 -m comment --comment "name: \"podnet\" id: \"3f2a\" if: \"eth0\"" -j RETURN
//
// Source: containernetworking/plugins, plugins/meta/portmap, which makes all of these rules but the last (../iptables/address-owner.ts):
// either set of plugins checks and deletes what the other made. The position differs in one case: the entry of a mapping for one address of
// the host comes before entries for all addresses, since the first entry that matches wins.

import type { AttachmentId } from "../../cni/attachment-id.ts";
import type { Prefix } from "../../ip/address.ts";
import { encode } from "../../sys/text.ts";
import type { Family } from "../family.ts";
import type { Chain, Rule } from "../iptables/rule.ts";
import type { Wanted } from "../iptables/ruleset.ts";
import { destinationPorts, dnatTo, LOCAL_ADDRESS, type Match, sctpDestination } from "../iptables/xtables.ts";
import { chainName } from "../upstream-names.ts";
import { conditionsOf } from "./iptables-conditions.ts";
import { type MappingSet, mappingsFor, type PortMapping, PROTOCOL_NUMBERS } from "./port-mapping.ts";

type Container = Omit<AttachmentId, "ifName">;

export const DNAT = "CNI-HOSTPORT-DNAT";
const SET_MARK = "CNI-HOSTPORT-SETMARK";
const MASQUERADE = "CNI-HOSTPORT-MASQ";
/** Old releases of the reference plugin had a second chain for each container, `CNI-SN-…`, entered from here. */
export const OLD_SNAT = "CNI-HOSTPORT-SNAT";
export const oldSnatChain = (family: Family, container: Container): Chain => nat(family, chainName(container, "SN-"));

export const nat = (family: Family, chain: string): Chain => ({ family, table: "nat", chain });
export const portChain = (family: Family, container: Container): Chain => nat(family, chainName(container, "DN-"));

const comment = (text: string): Match => ({ name: "comment", text });

// --- Wanted rules ------------------------------------------------------------------------------------------------------------------------

/** Returns the rules that all containers of the family share. */
export function sharedRules({ family, snat, mark, externalSetMarkChain }: MappingSet): Wanted[] {
  const local: Rule = { matches: [{ name: "addrtype", destinations: LOCAL_ADDRESS }], target: { jump: DNAT } };
  return [
    ...(snat && externalSetMarkChain === undefined ? markRules(family, mark) : []),
    { ...nat(family, DNAT), rules: [] },
    { ...nat(family, "PREROUTING"), rules: [local] },
    { ...nat(family, "OUTPUT"), rules: [local] },
  ];
}

function markRules(family: Family, mark: number): Wanted[] {
  const set: Rule = {
    matches: [comment("CNI portfwd masquerade mark")],
    target: { name: "MARK", value: mark, mask: mark },
  };
  const masquerade: Rule = { matches: [{ name: "mark", value: mark, mask: mark }], target: { name: "MASQUERADE" } };
  const jump: Rule = { matches: [comment("CNI portfwd requiring masquerade")], target: { jump: MASQUERADE } };
  return [
    { ...nat(family, SET_MARK), rules: [set] },
    { ...nat(family, MASQUERADE), rules: [masquerade] },
    { ...nat(family, "POSTROUTING"), rules: [jump], at: "first" },
  ];
}

/** Returns the rules of the container's own chain, mapping by mapping. */
export const portRules = (mappingSet: MappingSet): Rule[] =>
  mappingsFor(mappingSet).flatMap((mapping) => rulesOf(mappingSet, mapping));

/** Returns the rules of one mapping. Marks come before the DNAT rule, which ends the evaluation. */
export function rulesOf(mappingSet: MappingSet, mapping: PortMapping): Rule[] {
  const { snat, container } = mappingSet;
  const sources = snat ? markedSources(mappingSet) : [];
  const target = { jump: mappingSet.externalSetMarkChain ?? SET_MARK };
  const base = {
    protocol: PROTOCOL_NUMBERS[mapping.protocol],
    ...destinationOf(mapping),
    matches: [portMatch(mapping)],
  };
  return [
    ...sources.map((source): Rule => ({ ...base, source, target })),
    { ...base, target: dnatTo(container.address, mapping.containerPort) },
  ];
}

const LOCALHOST: Prefix = { address: Uint8Array.of(127, 0, 0, 1), length: 32 };

function markedSources({ family, container, masqAll }: MappingSet): Prefix[] {
  if (masqAll) return [{ address: container.address, length: 0 }];
  return family === "ip" ? [container, LOCALHOST] : [container];
}

function destinationOf({ hostIp }: PortMapping): Pick<Rule, "destination"> {
  return hostIp === undefined ? {} : { destination: { address: hostIp, length: 8 * hostIp.length } };
}

function portMatch({ protocol, hostPort }: PortMapping): Match {
  return protocol === "sctp" ? sctpDestination(hostPort) : { name: protocol, destinations: [hostPort, hostPort] };
}

/** A rule that jumps to the container's chain, and the ports that it matches. */
export interface Entry {
  rule: Rule;
  ports: readonly PortMapping[];
}

/** The number of ports that fit into one match. */
const MULTIPORT_MAX = 15;

/**
 * Returns the entries by protocol in alphabetical order, as the reference plugin has them. Like there, they also match ports that are
 * mapped only in the other family, for which the chain has no rule.
 */
export function entriesOf({ owner, mappings, conditions }: MappingSet): Entry[] {
  const text = comment(entryComment(owner));
  const target = { jump: chainName(owner, "DN-") };
  const more = conditionsOf(conditions);
  const protocols = [...new Set(mappings.map(({ protocol }) => protocol))].sort();
  return protocols.flatMap((protocol) =>
    chunksOf(mappings.filter((mapping) => mapping.protocol === protocol)).map((ports): Entry => {
      const matches = [text, destinationPorts(ports.map(({ hostPort }) => hostPort))];
      return { rule: { ...more, protocol: PROTOCOL_NUMBERS[protocol], matches, target }, ports };
    }),
  );
}

function chunksOf(mappings: readonly PortMapping[]): PortMapping[][] {
  return Array.from({ length: Math.ceil(mappings.length / MULTIPORT_MAX) }, (_, i) =>
    mappings.slice(i * MULTIPORT_MAX, (i + 1) * MULTIPORT_MAX),
  );
}

const COMMENT_MAX = 255;

export function entryComment({ network, containerId }: Container): string {
  const text = `dnat name: "${network}" id: "${containerId}"`;
  return encode(text).length <= COMMENT_MAX ? text : `${text.slice(0, COMMENT_MAX - 3)}...`;
}

/** Reports whether an entry's comment, which may be cut, is of an attachment to the network. */
export const isEntryOfNetwork = (comment: string, network: string): boolean =>
  comment.startsWith(`dnat name: "${network}" id: "`);

/** Returns the container that an entry's comment names; undefined for a comment of another form, or one that was cut. */
export function ownerIn(comment: string): Container | undefined {
  const [, network, containerId] = /^dnat name: "(.*)" id: "([^"]*)"$/.exec(comment) ?? [];
  return network === undefined || containerId === undefined ? undefined : { network, containerId };
}
