// Port mappings through nftables: adds, checks and deletes elements, and finds port conflicts. The table is in nftables-table.ts.

import { type Address, formatPrefix, networkOf, type Prefix } from "../../ip/address.ts";
import type { Connection, Request } from "../../netlink/connection.ts";
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
  holds,
  listChains,
  newChain,
  newRule,
} from "../nftables/ruleset.ts";
import {
  addElements,
  deleteElements,
  type Elements,
  findElement,
  presentElements,
  type SetRef,
} from "../nftables/set.ts";
import { type Attempt, commit, edit } from "../nftables/transaction.ts";
import { commentFor, ownerIn } from "../port-mapping/comment.ts";
import { masqueradeId, networkId, type Owner } from "../upstream-names.ts";
import { portComments, portsIn } from "./attachment-record.ts";
import { conditionalRules } from "./nftables-conditions.ts";
import {
  createTable,
  hairpinsIn,
  isComplete,
  newHairpin,
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
  frame: PortmapTable;
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
export function desiredOf(mappingSet: MappingSet, skipped: ReadonlySet<PortMapping>): Wanted {
  const { family, owner, container, snat, masqAll, conditions } = mappingSet;
  const frame = TABLES[family];
  const published = mappingsFor(mappingSet);
  const all = skipped.size === 0 ? published : published.filter((mapping) => !skipped.has(mapping));
  const mappings = conditions.length === 0 ? all : [];
  const forAll = mappings.filter(({ hostIp }) => hostIp === undefined);
  return {
    frame,
    record: recordOf(frame, owner),
    comment: commentFor(owner),
    mappings,
    hostports: elementsOf(container, forAll),
    hostipHostports: addressElementsOf(
      container,
      mappings.filter(({ hostIp }) => hostIp !== undefined),
    ),
    masquerade: !snat ? undefined : masqAll ? frame.masqueradeAll : frame.hairpin,
    container,
    rules: conditions.length === 0 ? [] : conditionalRules(mappingSet),
  };
}

const recordOf = ({ table }: PortmapTable, owner: Owner): ChainRef => ({
  ...table,
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
    const shared = mappingSets.flatMap((one) => [
      ...missingTable(netfilter, one),
      ...evictFromUpstream(netfilter, one, conflictPolicy, skipped),
      ...(conflicts > 0 ? makeWay(netfilter, one, conflictPolicy, skipped) : []), // rarely needed, so not read before the first conflict
    ]);
    const own = mappingSets.flatMap((one) => additions(desiredOf(one, skipped)));
    return { requests: [...shared, ...own], shared };
  };
  edit(netfilter, plan, {
    bound: ({ shared }) => shared.length > 0, // what is the attachment's own is added on the condition that it is new
    lastUnbound: false, // by then a port that was a dead attachment's may be a living one's
  });
}

/** Publishes again what is missing, except for ports that another attachment has by now. */
export function restoreByNftables(netfilter: Connection, mappingSets: readonly MappingSet[]): void {
  for (const mappingSet of mappingSets) {
    if (deviationInNftables(netfilter, [mappingSet]) === undefined) continue;
    const skipped = new Set<PortMapping>();
    const removals = makeWay(netfilter, mappingSet, () => "same", skipped);
    const requests = [
      ...missingTable(netfilter, mappingSet),
      ...removals,
      ...additions(desiredOf(mappingSet, skipped)),
    ];
    commit(netfilter, requests);
  }
}

/** Returns the requests for the missing parts of the table, its chains and the rule of the container's network. */
export function missingTable(netfilter: Connection, { family, mark, snat, masqAll, container }: MappingSet): Request[] {
  const frame = TABLES[family];
  const rules = tableChains(frame).flatMap((chain) => findRules(netfilter, chain, () => true));
  const isThere = isComplete(rules, mark);
  const hairpins = new Set(hairpinsIn(rules));
  const own = snat && !masqAll ? [formatPrefix(networkOf(container))] : [];
  if (isThere) return own.filter((network) => !hairpins.has(network)).map((network) => newHairpin(frame, network));
  return [
    ...createTable(frame, mark),
    ...[...new Set([...hairpins, ...own])].map((network) => newHairpin(frame, network)),
  ];
}

/** Returns the requests for the attachment's own objects, on the condition that all of them are new. */
export function additions(wanted: Wanted): Request[] {
  const { frame, record, comment, mappings, masquerade, container } = wanted;
  const isNew = { comment, exclusive: true };
  const expressions = encodeAddress("destination", {
    address: container.address,
    length: 8 * container.address.length,
  });
  return [
    newChain(record, { exclusive: true }),
    ...[comment, ...portComments(mappings)].map((text) => newRule(record, { expressions, comment: text })),
    ...addElements(frame.hostports, wanted.hostports, isNew),
    ...addElements(frame.hostipHostports, wanted.hostipHostports, isNew),
    ...(masquerade === undefined ? [] : addElements(masquerade, [{ key: container.address }], isNew)),
    ...wanted.rules.map((rule) => newRule(frame.conditional, { expressions: rule, comment })),
  ];
}

/** Returns the deletions that a publication needs first: leftovers of the attachment itself, and holders that are gone. */
function makeWay(
  netfilter: Connection,
  mappingSet: MappingSet,
  conflictPolicy: ConflictPolicy,
  skipped: Set<PortMapping>,
): Request[] {
  const { frame, record, comment, mappings, masquerade, container } = desiredOf(mappingSet, skipped);
  const own = readRecord(netfilter, frame, record);
  const toDelete = new Map<string, Recorded>(own === undefined ? [] : [[record.chain, { ...own, comment }]]);
  for (const mapping of mappings) {
    const { place, key } = placeOf(frame, mapping);
    const element = findElement(netfilter, place, key);
    if (element === undefined || element.userdata?.comment === comment) continue;
    const address = element.data?.value?.slice(0, ADDRESS_LENGTH[frame.family]);
    const verdict = conflictPolicy(mappingSet, mapping, { ...ownerIn(element.userdata?.comment ?? ""), address });
    if (verdict === "same") skipped.add(mapping);
    else for (const one of holdersOf(netfilter, frame, mapping)) toDelete.set(one.record.chain, one);
  }
  const removals = [...toDelete.values()].flatMap((one) => removalOf(netfilter, frame, one, { isCautious: true }));
  const isTaken = masquerade !== undefined && findElement(netfilter, masquerade, container.address) !== undefined;
  const isFreed = [...toDelete.values()].some(
    ({ address }) => address !== undefined && isEqual(address, container.address),
  );
  return isTaken && !isFreed ? [...removals, ...deleteElements(masquerade, [container.address])] : removals;
}

/** Returns the attachments that have the port; there should be one. */
function holdersOf(netfilter: Connection, frame: PortmapTable, port: HostPort): Recorded[] {
  const wanted = keyOf(port);
  return recordsIn(netfilter, frame, RECORD)
    .flatMap((record) => readRecord(netfilter, frame, record) ?? [])
    .filter(({ ports }) => ports.some((one) => isEqual(keyOf(one), wanted)));
}

const isEqual = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, i) => byte === other[i]);

