// Port mappings through nftables: what is in the maps, what is missing, who else is there. What they look like is in nftables-frame.ts.
import { type Address, formatPrefix, networkOf, type Prefix } from "../../ip/address.ts";
import type { Connection, Request } from "../../netlink/connection.ts";
import type { Family } from "../iptables/extension.ts";
import { FAMILIES } from "../iptables.ts";
import { masqueradeId, networkId, type Owner } from "../names.ts";
import {
  ATTEMPTS,
  commentOf,
  committed,
  DELETE_ATTEMPTS,
  deleteRule,
  findRules,
  generation,
  handleOf,
  holds,
  newRule,
} from "../nftables.ts";
import {
  addElements,
  deleteElements,
  deleteSet,
  type Element,
  findElement,
  listElements,
  listSets,
  newSet,
  presentElements,
  type SetPlace,
} from "../sets.ts";
import { commentFor, ownerIn } from "./comment.ts";
import { conditionalRules } from "./nftables-conditions.ts";
import {
  FRAMES,
  type Frame,
  hairpinsIn,
  hostPortFields,
  isComplete,
  newFrame,
  newHairpin,
  RECORD,
} from "./nftables-frame.ts";
import { isPublishedByReference, makeWayInReference } from "./nftables-reference.ts";
import {
  type HostPort,
  mappingsFor,
  type PortMapping,
  PROTOCOL_NUMBERS,
  type Publication,
  protocolOf,
} from "./publication.ts";
import type { Occupied, Removed } from "./rival.ts";

// --- What is wanted ----------------------------------------------------------------------------------------------------------------------

/** What a publication has in the sets and maps. */
interface Wanted {
  frame: Frame;
  record: SetPlace;
  comment: string;
  mappings: readonly PortMapping[];
  /** Of the record. */
  keys: readonly Uint8Array[];
  hostports: readonly Element[];
  hostipHostports: readonly Element[];
  /** Where the container's address goes to. */
  masquerade: SetPlace | undefined;
  container: Prefix;
  /** With conditions, instead of elements. */
  rules: readonly Uint8Array[];
}

/** @param skipped What another network of the same container has. */
export function wantedOf(publication: Publication, skipped: ReadonlySet<PortMapping>): Wanted {
  const { family, owner, container, snat, masqAll, conditions } = publication;
  const frame = FRAMES[family];
  const all = mappingsFor(publication).filter((mapping) => !skipped.has(mapping));
  const mappings = conditions.length === 0 ? all : [];
  return {
    frame,
    record: recordOf(frame, owner),
    comment: commentFor(owner),
    mappings,
    keys: mappings.map((mapping) => recordKey(family, mapping)),
    hostports: mappings.filter(({ hostIp }) => hostIp === undefined).map((one) => elementOf(container, one)),
    hostipHostports: mappings.filter(({ hostIp }) => hostIp !== undefined).map((one) => elementOf(container, one)),
    masquerade: !snat ? undefined : masqAll ? frame.masqueradeAll : frame.hairpin,
    container,
    rules: conditions.length === 0 ? [] : conditionalRules(publication),
  };
}

const recordOf = ({ table }: Frame, owner: Owner): SetPlace => ({ ...table, set: RECORD + masqueradeId(owner) });

const ADDRESS_LENGTH: Readonly<Record<Family, number>> = { ip: 4, ip6: 16 };

/** The address, protocol and port; zeros stand for all addresses. */
function recordKey(family: Family, port: HostPort): Uint8Array {
  const key = new Uint8Array(ADDRESS_LENGTH[family] + PORT_KEY_LENGTH);
  if (port.hostIp !== undefined) key.set(port.hostIp);
  key.set(portKey(port), ADDRESS_LENGTH[family]);
  return key;
}
/** Protocol and port fill 4 bytes each. */
const PORT_KEY_LENGTH = 8;

function portKey({ protocol, hostPort }: HostPort): Uint8Array {
  const key = new Uint8Array(PORT_KEY_LENGTH);
  key[0] = PROTOCOL_NUMBERS[protocol];
  key[4] = hostPort >> 8;
  key[5] = hostPort & 0xff;
  return key;
}

