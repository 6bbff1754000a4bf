// Port mappings through nftables: adds, checks and deletes the elements of its maps and sets, and finds port conflicts. The table is in
// nftables-table.ts.

import { equal } from "../../bytes/equal.ts";
import type { AttachmentId } from "../../cni/attachment-id.ts";
import { type Address, formatPrefix, networkOf, type Prefix } from "../../ip/address.ts";
import type { Connection, Request } from "../../netlink/connection.ts";
import type { SetElement } from "../../netlink/nftables/element.ts";
import { lazy } from "../../sys/lazy.ts";
import { ADDRESS_LENGTH, FAMILIES } from "../family.ts";
import { encodeAddress } from "../nftables/match.ts";
import {
  type ChainRef,
  commentOf,
  deleteChain,
  deleteRule,
  existing,
  expressionsOf,
  findRules,
  handleOf,
  listChains,
  newChain,
  newRule,
} from "../nftables/ruleset.ts";
import {
  addElements,
  deleteElements,
  deviatingElements,
  type Elements,
  findElement,
  MANY,
  presentElements,
  type SetRef,
} from "../nftables/set.ts";
import { type Attempt, commit, edit } from "../nftables/transaction.ts";
import { masqueradeId, networkId } from "../upstream-names.ts";
import { commentFor, ownerIn } from "./attachment-comment.ts";
import { portComments, portsIn } from "./attachment-record.ts";
import { conditionalRules } from "./nftables-conditions.ts";
import {
  createTable,
  isComplete,
  masqueradedNetworks,
  newNetworkMasquerade,
  type PortmapTable,
  RECORD,
  TABLES,
  tableChains,
} from "./nftables-table.ts";
import { evictFromUpstream, isMappedByUpstream } from "./nftables-upstream.ts";
import type { ConflictPolicy, Removed } from "./port-conflict.ts";
import {
  type HostPort,
  type MappingSet,
  mappingsFor,
  type PortMapping,
  PROTOCOL_NUMBERS,
  type Protocol,
} from "./port-mapping.ts";

// --- Wanted elements ---------------------------------------------------------------------------------------------------------------------

/** The elements and rules of one publication. */
interface Wanted {
  table: PortmapTable;
  record: ChainRef;
  comment: string;
  mappings: readonly PortMapping[];
  hostports: Elements<PortMapping>;
  hostipHostports: Elements<PortMapping>;
  /** The set that gets the container's address. */
  masquerade: SetRef | undefined;
  container: Prefix;
  /** The rules that replace the elements where there are conditions. */
  rules: readonly Uint8Array[];
}

/** Returns what an attachment should have. @param skipped The mappings that another network of the same container has. */
function desiredOf(mappingSet: MappingSet, skipped: ReadonlySet<PortMapping>): Wanted {
  const { family, owner, container, snat, masqAll, conditions } = mappingSet;
  const table = TABLES[family];
  const published = mappingsFor(mappingSet);
  const all = skipped.size === 0 ? published : published.filter((mapping) => !skipped.has(mapping));
  const mappings = conditions.length === 0 ? all : [];
  const forAll = mappings.filter(({ hostIp }) => hostIp === undefined);
  return {
    table,
    record: recordOf(table, owner),
    comment: commentFor(owner),
    mappings,
    hostports: elementsOf(container, forAll),
    hostipHostports: addressElementsOf(
      container,
      mappings.filter(({ hostIp }) => hostIp !== undefined),
    ),
    masquerade: !snat ? undefined : masqAll ? table.masqueradeAll : table.hairpin,
    container,
    rules: conditions.length === 0 ? [] : conditionalRules(mappingSet),
  };
}

const recordOf = ({ tableRef }: PortmapTable, owner: AttachmentId): ChainRef => ({
  ...tableRef,
  chain: RECORD + masqueradeId(owner),
});

/** The length of a key without address: protocol and port take 4 bytes each. An address precedes them. */
const PORT_KEY_LENGTH = 8;

function keyOf({ hostIp, protocol, hostPort }: HostPort): Uint8Array {
  const key = new Uint8Array((hostIp?.length ?? 0) + PORT_KEY_LENGTH);
  if (hostIp !== undefined) key.set(hostIp);
  writePort(key, hostIp?.length ?? 0, protocol, hostPort);
  return key;
}

