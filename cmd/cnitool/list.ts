/** list: shows the attachments in the result cache of this host. */

import { decodeResult } from "../../pkg/cni/decode-result.ts";
import { CniError } from "../../pkg/cni/error.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { type Command, jsonFlag } from "../../pkg/command-line/command.ts";
import { printed, table } from "../../pkg/command-line/table.ts";
import { cachedNamespace } from "../../pkg/runtime/cached-namespace.ts";
import { attachmentsNamedBy, type CacheEntry, defaultCacheRoot, listCaches } from "../../pkg/runtime/result-cache.ts";
import type { NamespaceState } from "../../pkg/sys/namespace-state.ts";
import { pluginNetworks } from "./candidates.ts";

interface Attachment {
  network: string;
  containerId: string;
  ifName: string;
  /** Empty when the cached result cannot be read. */
  addresses: string[];
  netns: string | undefined;
  namespace: NamespaceState;
}

export const list: Command = {
  name: "list",
  operands: "[network-name]",
  required: 0,
  most: 1,
  about: "list the attachments in the runtimes' cache, and whether their namespaces exist",
  details: [
    `Reads the cache in ${defaultCacheRoot}/results, where cnitool, podman, containerd and other users of libcni`,
    "record their attachments. The namespace is alive, dead (twill gc removes the attachment), or unknown.",
    "Files that cannot be read are reported on stderr; then the list is not complete, and the exit status is 1.",
  ].join("\n"),
  flags: [jsonFlag],
  complete: (operands, context) => (operands.length === 0 ? pluginNetworks(context) : []),
  examples: ["cnitool list", "cnitool list --json example"],
  run({ operands: [network], flags, context: { streams } }) {
    const caches = listCaches(defaultCacheRoot);
    const entries = caches.flatMap((cache) => cache.entries);
    const damaged = caches.flatMap((cache) => cache.damaged);
    const attachments = entries
      .filter(({ networkName }) => network === undefined || networkName === network)
      .map(attachmentOf);
    const unread = damaged.filter((file) => network === undefined || attachmentsNamedBy(file, network).length > 0);
    streams.stdout(flags.has("json") ? printed(attachments) : tableOf(attachments, network));
    for (const { path, reason } of unread) streams.stderr(`cnitool: damaged ${path}: ${reason}\n`);
    return unread.length === 0 ? 0 : 1;
  },
};

function attachmentOf(entry: CacheEntry): Attachment {
  const { networkName, containerId, ifName } = entry;
  const addresses = resultOf(entry)?.ips.map(({ address }) => address) ?? [];
  const { path: netns, state: namespace } = cachedNamespace(entry);
  return { network: networkName, containerId, ifName, addresses, netns, namespace };
}

function resultOf({ result }: CacheEntry): Result | undefined {
  try {
    return decodeResult(result, "", { what: "cached result", remedy: "" });
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}

function tableOf(attachments: readonly Attachment[], network: string | undefined): string {
  if (attachments.length === 0) return `no attachments${network === undefined ? "" : ` to network "${network}"`}\n`;
  return table([
    ["NETWORK", "CONTAINER", "INTERFACE", "ADDRESSES", "NAMESPACE", ""],
    ...attachments.map(({ network, containerId, ifName, addresses, netns = "-", namespace }) => [
      network,
      containerId,
      ifName,
      addresses.join(",") || "-",
      netns,
      namespace,
    ]),
  ]);
}