function elementOf({ address }: Prefix, mapping: PortMapping): Element {
  const { hostIp, containerPort } = mapping;
  const data = new Uint8Array(address.length + 4);
  data.set(address);
  data[address.length] = containerPort >> 8;
  data[address.length + 1] = containerPort & 0xff;
  return {
    key: hostIp === undefined ? portKey(mapping) : recordKey(address.length === 4 ? "ip" : "ip6", mapping),
    data,
  };
}

/** Where the port of a record's key stands, and under which key. */
function elementPlace(
  { hostports, hostipHostports, family }: Frame,
  key: Uint8Array,
): { place: SetPlace; key: Uint8Array } {
  const length = ADDRESS_LENGTH[family];
  const isForAll = key.subarray(0, length).every((byte) => byte === 0);
  return isForAll ? { place: hostports, key: key.subarray(length) } : { place: hostipHostports, key };
}

/** undefined for a protocol that is none of ours. */
function hostPortOf({ family }: Frame, key: Uint8Array): HostPort | undefined {
  const length = ADDRESS_LENGTH[family];
  const protocol = protocolOf(key[length]);
  const address = key.slice(0, length);
  const hostPort = ((key[length + 4] ?? 0) << 8) | (key[length + 5] ?? 0);
  return protocol && { protocol, hostPort, hostIp: address.some((byte) => byte !== 0) ? address : undefined };
}

// --- Publishing --------------------------------------------------------------------------------------------------------------------------

/** All families in one go. What is there of the attachment already is replaced. @throws CniError of `occupied` */
export function publishByNftables(
  netfilter: Connection,
  publications: readonly Publication[],
  occupied: Occupied,
): void {
  const skipped = new Set<PortMapping>();
  let removals: Request[] = publications.flatMap((one) => makeWayInReference(netfilter, one, occupied, skipped));
  for (let attempt = 1; ; attempt++) {
    const ruleset = generation(netfilter);
    const frames = publications.flatMap((one) => missingFrame(netfilter, one));
    const own = publications.flatMap((one) => additions(wantedOf(one, skipped)));
    // What was decided from what was read holds only as long as nobody changes that.
    const bond = frames.length + removals.length > 0 ? ruleset : undefined;
    const ifNot = attempt < ATTEMPTS ? (["ERESTART", "EEXIST", "ENOENT"] as const) : [];
    if (committed(netfilter, [...frames, ...removals, ...own], { generation: bond, ifNot })) return;
    removals = publications.flatMap((one) => makeWay(netfilter, one, occupied, skipped));
  }
}

/** The table with its chains, and the rule of the container's network, as far as they are missing. */
export function missingFrame(
  netfilter: Connection,
  { family, mark, snat, masqAll, container }: Publication,
): Request[] {
  const frame = FRAMES[family];
  const rules = findRules(netfilter, frame.table, () => true);
  const isThere = isComplete(rules, mark);
  const hairpins = new Set(hairpinsIn(rules));
  const own = snat && !masqAll ? [formatPrefix(networkOf(container))] : [];
  if (isThere) return own.filter((network) => !hairpins.has(network)).map((network) => newHairpin(frame, network));
  return [
    ...newFrame(frame, mark),
    ...[...new Set([...hairpins, ...own])].map((network) => newHairpin(frame, network)),
  ];
}

/** All of it is to be new. */
export function additions(wanted: Wanted): Request[] {
  const { frame, record, comment, masquerade, container } = wanted;
  const isNew = { comment, exclusive: true };
  return [
    newSet(record, { key: hostPortFields(frame.family), ...isNew }),
    ...addElements(
      record,
      wanted.keys.map((key) => ({ key })),
    ),
    ...addElements(frame.hostports, wanted.hostports, isNew),
    ...addElements(frame.hostipHostports, wanted.hostipHostports, isNew),
    ...(masquerade === undefined ? [] : addElements(masquerade, [{ key: container.address }], isNew)),
    ...wanted.rules.map((expressions) => newRule(frame.conditional, { expressions, comment })),
  ];
}