function writePort(bytes: Uint8Array, at: number, protocol: Protocol, port: number): void {
  bytes[at] = PROTOCOL_NUMBERS[protocol];
  bytes[at + 4] = port >> 8;
  bytes[at + 5] = port & 0xff;
}

/** Returns the value of a mapping in a map: address and port, the port padded to 4 bytes. */
function dataOf({ address }: Prefix, containerPort: number): Uint8Array {
  const data = new Uint8Array(address.length + 4);
  data.set(address);
  data[address.length] = containerPort >> 8;
  data[address.length + 1] = containerPort & 0xff;
  return data;
}

/** Returns the elements of mappings for all addresses of the host. */
function elementsOf(container: Prefix, items: readonly PortMapping[]): Elements<PortMapping> {
  const portAt = container.address.length;
  return {
    items,
    model: { key: new Uint8Array(PORT_KEY_LENGTH), data: dataOf(container, 0) },
    write({ protocol, hostPort, containerPort }, bytes, keyAt, dataAt) {
      writePort(bytes, keyAt, protocol, hostPort);
      bytes[dataAt + portAt] = containerPort >> 8;
      bytes[dataAt + portAt + 1] = containerPort & 0xff;
    },
  };
}

/** Returns the elements of mappings for single addresses of the host. */
function addressElementsOf(container: Prefix, items: readonly PortMapping[]): Elements<PortMapping> {
  const length = container.address.length;
  const { model, write } = elementsOf(container, items);
  return {
    items,
    model: { ...model, key: new Uint8Array(length + PORT_KEY_LENGTH) },
    write(mapping, bytes, keyAt, dataAt) {
      bytes.set(mapping.hostIp ?? [], keyAt);
      write(mapping, bytes, keyAt + length, dataAt);
    },
  };
}

/** Returns the map of a port, and its key there. */
const placeOf = ({ hostports, hostipHostports }: PortmapTable, port: HostPort): { place: SetRef; key: Uint8Array } => ({
  place: port.hostIp === undefined ? hostports : hostipHostports,
  key: keyOf(port),
});

// --- Publishing --------------------------------------------------------------------------------------------------------------------------

/**
 * Publishes the ports of all families in one transaction. What the attachment has already is replaced.
 *
 * @throws CniError of `conflictPolicy`
 */
export function addByNftables(
  netfilter: Connection,
  mappingSets: readonly MappingSet[],
  conflictPolicy: ConflictPolicy,
): void {
  const plan = ({ conflicts }: Attempt) => {
    const skipped = new Set<PortMapping>();
    const published = new Set<MappingSet>();
    const shared = mappingSets.flatMap((one) => [
      ...ensureTableRequests(netfilter, one),
      ...evictFromUpstream(netfilter, one, conflictPolicy, skipped),
      ...(conflicts > 0 || isRepeated(netfilter, one)
        ? evictStaleHolders(netfilter, one, conflictPolicy, { skipped, published })
        : []),
    ]);
    const own = mappingSets.filter((one) => !published.has(one)).flatMap((one) => additions(desiredOf(one, skipped)));
    return { requests: [...shared, ...own], shared };
  };
  edit(netfilter, plan, {
    bound: ({ shared }) => shared.length > 0, // what is the attachment's own is added on the condition that it is new
    lastUnbound: false, // by then a port that was a dead attachment's may be a living one's
  });
}

/**
 * Reports whether to read what is there before the first conflict. A conflict is rare, and where few elements are refused it costs less
 * than the look; with many ports the look for the attachment's record costs nothing.
 */
const isRepeated = (netfilter: Connection, { family, owner, mappings }: MappingSet): boolean =>
  mappings.length >= MANY && existing(netfilter, [recordOf(TABLES[family], owner)])[0] === true;

/** Publishes again what is missing, except for ports that another attachment has by now. */
export function restoreByNftables(netfilter: Connection, mappingSets: readonly MappingSet[]): void {
  for (const mappingSet of mappingSets) {
    if (deviationInNftables(netfilter, [mappingSet]) === undefined) continue;
    const [skipped, published] = [new Set<PortMapping>(), new Set<MappingSet>()];
    const removals = evictStaleHolders(netfilter, mappingSet, () => "keep", { skipped, published });
    const requests = [
      ...ensureTableRequests(netfilter, mappingSet),
      ...removals,
      ...(published.has(mappingSet) ? [] : additions(desiredOf(mappingSet, skipped))),
    ];
    commit(netfilter, requests);
  }
}

