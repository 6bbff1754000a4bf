/** The resolv.conf and hosts of a container, after it was connected or disconnected. */
import { type AttachmentRecord, listAllAttachmentRecords } from "../../../pkg/network/attachment-record.ts";
import type { NetworkDefinition } from "../../../pkg/network/definition.ts";
import { listRuns } from "../../../pkg/network/run-record.ts";
import { rewriteContainerFiles } from "../../../pkg/resolver/container-files.ts";
import { hasNames } from "../../../pkg/resolver/served.ts";
import { isSameNamespace } from "../../../pkg/sys/namespace.ts";
import { identifyNamespace } from "../../../pkg/sys/namespace-identity.ts";
import type { Host } from "./surroundings.ts";

/** Makes them say what the records say. What cannot be changed is told: the container is connected all the same. */
export function updateContainerFiles(
  { id, name }: Pick<NetworkDefinition, "id" | "name">,
  netns: string,
  { warn }: Host,
): void {
  const namespace = identifyNamespace(netns);
  const records = listAllAttachmentRecords().records.filter(
    (record) => record.namespace.inode === namespace.inode && record.namespace.cookie === namespace.cookie,
  );
  const own = listRuns().find((run) => isSameNamespace(run.netns, netns));
  const files = {
    network: name,
    hosts: records
      .filter(({ networkId }) => networkId === id)
      .flatMap((record) => hostsOf(record, own?.hostName ?? record.containerName)),
    isServed: records.some(hasNames),
    directory: own?.files,
  };
  for (const problem of rewriteContainerFiles(namespace, files)) warn(problem);
}

const hostsOf = ({ addresses }: AttachmentRecord, name: string): { address: string; name: string }[] =>
  addresses.map((text) => ({ address: text.replace(/\/\d+$/, ""), name }));
