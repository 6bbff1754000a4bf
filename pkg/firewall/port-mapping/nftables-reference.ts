// What the reference plugin makes in nftables: a rule for each mapping in table cni_hostport, whose comment is the container's ID and nothing else.
// It is checked, deleted and respected here; ours has another form, nftables-frame.ts.
import type { Address } from "../../ip/address.ts";
import type { Connection, Request } from "../../netlink/connection.ts";
import { decode } from "../../netlink/message.ts";
import type { Expression } from "../../netlink/nftables/expression.ts";
import { ruleMessage } from "../../netlink/nftables/rule.ts";
import { nfproto } from "../iptables/encode.ts";
import type { Family } from "../iptables/extension.ts";
import { FAMILIES } from "../iptables.ts";
import {
  commentOf,
  committed,
  DELETE_ATTEMPTS,
  deleteRule,
  existing,
  findRules,
  handleOf,
  holds,
  type Place,
} from "../nftables.ts";
import { type HostPort, mappingsFor, type PortMapping, type Publication, protocolOf } from "./publication.ts";
import type { Occupied, Removed } from "./rival.ts";

const TABLE = "cni_hostport";
const place = (family: Family, chain: string): Place => ({ family: nfproto[family], table: TABLE, chain });
/** The first has the mappings, the second those for single addresses, of old releases. */
const PORT_CHAINS = ["hostports", "hostip_hostports"];
const CHAINS = [...PORT_CHAINS, "masquerading"];

interface GoRule extends HostPort {
  place: Place;
  handle: bigint;
  containerId: string;
  address: Address | undefined;
}

function portRules(netfilter: Connection, family: Family): GoRule[] {
  const chains = PORT_CHAINS.map((chain) => place(family, chain));
  const there = existing(netfilter, chains.slice(0, 1))[0] === true ? chains : [];
  return there.flatMap((chain) =>
    findRules(netfilter, chain, () => true).flatMap((body) => {
      const port = portOf(decode(ruleMessage, body).expressions ?? []);
      return port === undefined
        ? []
        : [{ ...port, place: chain, handle: handleOf(body), containerId: commentOf(body) }];
    }),
  );
}

/** `[ip daddr A] tcp dport N dnat to B:M`, from its comparisons and values in order. undefined for another rule. */
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

/** What has to go before a publication: rules of containers that are gone, and of the container itself. */
export function makeWayInReference(
  netfilter: Connection,
  publication: Publication,
  occupied: Occupied,
  skipped: Set<PortMapping>,
): Request[] {
  const wanted = mappingsFor(publication);
  return portRules(netfilter, publication.family).flatMap((rule) => {
    const mapping = wanted.find(
      (one) => one.protocol === rule.protocol && one.hostPort === rule.hostPort && sameAddress(one.hostIp, rule.hostIp),
    );
    if (mapping === undefined) return [];
    const verdict = occupied(publication, rule, {
      network: undefined,
      containerId: rule.containerId,
      address: rule.address,
    });
    const isOwn = verdict === "same" && sameAddress(rule.address, publication.container.address);
    if (verdict === "same" && !isOwn) skipped.add(mapping);
    return verdict === "dead" || isOwn ? [deleteRule(rule.place, rule.handle)] : [];
  });
}

/** Whether as many mappings lead to the container's address as it has. */
export function isPublishedByReference(
  netfilter: Connection,
  { owner, family, container, ...more }: Publication,
): boolean {
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

/** Deletes all rules of the container, as the reference plugin does: they tell nothing of networks. @returns its mappings */
export function unpublishInReference(netfilter: Connection, containerId: string): Removed[] {
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
  for (let attempt = 1; ; attempt++) {
    const requests = families.flatMap((family) =>
      CHAINS.flatMap((chain) => deletions(netfilter, place(family, chain), containerId)),
    );
    if (committed(netfilter, requests, { ifNot: attempt < DELETE_ATTEMPTS ? ["ENOENT"] : [] })) return removed;
  }
}

const deletions = (netfilter: Connection, chain: Place, containerId: string): Request[] =>
  findRules(netfilter, chain, (text) => holds(text, containerId))
    .filter((body) => commentOf(body) === containerId)
    .map((body) => deleteRule(chain, handleOf(body)));
