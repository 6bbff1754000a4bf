// The rules of the reference plugin in nftables: one for each mapping in table cni_hostport, whose comment is only the container's ID.
// They are checked, deleted and respected here; twill's own form is in nftables-table.ts.

import type { Address } from "../../ip/address.ts";
import type { Connection, Request } from "../../netlink/connection.ts";
import { decode } from "../../netlink/message.ts";
import type { Expression } from "../../netlink/nftables/expression.ts";
import { ruleMessage } from "../../netlink/nftables/rule.ts";
import { FAMILIES, type Family, nfproto } from "../family.ts";
import { type ChainRef, commentOf, deleteRule, existing, findRules, handleOf } from "../nftables/ruleset.ts";
import { edit } from "../nftables/transaction.ts";
import type { ConflictPolicy, Removed } from "./port-conflict.ts";
import { type HostPort, type MappingSet, mappingsFor, type PortMapping, protocolOf } from "./port-mapping.ts";

const TABLE = "cni_hostport";
const place = (family: Family, chain: string): ChainRef => ({ family: nfproto[family], table: TABLE, chain });
/** The chains of mappings: old releases have those for single addresses in the second one. */
const PORT_CHAINS = ["hostports", "hostip_hostports"];
const CHAINS = [...PORT_CHAINS, "masquerading"];

interface GoRule extends HostPort {
  place: ChainRef;
  handle: bigint;
  containerId: string;
  address: Address | undefined;
}

function portRules(netfilter: Connection, family: Family): GoRule[] {
  const chains = PORT_CHAINS.map((chain) => place(family, chain));
  const there = existing(netfilter, chains.slice(0, 1))[0] === true ? chains : [];
  return there.flatMap((chain) =>
    findRules(netfilter, chain).flatMap((body) => {
      const port = portOf(decode(ruleMessage, body).expressions ?? []);
      return port === undefined
        ? []
        : [{ ...port, place: chain, handle: handleOf(body), containerId: commentOf(body) }];
    }),
  );
}

/** Decodes `[ip daddr A] tcp dport N dnat to B:M` from its comparisons and values in order; returns undefined for any other rule. */
function portOf(parts: readonly Expression[]): (HostPort & { address: Address | undefined }) | undefined {
  const compared = parts.flatMap((part) =>
    part.name === "cmp" && part.data?.data?.value ? [part.data.data.value] : [],
  );
  const put = parts.flatMap((part) =>
    part.name === "immediate" && part.data?.data?.value ? [part.data.data.value] : [],
  );
  const [port, protocol, hostIp] = compared.reverse();
  const known = protocolOf(protocol?.[0]);
  if (known === undefined || port?.length !== 2 || !parts.some(({ name }) => name === "nat")) return undefined;
  return { protocol: known, hostPort: ((port[0] ?? 0) << 8) | (port[1] ?? 0), hostIp, address: put[0] };
}

const sameAddress = (one: Address | undefined, other: Address | undefined): boolean => String(one) === String(other);

/** Returns the deletions that a publication needs first: rules of containers that are gone, and of the container itself. */
export function evictFromUpstream(
  netfilter: Connection,
  mappingSet: MappingSet,
  conflictPolicy: ConflictPolicy,
  skipped: Set<PortMapping>,
): Request[] {
  const wanted = mappingsFor(mappingSet);
  return portRules(netfilter, mappingSet.family).flatMap((rule) => {
    const mapping = wanted.find(
      (one) => one.protocol === rule.protocol && one.hostPort === rule.hostPort && sameAddress(one.hostIp, rule.hostIp),
    );
    if (mapping === undefined) return [];
    const decision = conflictPolicy(mappingSet, rule, {
      network: undefined,
      containerId: rule.containerId,
      address: rule.address,
    });
    const isOwn = decision === "keep" && sameAddress(rule.address, mappingSet.container.address);
    if (decision === "keep" && !isOwn) skipped.add(mapping);
    return decision === "replace" || isOwn ? [deleteRule(rule.place, rule.handle)] : [];
  });
}

/** Reports whether every mapping of the container has a rule that leads to its address. */
export function isMappedByUpstream(netfilter: Connection, { owner, family, container, ...more }: MappingSet): boolean {
  const own = portRules(netfilter, family).filter(
    ({ containerId, address }) => containerId === owner.containerId && sameAddress(address, container.address),
  );
  return mappingsFor({ family, ...more }).every((one) =>
    own.some(
      (rule) =>
        rule.protocol === one.protocol && rule.hostPort === one.hostPort && sameAddress(rule.hostIp, one.hostIp),
    ),
  );
}

/** Deletes all rules of the container, as the reference plugin does: they do not name their network. @returns its mappings */
export function deleteFromUpstream(netfilter: Connection, containerId: string): Removed[] {
  const there = existing(
    netfilter,
    FAMILIES.map((family) => place(family, "hostports")),
  );
  const families = FAMILIES.filter((_, i) => there[i]);
  if (families.length === 0) return [];
  const removed = families.flatMap((family) =>
    portRules(netfilter, family)
      .filter((rule) => rule.containerId === containerId)
      .map((rule) => ({ ...rule, family })),
  );
  const places = families.flatMap((family) => CHAINS.map((chain) => place(family, chain)));
  const plan = () => ({ requests: places.flatMap((chain) => deletions(netfilter, chain, containerId)) });
  edit(netfilter, plan, { bound: false });
  return removed;
}

const deletions = (netfilter: Connection, chain: ChainRef, containerId: string): Request[] =>
  findRules(netfilter, chain, containerId)
    .filter((body) => commentOf(body) === containerId)
    .map((body) => deleteRule(chain, handleOf(body)));