/** Returns the requests for the missing parts of the table, its chains and the rule of the container's network. */
function ensureTableRequests(netfilter: Connection, { family, mark, snat, masqAll, container }: MappingSet): Request[] {
  const table = TABLES[family];
  const rules = tableChains(table).flatMap((chain) => findRules(netfilter, chain));
  const isThere = isComplete(rules, mark);
  const networks = new Set(masqueradedNetworks(rules));
  const own = snat && !masqAll ? [formatPrefix(networkOf(container))] : [];
  if (isThere)
    return own.filter((network) => !networks.has(network)).map((network) => newNetworkMasquerade(table, network));
  return [
    ...createTable(table, mark),
    ...[...new Set([...networks, ...own])].map((network) => newNetworkMasquerade(table, network)),
  ];
}

/** Returns the requests for the attachment's own objects, on the condition that all of them are new. */
export function additions(wanted: Wanted): Request[] {
  const { table, record, comment, mappings, masquerade, container } = wanted;
  const isNew = { comment, exclusive: true };
  const expressions = encodeAddress("destination", {
    address: container.address,
    length: 8 * container.address.length,
  });
  return [
    newChain(record, { exclusive: true }),
    ...[comment, ...portComments(mappings)].map((text) => newRule(record, { expressions, comment: text })),
    ...addElements(table.hostports, wanted.hostports, isNew),
    ...addElements(table.hostipHostports, wanted.hostipHostports, isNew),
    ...(masquerade === undefined ? [] : addElements(masquerade, [{ key: container.address }], isNew)),
    ...wanted.rules.map((rule) => newRule(table.conditional, { expressions: rule, comment })),
  ];
}

/** What `evictStaleHolders` finds. */
interface Outcome {
  /** The mappings that another network of the same container has. */
  skipped: Set<PortMapping>;
  /** The mapping sets that are there already, exactly as wanted. */
  published: Set<MappingSet>;
}

/** Returns the deletions that a publication needs first: leftovers of the attachment itself, and holders that are gone. */
function evictStaleHolders(
  netfilter: Connection,
  mappingSet: MappingSet,
  conflictPolicy: ConflictPolicy,
  { skipped, published }: Outcome,
): Request[] {
  const wanted = desiredOf(mappingSet, skipped);
  const { table, record, comment, mappings, masquerade, container } = wanted;
  const own = readRecord(netfilter, table, record);
  const deviating = deviatingOf(netfilter, wanted);
  if (own !== undefined && deviating.size === 0 && isPublished(netfilter, wanted, own)) {
    published.add(mappingSet);
    return [];
  }
  const toDelete = new Map<string, Recorded>(own === undefined ? [] : [[record.chain, { ...own, comment }]]);
  const holders = lazy(() => holdersByPort(netfilter, table));
  for (const mapping of mappings) {
    const element = deviating.get(mapping);
    if (element === undefined || element.userdata?.comment === comment) continue;
    const address = element.data?.value?.slice(0, ADDRESS_LENGTH[table.family]);
    const decision = conflictPolicy(mappingSet, mapping, { ...ownerIn(element.userdata?.comment ?? ""), address });
    if (decision === "keep") skipped.add(mapping);
    else for (const one of holders().get(String(keyOf(mapping))) ?? []) toDelete.set(one.record.chain, one);
  }
  const removals = [...toDelete.values()].flatMap((one) => removalOf(netfilter, table, one, { isCautious: true }));
  const isTaken = masquerade !== undefined && findElement(netfilter, masquerade, container.address) !== undefined;
  const isFreed = [...toDelete.values()].some(
    ({ address }) => address !== undefined && equal(address, container.address),
  );
  return isTaken && !isFreed ? [...removals, ...deleteElements(masquerade, [container.address])] : removals;
}