// --- Records -----------------------------------------------------------------------------------------------------------------------------

/** The content of an attachment's record. */
interface Recorded {
  record: ChainRef;
  /** The comment of the attachment's elements. */
  comment: string;
  ports: HostPort[];
  /** The container's address. */
  address: Address | undefined;
}

/** Reads a record; returns undefined when it does not exist. */
function readRecord(netfilter: Connection, { family }: PortmapTable, record: ChainRef): Recorded | undefined {
  const rules = findRules(netfilter, record, () => true);
  const [first, ...more] = rules;
  if (first === undefined && existing(netfilter, [record])[0] !== true) return undefined;
  return {
    record,
    comment: first === undefined ? "" : commentOf(first),
    ports: more.flatMap((rule) => portsIn(commentOf(rule))),
    address: first && expressionsOf(first)?.slice(-ADDRESS_LENGTH[family]), // the address that they compare with is at the end
  };
}

const recordsIn = (netfilter: Connection, { table }: PortmapTable, prefix: string): ChainRef[] =>
  listChains(netfilter, table.family).flatMap(({ table: name, name: chain = "" }) =>
    name === table.table && chain.startsWith(prefix) ? [{ ...table, chain }] : [],
  );

// --- Deletion ----------------------------------------------------------------------------------------------------------------------------

/** Deletes everything that the attachment has. @returns its mappings */
export function deleteByNftables(netfilter: Connection, owner: Owner): Removed[] {
  return deleteRecorded(netfilter, (frame) => {
    const recorded = readRecord(netfilter, frame, recordOf(frame, owner));
    return recorded === undefined ? [] : [{ ...recorded, comment: commentFor(owner) }];
  });
}

