/** The resolv.conf and hosts of a container, after it was connected or disconnected. */
import { type AttachmentRecord, listAllAttachmentRecords } from "../../../pkg/network/attachment-record.ts";
import type { NetworkDefinition } from "../../../pkg/network/definition.ts";
import { rewriteContainerFiles } from "../../../pkg/resolver/container-files.ts";
import { hasNames } from "../../../pkg/resolver/served.ts";
import { identifyNamespace } from "../../../pkg/sys/namespace-identity.ts";
import type { Host } from "./surroundings.ts";

/** Makes them say what the records say. What cannot be changed is told: the container is connected all the same. */
export function updateContainerFiles({ id, name }: NetworkDefinition, netns: string, { warn }: Host): void {
  const namespace = identifyNamespace(netns);
  const records = listAllAttachmentRecords().records.filter(
    (record) => record.namespace.inode === namespace.inode && record.namespace.cookie === namespace.cookie,
  );
  const files = {
    network: name,
    hosts: records.filter(({ networkId }) => networkId === id).flatMap(hostsOf),
    isServed: records.some(hasNames),
  };
  for (const problem of rewriteContainerFiles(namespace, files)) warn(problem);
}

const hostsOf = ({ addresses, containerName: name }: AttachmentRecord): { address: string; name: string }[] =>
  addresses.map((text) => ({ address: text.replace(/\/\d+$/, ""), name }));