/** Returns the mappings whose element is not there exactly as wanted, and what their map has for the port. */
function deviatingOf(
  netfilter: Connection,
  { table, hostports, hostipHostports, comment }: Wanted,
): Map<PortMapping, SetElement | undefined> {
  const deviating = deviatingElements(netfilter, table.hostports, hostports, comment);
  for (const [mapping, element] of deviatingElements(netfilter, table.hostipHostports, hostipHostports, comment))
    deviating.set(mapping, element);
  return deviating;
}

/** Reports whether an attachment whose elements are as wanted has everything else too, and nothing more. */
function isPublished(
  netfilter: Connection,
  { table, comment, mappings, masquerade, container, rules }: Wanted,
  own: Recorded,
): boolean {
  const masquerades = [table.hairpin, table.masqueradeAll];
  return (
    rules.length === 0 &&
    own.comment === comment &&
    own.address !== undefined &&
    equal(own.address, container.address) &&
    equalTexts(own.texts, portComments(mappings)) &&
    masquerades.every((set) => {
      const found = findElement(netfilter, set, container.address)?.userdata?.comment;
      return found === (set === masquerade ? comment : undefined);
    }) &&
    conditionalOf(netfilter, table, comment).length === 0
  );
}

const equalTexts = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((text, i) => text === other[i]);

/** Returns the attachments that have each port, by its key; there should be one. */
function holdersByPort(netfilter: Connection, table: PortmapTable): Map<string, Recorded[]> {
  const holders = new Map<string, Recorded[]>();
  for (const record of recordsIn(netfilter, table, RECORD)) {
    const recorded = readRecord(netfilter, table, record);
    for (const port of recorded === undefined ? [] : portsOf(recorded)) {
      const key = String(keyOf(port));
      holders.set(key, [...(holders.get(key) ?? []), recorded as Recorded]);
    }
  }
  return holders;
}

// --- Records -----------------------------------------------------------------------------------------------------------------------------

/** The content of an attachment's record. */
interface Recorded {
  record: ChainRef;
  /** The comment of the attachment's elements. */
  comment: string;
  /** The comments that name its ports, see `portComments`. */
  texts: readonly string[];
  /** The container's address. */
  address: Address | undefined;
}

const portsOf = ({ texts }: Recorded): HostPort[] => texts.flatMap(portsIn);

/** Reads a record; returns undefined when it does not exist. */
function readRecord(netfilter: Connection, { family }: PortmapTable, record: ChainRef): Recorded | undefined {
  const rules = findRules(netfilter, record);
  const [first, ...more] = rules;
  if (first === undefined && existing(netfilter, [record])[0] !== true) return undefined;
  return {
    record,
    comment: first === undefined ? "" : commentOf(first),
    texts: more.map(commentOf),
    address: first && expressionsOf(first)?.slice(-ADDRESS_LENGTH[family]), // the address that they compare with is at the end
  };
}

const recordsIn = (netfilter: Connection, { tableRef }: PortmapTable, prefix: string): ChainRef[] =>
  listChains(netfilter, tableRef.family).flatMap(({ table: name, name: chain = "" }) =>
    name === tableRef.table && chain.startsWith(prefix) ? [{ ...tableRef, chain }] : [],
  );

// --- Deletion ----------------------------------------------------------------------------------------------------------------------------

/** Deletes everything that the attachment has. @returns its mappings */
export function deleteByNftables(netfilter: Connection, owner: AttachmentId): Removed[] {
  return deleteRecorded(netfilter, (table) => {
    const recorded = readRecord(netfilter, table, recordOf(table, owner));
    return recorded === undefined ? [] : [{ ...recorded, comment: commentFor(owner) }];
  });
}

/** Deletes everything of the network's attachments that are not among the valid ones. */
export function gcByNftables(
  netfilter: Connection,
  network: string,
  valid: readonly Omit<AttachmentId, "network">[],
): void {
  const alive = new Set(valid.map((attachment) => RECORD + masqueradeId({ network, ...attachment })));
  deleteRecorded(netfilter, (table) =>
    recordsIn(netfilter, table, `${RECORD}${networkId(network)}-`)
      .filter(({ chain }) => !alive.has(chain))
      .flatMap((record) => readRecord(netfilter, table, record) ?? []),
  );
}