/** Deletes everything of the network's attachments that are not among the valid ones. */
export function gcByNftables(netfilter: Connection, network: string, valid: readonly Omit<Owner, "network">[]): void {
  const alive = new Set(valid.map((attachment) => RECORD + masqueradeId({ network, ...attachment })));
  deleteRecorded(netfilter, (frame) =>
    recordsIn(netfilter, frame, `${RECORD}${networkId(network)}-`)
      .filter(({ chain }) => !alive.has(chain))
      .flatMap((record) => readRecord(netfilter, frame, record) ?? []),
  );
}

function deleteRecorded(netfilter: Connection, find: (frame: PortmapTable) => readonly Recorded[]): Removed[] {
  const plan = ({ conflicts }: Attempt) => {
    const isCautious = conflicts > 0; // another process deletes the same, or part of it is missing
    const found = FAMILIES.map((family) => TABLES[family]).map((frame) => ({ frame, recorded: find(frame) }));
    const requests = found.flatMap(({ frame, recorded }) =>
      recorded.flatMap((one) => removalOf(netfilter, frame, one, { isCautious })),
    );
    return { requests, found };
  };
  const { found } = edit(netfilter, plan, { bound: false });
  return found.flatMap(({ frame: { family }, recorded }) =>
    recorded.flatMap(({ ports, address }) => ports.map((port) => ({ ...port, family, address }))),
  );
}

/**
 * Returns the requests that delete an attachment.
 *
 * @param isCautious Whether to check first which elements exist, since the kernel refuses to delete a missing one.
 */
function removalOf(
  netfilter: Connection,
  frame: PortmapTable,
  { record, comment, ports, address }: Recorded,
  { isCautious = false }: { isCautious?: boolean } = {},
): Request[] {
  const all = ports.map((port) => placeOf(frame, port));
  const there = isCautious ? presentElements(netfilter, all) : undefined;
  const elements = there === undefined ? all : all.filter((_, i) => there[i]);
  const inSet = ({ set }: SetRef) => elements.filter(({ place }) => place.set === set).map(({ key }) => key);
  const isIn = (set: SetRef) =>
    address !== undefined && findElement(netfilter, set, address)?.userdata?.comment === comment;
  return [
    ...deleteElements(frame.hostports, inSet(frame.hostports)),
    ...deleteElements(frame.hostipHostports, inSet(frame.hostipHostports)),
    ...[frame.hairpin, frame.masqueradeAll].filter(isIn).flatMap((set) => deleteElements(set, [address as Address])),
    ...conditionalOf(netfilter, frame, comment).map((rule) => deleteRule(frame.conditional, handleOf(rule))),
    deleteChain(record),
  ];
}

const conditionalOf = (netfilter: Connection, { conditional }: PortmapTable, comment: string): Uint8Array[] =>
  findRules(netfilter, conditional, (text) => holds(text, comment)).filter((rule) => commentOf(rule) === comment);

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
  const { frame, record, comment, mappings, masquerade, container, rules } = desiredOf(mappingSet, new Set());
  const where = `table ${mappingSet.family} ${frame.table.table}`;
  if (missingTable(netfilter, mappingSet).length > 0) return `chains or rules of ${where} are missing`;
  if (readRecord(netfilter, frame, record) === undefined) return `chain ${record.chain} of ${where} is missing`;
  const lost = mappings.find((mapping) => !leadsToContainer(netfilter, frame, mappingSet, mapping));
  if (lost !== undefined) {
    return `host port ${lost.hostPort}/${lost.protocol} does not lead to the container in ${where}`;
  }
  if (masquerade !== undefined && findElement(netfilter, masquerade, container.address) === undefined) {
    return `set ${masquerade.set} of ${where} lacks the container's address`;
  }
  const isShort = conditionalOf(netfilter, frame, comment).length < rules.length;
  return isShort ? `chain conditional of ${where} lacks rules of the container` : undefined;
}

/** Reports whether a mapping leads to the container, be it by an attachment to another network. */
function leadsToContainer(
  netfilter: Connection,
  frame: PortmapTable,
  { owner, container }: MappingSet,
  mapping: PortMapping,
): boolean {
  const { place, key } = placeOf(frame, mapping);
  const element = findElement(netfilter, place, key);
  const wanted = dataOf(container, mapping.containerPort);
  if (element?.data?.value !== undefined && isEqual(element.data.value, wanted)) return true;
  return ownerIn(element?.userdata?.comment ?? "").containerId === owner.containerId;
}
