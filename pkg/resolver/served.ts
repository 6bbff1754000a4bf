/** What the resolver serves: attachments, each in the namespace of its container. */
import type { NamedAttachment } from "../dns/records.ts";
import { type Address, parseAddress, parsePrefix } from "../ip/address.ts";
import { readAllRecords, recordDirectory } from "../network/attachment-record.ts";
import {
  attachmentDirectories,
  fileNameOf,
  furtherNamesOf,
  readUnrecordedAttachments,
  type UnrecordedAttachment,
} from "../network/unrecorded-attachment.ts";
import { findDirectory, findStat, inodeAt } from "../sys/file.ts";
import { OWN_NAMESPACE } from "../sys/namespace.ts";
import { identifiedState, type NamespaceIdentity } from "../sys/namespace-identity.ts";
import { type DnsnameRecord, dnsnameDirectory, readDnsnameRecords } from "./dnsname-record.ts";

/** An attachment, and where its container asks. */
export interface ServedAttachment extends NamedAttachment {
  /** The container's. */
  namespace: NamespaceIdentity;
  listenAt: readonly ListenAddress[];
}

/** An address in a namespace at which the resolver listens. */
export interface ListenAddress {
  namespace: { path: string; inode: string };
  address: Address;
  /** Who may ask; undefined: whoever reaches the address, as nobody outside of a container reaches its loopback. */
  clients?: readonly Address[];
}

/** Identifies a listen address; the path is left out, since several lead to one namespace. */
export const listenKey = ({ namespace, address }: { namespace: { inode: string }; address: Address }): string =>
  `${namespace.inode}/${address.join(".")}`;

/** The address of Docker's embedded DNS. */
export const RESOLVER_ADDRESS: Address = Uint8Array.of(127, 0, 0, 11);

/** Reports whether the namespace is known to be gone. Its path alone is looked at first, since that costs least. */
export function isGone(namespace: NamespaceIdentity): boolean {
  return inodeAt(namespace.path) !== namespace.inode && identifiedState(namespace) === "dead";
}

export interface Served {
  attachments: ServedAttachment[];
  /** Those of all records, each once, also where there are no names: what is in them has to be removed when they are gone. */
  connected: NamespaceIdentity[];
  /** Files that cannot be read as records, each a sentence. */
  problems: string[];
  /** Files of the cache that a runtime may be writing. */
  unfinished: string[];
  /** Records of the plugin `dnsname` whose containers are gone. */
  stale: DnsnameRecord[];
  /** Those that runtimes attached to networks in which containers have links, each as a text: what links to them open is not there yet. */
  linkable: string[];
}

/** Where it stands who is attached. */
export interface AttachmentPaths {
  /** Root of the attachment records. */
  records: string;
  /** Root of the runtimes' result cache, with the attachments that they made themselves. */
  cache: string;
  /** Root of the records of the plugin `dnsname`. */
  dnsname: string;
}

/** Reads all attachments. */
export function readServed({ records, cache, dnsname }: AttachmentPaths): Served {
  const served: Served = { attachments: [], connected: [], problems: [], unfinished: [], stale: [], linkable: [] };
  const namespaces = new Map<string, NamespaceIdentity>();
  const linked = new Set<string>();
  const recorded = new Set<string>();
  for (const one of readAllRecords(records)) {
    if ("reason" in one) {
      served.problems.push(`damaged ${one.path}: ${one.reason}; its names are not answered`);
      continue;
    }
    const key = `${one.namespace.inode} ${one.namespace.path}`;
    const namespace = namespaces.get(key) ?? one.namespace;
    namespaces.set(key, namespace);
    recorded.add(fileNameOf(one));
    if (one.links.length > 0) linked.add(one.networkId);
    if (hasNames(one) && one.unfinished === undefined) served.attachments.push(attachmentOf(one, namespace));
  }
  served.connected.push(...namespaces.values());
  for (const one of readUnrecordedAttachments(cache, (fileName) => recorded.has(fileName))) {
    if ("path" in one) {
      served.unfinished.push(one.path);
      continue;
    }
    const { networkId, containerId, ifName, namespace } = one;
    if (linked.has(networkId))
      served.linkable.push([networkId, containerId, ifName, namespace.inode, namespace.cookie].join(" "));
    if (hasNames(one)) served.attachments.push(attachmentOf(one, namespace));
  }
  for (const one of readDnsnameRecords(dnsname)) {
    if ("reason" in one) served.problems.push(`damaged ${one.path}: ${one.reason}; its names are not answered`);
    else if (isGone(one.namespace)) served.stale.push(one);
    else served.attachments.push(dnsnameAttachmentOf(one));
  }
  return served;
}