function deleteRecorded(netfilter: Connection, find: (table: PortmapTable) => readonly Recorded[]): Removed[] {
  const plan = ({ conflicts }: Attempt) => {
    const isCautious = conflicts > 0; // another process deletes the same, or part of it is missing
    const found = FAMILIES.map((family) => TABLES[family]).map((table) => ({ table, recorded: find(table) }));
    const requests = found.flatMap(({ table, recorded }) =>
      recorded.flatMap((one) => removalOf(netfilter, table, one, { isCautious })),
    );
    return { requests, found };
  };
  const { found } = edit(netfilter, plan, { bound: false });
  return found.flatMap(({ table: { family }, recorded }) =>
    recorded.flatMap((one) => portsOf(one).map((port) => ({ ...port, family, address: one.address }))),
  );
}

/**
 * Returns the requests that delete an attachment.
 *
 * @param isCautious Whether to check first which elements exist, since the kernel refuses to delete a missing one.
 */
function removalOf(
  netfilter: Connection,
  table: PortmapTable,
  recorded: Recorded,
  { isCautious = false }: { isCautious?: boolean } = {},
): Request[] {
  const { record, comment, address } = recorded;
  const all = portsOf(recorded).map((port) => placeOf(table, port));
  const there = isCautious ? presentElements(netfilter, all) : undefined;
  const elements = there === undefined ? all : all.filter((_, i) => there[i]);
  const inSet = ({ set }: SetRef) => elements.filter(({ place }) => place.set === set).map(({ key }) => key);
  const isIn = (set: SetRef) =>
    address !== undefined && findElement(netfilter, set, address)?.userdata?.comment === comment;
  return [
    ...deleteElements(table.hostports, inSet(table.hostports)),
    ...deleteElements(table.hostipHostports, inSet(table.hostipHostports)),
    ...[table.hairpin, table.masqueradeAll].filter(isIn).flatMap((set) => deleteElements(set, [address as Address])),
    ...conditionalOf(netfilter, table, comment).map((rule) => deleteRule(table.conditional, handleOf(rule))),
    deleteChain(record),
  ];
}

const conditionalOf = (netfilter: Connection, { conditional }: PortmapTable, comment: string): Uint8Array[] =>
  findRules(netfilter, conditional, comment).filter((rule) => commentOf(rule) === comment);

// --- CHECK -------------------------------------------------------------------------------------------------------------------------------

/** Returns the first difference from what `addByNftables` makes; undefined when there is none. */
export function deviationInNftables(netfilter: Connection, mappingSets: readonly MappingSet[]): string | undefined {
  for (const mappingSet of mappingSets) {
    const found = deviationOf(netfilter, mappingSet);
    if (found !== undefined && !isMappedByUpstream(netfilter, mappingSet)) return found;
  }
  return undefined;
}

export function deviationOf(netfilter: Connection, mappingSet: MappingSet): string | undefined {
  const wanted = desiredOf(mappingSet, new Set());
  const { table, record, comment, mappings, masquerade, container, rules } = wanted;
  const where = `table ${mappingSet.family} ${table.tableRef.table}`;
  if (ensureTableRequests(netfilter, mappingSet).length > 0) return `chains or rules of ${where} are missing`;
  if (readRecord(netfilter, table, record) === undefined) return `chain ${record.chain} of ${where} is missing`;
  const deviating = deviatingOf(netfilter, wanted);
  const lost = mappings.find(
    (mapping) => deviating.has(mapping) && !leadsToContainer(deviating.get(mapping), mappingSet, mapping),
  );
  if (lost !== undefined) {
    return `host port ${lost.hostPort}/${lost.protocol} does not lead to the container in ${where}`;
  }
  if (masquerade !== undefined && findElement(netfilter, masquerade, container.address) === undefined) {
    return `set ${masquerade.set} of ${where} lacks the container's address`;
  }
  const isShort = conditionalOf(netfilter, table, comment).length < rules.length;
  return isShort ? `chain conditional of ${where} lacks rules of the container` : undefined;
}

/** Reports whether a mapping leads to the container, be it by an attachment to another network. */
function leadsToContainer(
  element: SetElement | undefined,
  { owner, container }: MappingSet,
  mapping: PortMapping,
): boolean {
  if (element?.data?.value !== undefined && equal(element.data.value, dataOf(container, mapping.containerPort)))
    return true;
  return ownerIn(element?.userdata?.comment ?? "").containerId === owner.containerId;
}
