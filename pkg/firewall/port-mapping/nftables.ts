// Port mappings through nftables: what is in the maps, what is missing, who else is there. What they look like is in nftables-frame.ts.
import { type Address, formatPrefix, networkOf, type Prefix } from "../../ip/address.ts";
import type { Connection, Request } from "../../netlink/connection.ts";
import { encodeAddress } from "../compare.ts";
import type { Family } from "../iptables/extension.ts";
import { FAMILIES } from "../iptables.ts";
import { masqueradeId, networkId, type Owner } from "../names.ts";
import {
  ATTEMPTS,
  commentOf,
  committed,
  DELETE_ATTEMPTS,
  deleteChain,
  deleteRule,
  existing,
  expressionsOf,
  findRules,
  generation,
  handleOf,
  holds,
  listChains,
  newChain,
  newRule,
  type Place,
} from "../nftables.ts";
import { addElements, deleteElements, type Elements, findElement, presentElements, type SetPlace } from "../sets.ts";
import { commentFor, ownerIn } from "./comment.ts";
import { conditionalRules } from "./nftables-conditions.ts";
import {
  FRAMES,
  type Frame,
  frameChains,
  hairpinsIn,
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
  type Protocol,
  type Publication,
} from "./publication.ts";
import { portComments, portsIn } from "./record.ts";
import type { Occupied, Removed } from "./rival.ts";

// --- What is wanted ----------------------------------------------------------------------------------------------------------------------

/** What a publication has in the sets and maps. */
interface Wanted {
  frame: Frame;
  record: Place;
  comment: string;
  mappings: readonly PortMapping[];
  hostports: Elements<PortMapping>;
  hostipHostports: Elements<PortMapping>;
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
  const published = mappingsFor(publication);
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
    rules: conditions.length === 0 ? [] : conditionalRules(publication),
  };
}

const recordOf = ({ table }: Frame, owner: Owner): Place => ({ ...table, chain: RECORD + masqueradeId(owner) });

const ADDRESS_LENGTH: Readonly<Record<Family, number>> = { ip: 4, ip6: 16 };

/** Protocol and port fill 4 bytes each; an address stands before them. */
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

/** What a map has for a mapping: address and port, with room to 4 bytes. */
function dataOf({ address }: Prefix, containerPort: number): Uint8Array {
  const data = new Uint8Array(address.length + 4);
  data.set(address);
  data[address.length] = containerPort >> 8;
  data[address.length + 1] = containerPort & 0xff;
  return data;
}

/** For all addresses of the host. */
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

/** For single ones. */
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

/** Where a port stands, and under which key. */
const placeOf = ({ hostports, hostipHostports }: Frame, port: HostPort): { place: SetPlace; key: Uint8Array } => ({
  place: port.hostIp === undefined ? hostports : hostipHostports,
  key: keyOf(port),
});

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
    removals = publications.flatMap((one) => [
      ...makeWayInReference(netfilter, one, occupied, skipped),
      ...makeWay(netfilter, one, occupied, skipped),
    ]);
  }
}

/** As far as something is missing, and not of the ports that somebody else has by now. */
export function restoreByNftables(netfilter: Connection, publications: readonly Publication[]): void {
  for (const publication of publications) {
    if (deviationInNftables(netfilter, [publication]) === undefined) continue;
    const skipped = new Set<PortMapping>();
    const removals = makeWay(netfilter, publication, () => "same", skipped);
    const requests = [
      ...missingFrame(netfilter, publication),
      ...removals,
      ...additions(wantedOf(publication, skipped)),
    ];
    committed(netfilter, requests, { ifNot: [] });
  }
}

/** The table with its chains, and the rule of the container's network, as far as they are missing. */
export function missingFrame(
  netfilter: Connection,
  { family, mark, snat, masqAll, container }: Publication,
): Request[] {
  const frame = FRAMES[family];
  const rules = frameChains(frame).flatMap((chain) => findRules(netfilter, chain, () => true));
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

/** What has to go first: what the attachment itself left behind, and holders that are gone. */
function makeWay(
  netfilter: Connection,
  publication: Publication,
  occupied: Occupied,
  skipped: Set<PortMapping>,
): Request[] {
  const { frame, record, comment, mappings, masquerade, container } = wantedOf(publication, skipped);
  const own = readRecord(netfilter, frame, record);
  const doomed = new Map<string, Recorded>(own === undefined ? [] : [[record.chain, { ...own, comment }]]);
  for (const mapping of mappings) {
    const { place, key } = placeOf(frame, mapping);
    const element = findElement(netfilter, place, key);
    if (element === undefined || element.userdata?.comment === comment) continue;
    const address = element.data?.value?.slice(0, ADDRESS_LENGTH[frame.family]);
    const verdict = occupied(publication, mapping, { ...ownerIn(element.userdata?.comment ?? ""), address });
    if (verdict === "same") skipped.add(mapping);
    else for (const one of holdersOf(netfilter, frame, mapping)) doomed.set(one.record.chain, one);
  }
  const removals = [...doomed.values()].flatMap((one) => removalOf(netfilter, frame, one));
  const isTaken = masquerade !== undefined && findElement(netfilter, masquerade, container.address) !== undefined;
  const isFreed = [...doomed.values()].some(
    ({ address }) => address !== undefined && isEqual(address, container.address),
  );
  return isTaken && !isFreed ? [...removals, ...deleteElements(masquerade, [container.address])] : removals;
}

/** All attachments that have the port, which is one. */
function holdersOf(netfilter: Connection, frame: Frame, port: HostPort): Recorded[] {
  const wanted = keyOf(port);
  return recordsIn(netfilter, frame, RECORD)
    .flatMap((record) => readRecord(netfilter, frame, record) ?? [])
    .filter(({ ports }) => ports.some((one) => isEqual(keyOf(one), wanted)));
}

const isEqual = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, i) => byte === other[i]);

