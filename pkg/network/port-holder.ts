/**
 * Which network publishes the ports of a container that is in several: the one whose default route it uses, as in Docker. Answers of the container
 * leave by that route, and an address of another network would be a wrong source there.
 *
 * The ports are the container's (its record of `twill run`); who has them now is what the runtime's cache says that its portmap plugin was given.
 */
import { type Runtime, setPortMappings } from "../runtime/network.ts";
import { parseList, publishesPorts } from "../runtime/network-list.ts";
import { isSameNamespace } from "../sys/namespace.ts";
import type { NetworkAttachment } from "./attachment.ts";
import type { RouteOwner } from "./default-route.ts";
import type { PublishedPort } from "./published-port.ts";
import { listRuns } from "./run-record.ts";

/** Returns the ports that the commands of `twill run` in a namespace publish. */
export const portsPublishedIn = (netns: string): readonly PublishedPort[] =>
  listRuns()
    .filter((run) => run.published.length > 0 && isSameNamespace(run.netns, netns))
    .flatMap(({ published }) => published);

/**
 * Has the first network in the order of the default routes that can publish ports do that, and no other one.
 *
 * @param attachments those of the container; a runtime's own keep what their runtime gave them
 * @param options.again Writes the rules also where they should be there: who moved them last was interrupted
 * @returns false: none of the networks can
 * @throws CniError of the plugin that fails
 */
export function movePorts(
  ports: readonly PublishedPort[],
  order: readonly RouteOwner[],
  attachments: readonly NetworkAttachment[],
  runtime: Runtime,
  { again = false }: { again?: boolean } = {},
): boolean {
  const able = order.flatMap(({ ifName }) => attachments.filter((one) => one.ifName === ifName && canPublish(one)));
  const [holder, ...others] = able;
  const wanted = ports.map((port) => ({ ...port }));
  for (const { entry } of others)
    if (entry !== undefined && (again || hasPorts(entry.capabilityArgs))) setPortMappings(entry, [], runtime);
  if (holder?.entry === undefined) return false;
  if (again || !hasPorts(holder.entry.capabilityArgs)) setPortMappings(holder.entry, wanted, runtime);
  return true;
}

const canPublish = ({ record, entry }: NetworkAttachment): boolean =>
  record !== undefined &&
  entry !== undefined &&
  parseList(entry.config, `cached configuration of ${entry.networkName}`).plugins.some(publishesPorts);

const hasPorts = ({ portMappings }: { portMappings?: unknown }): boolean =>
  Array.isArray(portMappings) && portMappings.length > 0;