/** What has to go first: what the attachment itself left behind, and holders that are gone. */
function makeWay(
  netfilter: Connection,
  publication: Publication,
  occupied: Occupied,
  skipped: Set<PortMapping>,
): Request[] {
  const { frame, record, comment, mappings, masquerade, container } = wantedOf(publication, skipped);
  const doomed = new Map<string, Removal>();
  const own = removalOf(netfilter, frame, record, comment);
  if (own !== undefined) doomed.set(record.set, own);
  for (const mapping of mappings) {
    const { place, key } = elementPlace(frame, recordKey(frame.family, mapping));
    const element = findElement(netfilter, place, key);
    if (element === undefined || element.userdata?.comment === comment) continue;
    const holder = { ...ownerIn(element.userdata?.comment ?? ""), address: addressOf(frame, element.data?.value) };
    if (occupied(publication, mapping, holder) === "same") skipped.add(mapping);
    else for (const removal of removalsWith(netfilter, frame, mapping)) doomed.set(removal.record, removal);
  }
  const removals = [...doomed.values()].flatMap(({ requests }) => requests);
  const isTaken = masquerade !== undefined && findElement(netfilter, masquerade, container.address) !== undefined;
  const isFreed = [...doomed.values()].some(({ addresses }) =>
    addresses.some((one) => isEqual(one, container.address)),
  );
  return isTaken && !isFreed ? [...removals, ...deleteElements(masquerade, [container.address])] : removals;
}

/** Of all attachments that have the port, which is one. */
function removalsWith(netfilter: Connection, frame: Frame, port: HostPort): Removal[] {
  const wanted = recordKey(frame.family, port);
  return recordsIn(netfilter, frame, RECORD)
    .filter(({ place }) => keysOf(netfilter, place)?.some((key) => isEqual(key, wanted)))
    .flatMap(({ place, comment }) => removalOf(netfilter, frame, place, comment) ?? []);
}

const isEqual = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, i) => byte === other[i]);

const addressOf = ({ family }: Frame, data: Uint8Array | undefined): Address | undefined =>
  data?.slice(0, ADDRESS_LENGTH[family]);

// --- Taking it back ----------------------------------------------------------------------------------------------------------------------

/** What deletes an attachment. */
interface Removal {
  record: string;
  requests: Request[];
  ports: Removed[];
  /** What of it was in the sets for masquerade. */
  addresses: Address[];
}

/** Deletes what is there of the attachment. @returns its mappings */
export function unpublishByNftables(netfilter: Connection, owner: Owner): Removed[] {
  return deleteRecorded(netfilter, (frame) => [{ place: recordOf(frame, owner), comment: commentFor(owner) }]);
}

/** Deletes what there is of the network's attachments that are not among the valid ones. */
export function collectByNftables(
  netfilter: Connection,
  network: string,
  valid: readonly Omit<Owner, "network">[],
): void {
  const alive = new Set(valid.map((attachment) => RECORD + masqueradeId({ network, ...attachment })));
  const prefix = `${RECORD}${networkId(network)}-`;
  deleteRecorded(netfilter, (frame) =>
    recordsIn(netfilter, frame, prefix).filter(({ place }) => !alive.has(place.set)),
  );
}

interface Recorded {
  place: SetPlace;
  comment: string;
}

const recordsIn = (netfilter: Connection, { table }: Frame, prefix: string): Recorded[] =>
  listSets(netfilter, table)
    .filter(({ name }) => name?.startsWith(prefix))
    .map(({ name = "", userdata }) => ({ place: { ...table, set: name }, comment: userdata?.comment ?? "" }));

function deleteRecorded(netfilter: Connection, find: (frame: Frame) => readonly Recorded[]): Removed[] {
  for (let attempt = 1; ; attempt++) {
    const isCautious = attempt > 1; // somebody deletes the same, or has deleted part of it
    const removals = FAMILIES.map((family) => FRAMES[family]).flatMap((frame) =>
      find(frame).flatMap(({ place, comment }) => removalOf(netfilter, frame, place, comment, { isCautious }) ?? []),
    );
    const requests = removals.flatMap((removal) => removal.requests);
    const ifNot = attempt < DELETE_ATTEMPTS ? (["ENOENT"] as const) : [];
    if (committed(netfilter, requests, { ifNot })) return removals.flatMap(({ ports }) => ports);
  }
}