// --- Records -----------------------------------------------------------------------------------------------------------------------------

/** What an attachment has, as its record tells. */
interface Recorded {
  record: Place;
  /** Of its elements. */
  comment: string;
  ports: HostPort[];
  /** The container's. */
  address: Address | undefined;
}

/** undefined when there is no such record. */
function readRecord(netfilter: Connection, { family }: Frame, record: Place): Recorded | undefined {
  const rules = findRules(netfilter, record, () => true);
  const [first, ...more] = rules;
  if (first === undefined && existing(netfilter, [record])[0] !== true) return undefined;
  return {
    record,
    comment: first === undefined ? "" : commentOf(first),
    ports: more.flatMap((rule) => portsIn(commentOf(rule))),
    address: first && expressionsOf(first)?.slice(-ADDRESS_LENGTH[family]), // what they compare with stands last
  };
}

const recordsIn = (netfilter: Connection, { table }: Frame, prefix: string): Place[] =>
  listChains(netfilter, table.family).flatMap(({ table: name, name: chain = "" }) =>
    name === table.table && chain.startsWith(prefix) ? [{ ...table, chain }] : [],
  );

// --- Taking it back ----------------------------------------------------------------------------------------------------------------------

/** Deletes what is there of the attachment. @returns its mappings */
export function unpublishByNftables(netfilter: Connection, owner: Owner): Removed[] {
  return deleteRecorded(netfilter, (frame) => {
    const recorded = readRecord(netfilter, frame, recordOf(frame, owner));
    return recorded === undefined ? [] : [{ ...recorded, comment: commentFor(owner) }];
  });
}

/** Deletes what there is of the network's attachments that are not among the valid ones. */
export function collectByNftables(
  netfilter: Connection,
  network: string,
  valid: readonly Omit<Owner, "network">[],
): void {
  const alive = new Set(valid.map((attachment) => RECORD + masqueradeId({ network, ...attachment })));
  deleteRecorded(netfilter, (frame) =>
    recordsIn(netfilter, frame, `${RECORD}${networkId(network)}-`)
      .filter(({ chain }) => !alive.has(chain))
      .flatMap((record) => readRecord(netfilter, frame, record) ?? []),
  );
}

function deleteRecorded(netfilter: Connection, find: (frame: Frame) => readonly Recorded[]): Removed[] {
  for (let attempt = 1; ; attempt++) {
    const isCautious = attempt > 1; // somebody deletes the same, or has deleted part of it
    const found = FAMILIES.map((family) => FRAMES[family]).map((frame) => ({ frame, recorded: find(frame) }));
    const requests = found.flatMap(({ frame, recorded }) =>
      recorded.flatMap((one) => removalOf(netfilter, frame, one, { isCautious })),
    );
    const ifNot = attempt < DELETE_ATTEMPTS ? (["ENOENT"] as const) : [];
    if (!committed(netfilter, requests, { ifNot })) continue;
    return found.flatMap(({ frame: { family }, recorded }) =>
      recorded.flatMap(({ ports, address }) => ports.map((port) => ({ ...port, family, address }))),
    );
  }
}

/** What deletes an attachment. @param isCautious Look which elements are there, since one that is missing is refused. */
function removalOf(
  netfilter: Connection,
  frame: Frame,
  { record, comment, ports, address }: Recorded,
  { isCautious = false }: { isCautious?: boolean } = {},
): Request[] {
  const all = ports.map((port) => placeOf(frame, port));
  const there = isCautious ? presentElements(netfilter, all) : undefined;
  const elements = there === undefined ? all : all.filter((_, i) => there[i]);
  const inSet = ({ set }: SetPlace) => elements.filter(({ place }) => place.set === set).map(({ key }) => key);
  const isIn = (set: SetPlace) =>
    address !== undefined && findElement(netfilter, set, address)?.userdata?.comment === comment;
  return [
    ...deleteElements(frame.hostports, inSet(frame.hostports)),
    ...deleteElements(frame.hostipHostports, inSet(frame.hostipHostports)),
    ...[frame.hairpin, frame.masqueradeAll].filter(isIn).flatMap((set) => deleteElements(set, [address as Address])),
    ...conditionalOf(netfilter, frame, comment).map((rule) => deleteRule(frame.conditional, handleOf(rule))),
    deleteChain(record),
  ];
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
  if (readRecord(netfilter, frame, record) === undefined) return `chain ${record.chain} of ${where} is missing`;
  const lost = mappings.find((mapping) => !leadsToContainer(netfilter, frame, publication, mapping));
  if (lost !== undefined) {
    return `host port ${lost.hostPort}/${lost.protocol} does not lead to the container in ${where}`;
  }
  if (masquerade !== undefined && findElement(netfilter, masquerade, container.address) === undefined) {
    return `set ${masquerade.set} of ${where} lacks the container's address`;
  }
  const isShort = conditionalOf(netfilter, frame, comment).length < rules.length;
  return isShort ? `chain conditional of ${where} lacks rules of the container` : undefined;
}

/** Or, by another network, to the same container. */
function leadsToContainer(
  netfilter: Connection,
  frame: Frame,
  { owner, container }: Publication,
  mapping: PortMapping,
): boolean {
  const { place, key } = placeOf(frame, mapping);
  const element = findElement(netfilter, place, key);
  const wanted = dataOf(container, mapping.containerPort);
  if (element?.data?.value !== undefined && isEqual(element.data.value, wanted)) return true;
  return ownerIn(element?.userdata?.comment ?? "").containerId === owner.containerId;
}