/** Reports whether a container is attached that asks the resolver. */
export function isAnyServed({ records, cache, dnsname }: AttachmentPaths): boolean {
  for (const one of readAllRecords(records)) if ("containerId" in one) return true;
  for (const one of readUnrecordedAttachments(cache, () => false))
    if ("containerId" in one && hasNames(one)) return true;
  for (const one of readDnsnameRecords(dnsname)) if ("names" in one && !isGone(one.namespace)) return true;
  return false;
}

/** As in Docker, containers of the default network have no names. */
export const hasNames = ({ networkName }: UnrecordedAttachment): boolean => networkName !== "bridge";

function attachmentOf(record: UnrecordedAttachment, namespace: NamespaceIdentity): ServedAttachment {
  return {
    network: record.networkId,
    networkName: record.networkName,
    isInternal: record.internal,
    container: record.containerId,
    name: record.containerName,
    aliases: furtherNamesOf(record),
    links: record.links.map(({ alias, container }) => ({ alias, target: container })),
    addresses: addressesIn(record.addresses),
    servers: (record.dns ?? []).flatMap((text) => parseAddress(text) ?? []),
    namespace,
    listenAt: [{ namespace, address: RESOLVER_ADDRESS }],
  };
}

/**
 * The names of `dnsname` are answered on the host, to the containers that have names there, and to the host itself, whose own address is its source. Not to the gateway's whole network: where a
 * bridge has the host's uplink as a port, every host of the LAN is in that. Each ADD has the records read before its container runs.
 */
function dnsnameAttachmentOf({
  network,
  containerId,
  names: [name = "", ...aliases],
  domain,
  addresses,
  gateways,
  namespace,
  host,
}: DnsnameRecord): ServedAttachment {
  const hostNamespace = { path: OWN_NAMESPACE, inode: host };
  const ownAddresses = addressesIn(addresses);
  return {
    network: `dnsname ${network} ${domain}`, // so that each domain is answered while containers have the earlier one
    networkName: network,
    isInternal: false,
    container: containerId,
    name,
    aliases,
    links: [],
    addresses: ownAddresses,
    domain,
    namespace,
    listenAt: addressesIn(gateways).map((gateway) => ({
      namespace: hostNamespace,
      address: gateway,
      clients: [gateway, ...ownAddresses],
    })),
  };
}

/** Returns the addresses of prefixes. */
const addressesIn = (prefixes: readonly string[]): Address[] =>
  prefixes.flatMap((text) => parsePrefix(text)?.address ?? []);

/**
 * Returns a text that is another one when attachments were added, replaced or removed.
 *
 * @param unfinished files of the cache whose content may come yet
 */
export function stampOf({ records, cache, dnsname }: AttachmentPaths, unfinished: readonly string[]): string {
  const networks = (findDirectory(records) ?? []).map((id) => recordDirectory(id, records));
  const withDnsname = (findDirectory(dnsname) ?? []).map((network) => dnsnameDirectory(network, dnsname));
  const paths = [records, ...networks, ...attachmentDirectories(cache), dnsname, ...withDnsname, ...unfinished];
  return paths.map((path) => `${path} ${findStat(path)?.changedNs}`).join("\n");
}