/** @param isCautious Look which elements are there, since one that is missing is refused. @returns undefined: there is no such attachment */
function removalOf(
  netfilter: Connection,
  frame: Frame,
  record: SetPlace,
  comment: string,
  { isCautious = false }: { isCautious?: boolean } = {},
): Removal | undefined {
  const keys = keysOf(netfilter, record);
  if (keys === undefined) return undefined;
  const all = keys.map((key) => elementPlace(frame, key));
  const there = isCautious ? presentElements(netfilter, all) : undefined;
  const elements = there === undefined ? all : all.filter((_, i) => there[i]);
  const inSet = ({ set }: SetPlace) => elements.filter(({ place }) => place.set === set).map(({ key }) => key);
  const address =
    elements[0] && addressOf(frame, findElement(netfilter, elements[0].place, elements[0].key)?.data?.value);
  const masqueraded = [frame.hairpin, frame.masqueradeAll].map((set) => ({
    set,
    keys: ownIn(netfilter, set, comment, address),
  }));
  return {
    record: record.set,
    requests: [
      ...deleteElements(frame.hostports, inSet(frame.hostports)),
      ...deleteElements(frame.hostipHostports, inSet(frame.hostipHostports)),
      ...masqueraded.flatMap(({ set, keys }) => deleteElements(set, keys)),
      ...conditionalOf(netfilter, frame, comment).map((rule) => deleteRule(frame.conditional, handleOf(rule))),
      deleteSet(record),
    ],
    ports: keys.flatMap((key) => {
      const port = hostPortOf(frame, key);
      return port === undefined ? [] : [{ ...port, family: frame.family, address }];
    }),
    addresses: masqueraded.flatMap(({ keys }) => keys),
  };
}

/** undefined when there is no such record. */
function keysOf(netfilter: Connection, record: SetPlace): Uint8Array[] | undefined {
  return listElements(netfilter, record)?.flatMap(({ key }) => (key?.value === undefined ? [] : [key.value]));
}

/** The attachment's addresses in a set. Where none of its ports tells the address, all of the set is looked through. */
function ownIn(netfilter: Connection, set: SetPlace, comment: string, address: Address | undefined): Address[] {
  const element = address && findElement(netfilter, set, address);
  const found = address === undefined ? (listElements(netfilter, set) ?? []) : element === undefined ? [] : [element];
  return found.flatMap(({ key, userdata }) =>
    userdata?.comment === comment && key?.value !== undefined ? [key.value] : [],
  );
}

const conditionalOf = (netfilter: Connection, { conditional }: Frame, comment: string): Uint8Array[] =>
  findRules(netfilter, conditional, (text) => holds(text, comment)).filter((rule) => commentOf(rule) === comment);

// --- Looking -----------------------------------------------------------------------------------------------------------------------------

/** What is not as `publishByNftables` made it, in words; undefined when all is well. */
export function deviationInNftables(netfilter: Connection, publications: readonly Publication[]): string | undefined {
  for (const publication of publications) {
    const found = deviationOf(netfilter, publication);
    if (found !== undefined && !isPublishedByReference(netfilter, publication)) return found;
  }
  return undefined;
}

export function deviationOf(netfilter: Connection, publication: Publication): string | undefined {
  const { frame, record, comment, mappings, masquerade, container, rules } = wantedOf(publication, new Set());
  const where = `table ${publication.family} ${frame.table.table}`;
  if (missingFrame(netfilter, publication).length > 0) return `chains or rules of ${where} are missing`;
  if (keysOf(netfilter, record) === undefined) return `set ${record.set} of ${where} is missing`;
  const lost = mappings.find((mapping) => !leadsToContainer(netfilter, frame, publication, mapping));
  if (lost !== undefined)
    return `host port ${lost.hostPort}/${lost.protocol} does not lead to the container in ${where}`;
  if (masquerade !== undefined && findElement(netfilter, masquerade, container.address) === undefined) {
    return `set ${masquerade.set} of ${where} lacks the container's address`;
  }
  if (conditionalOf(netfilter, frame, comment).length < rules.length)
    return `chain conditional of ${where} lacks rules of the container`;
  return undefined;
}

/** Or, by another network, to the same container. */
function leadsToContainer(
  netfilter: Connection,
  frame: Frame,
  { owner, container }: Publication,
  mapping: PortMapping,
): boolean {
  const { place, key } = elementPlace(frame, recordKey(frame.family, mapping));
  const element = findElement(netfilter, place, key);
  const wanted = elementOf(container, mapping).data;
  if (element?.data?.value !== undefined && wanted !== undefined && isEqual(element.data.value, wanted)) return true;
  return ownerIn(element?.userdata?.comment ?? "").containerId === owner.containerId;
}
