/** What the resolver serves: attachments, each in the namespace of its container. */
import type { NamedAttachment } from "../dns/records.ts";
import { type Address, parsePrefix } from "../ip/address.ts";
import { type AttachmentRecord, readAllRecords, recordDirectory } from "../network/attachment-record.ts";
import { findDirectory, findStat } from "../sys/file.ts";
import { identifiedState, type NamespaceIdentity } from "../sys/namespace-identity.ts";

/** An attachment, and the namespace that is to have answers. */
export interface ServedAttachment extends NamedAttachment {
  namespace: NamespaceIdentity;
}

/** An address in a namespace at which the resolver listens. */
export interface ListenAddress {
  namespace: NamespaceIdentity;
  address: Address;
}

/** Identifies a listen address; the path is left out, since several lead to one namespace. */
export const listenKey = ({ namespace, address }: { namespace: { inode: string }; address: Address }): string =>
  `${namespace.inode}/${address.join(".")}`;

/** The address of Docker's embedded DNS. */
export const RESOLVER_ADDRESS: Address = Uint8Array.of(127, 0, 0, 11);

/** Reports whether the namespace is known to be gone. Its path alone is looked at first, since that costs least. */
export function isGone(namespace: NamespaceIdentity): boolean {
  return String(findStat(namespace.path)?.inode) !== namespace.inode && identifiedState(namespace) === "dead";
}

export interface Served {
  attachments: ServedAttachment[];
  /** Those of all records, each once, also where there are no names. */
  namespaces: NamespaceIdentity[];
  /** Files that cannot be read as records, each a sentence. */
  problems: string[];
}

/** Reads the records of all attachments. */
export function readServed(root: string): Served {
  const served: Omit<Served, "namespaces"> = { attachments: [], problems: [] };
  const namespaces = new Map<string, NamespaceIdentity>();
  for (const one of readAllRecords(root)) {
    if ("reason" in one) {
      served.problems.push(`damaged ${one.path}: ${one.reason}; its names are not answered`);
      continue;
    }
    const key = `${one.namespace.inode} ${one.namespace.path}`;
    const namespace = namespaces.get(key) ?? one.namespace;
    namespaces.set(key, namespace);
    if (hasNames(one)) served.attachments.push(attachmentOf(one, namespace));
  }
  return { ...served, namespaces: [...namespaces.values()] };
}

/** As in Docker, containers of the default network have no names. */
export const hasNames = ({ networkName }: AttachmentRecord): boolean => networkName !== "bridge";

function attachmentOf(record: AttachmentRecord, namespace: NamespaceIdentity): ServedAttachment {
  return {
    network: record.networkId,
    networkName: record.networkName,
    isInternal: record.internal,
    container: record.containerId,
    name: record.containerName,
    aliases: [...record.aliases, record.containerId.slice(0, SHORT_ID)],
    links: record.links.map(({ alias, container }) => ({ alias, target: container })),
    addresses: record.addresses.flatMap((text) => parsePrefix(text)?.address ?? []),
    namespace,
  };
}

/** Docker gives each container the beginning of its ID as an alias. */
const SHORT_ID = 12;

/** Returns a text that is another one when records were added, replaced or removed. */
export function stampOf(root: string): string {
  const stamp = (path: string) => String(findStat(path)?.changedNs);
  const networks = findDirectory(root) ?? [];
  return [stamp(root), ...networks.map((id) => `${id} ${stamp(recordDirectory(id, root))}`)].join("\n");
}
