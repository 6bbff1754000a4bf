/** rm: removes networks that nothing is attached to. */
import { CniError, ErrorCode, errorText, invalidConf } from "../../../pkg/cni/error.ts";
import type { Command } from "../../../pkg/command-line/command.ts";
import { failureText } from "../../../pkg/command-line/run-command.ts";
import { isObject } from "../../../pkg/config/json.ts";
import { removeStore } from "../../../pkg/ipam/host-local/remove-store.ts";
import { defaultDataDir } from "../../../pkg/ipam/host-local/reservation-directory.ts";
import { deleteLink, findLink, listLinks, openRtnetlink } from "../../../pkg/link/link.ts";
import { attachmentState, listAttachments, type NetworkAttachment } from "../../../pkg/network/attachment.ts";
import { removeRecordDirectory } from "../../../pkg/network/attachment-record.ts";
import { isPredefined, type NetworkDefinition } from "../../../pkg/network/definition.ts";
import { isAnyOpen, placeLinks } from "../../../pkg/network/link-holes.ts";
import { findNetworkCalled, networkCalled, removeNetwork } from "../../../pkg/network/network-directory.ts";
import { bridgeNameOf } from "../../../pkg/network/network-document.ts";
import { collectGarbage, planGarbageCollection } from "../../../pkg/runtime/network.ts";
import { closingAll } from "../../../pkg/sys/left-open.ts";
import { allNetworks } from "../../cnitool/candidates.ts";
import { type Host, onHost } from "./surroundings.ts";

export const rm: Command = {
  name: "rm",
  aliases: ["remove"],
  operands: "<network …>",
  required: 1,
  most: Number.POSITIVE_INFINITY,
  about: "remove networks",
  details:
    "A network is removed when no container is in it, with its bridge. Prints those that were removed, as they were written.",
  flags: [{ name: "force", short: "f", about: "pass over networks that do not exist; one that is in use stays" }],
  complete: (_, context) => allNetworks(context),
  examples: ["twill network rm front"],
  run({ operands, flags, context }) {
    const { stdout, stderr } = context.streams;
    let failed = false;
    onHost(context, (host) => {
      for (const operand of operands) {
        try {
          if (flags.has("force") && findNetworkCalled(operand, host.networks) === undefined) continue;
          const network = networkCalled(operand, host.networks);
          remove(network, host);
          stdout(`${operand}\n`);
        } catch (error) {
          failed = true;
          stderr(failureText("twill network", error));
        }
      }
    });
    return failed ? 1 : 0;
  },
};

/** Removes a network; leaves no descriptor open. @throws CniError 7: it is predefined, or a container is or may be in it */
export const remove = (network: NetworkDefinition, host: Host): void => closingAll(() => removeUnused(network, host));

function removeUnused(network: NetworkDefinition, { runtimeForMany: runtime, warn }: Host): void {
  if (isPredefined(network))
    throw invalidConf(
      `${network.name} is a pre-defined network and cannot be removed`,
      "leave it: without containers it costs nothing",
    );
  if (network.created === "")
    throw invalidConf(
      `network ${network.name} was not created by twill network`,
      `remove it with the program that made it, or remove its file: ${network.file}`,
    );
  const { users, unreadable } = usersOf(network, runtime.cacheRoot);
  if (users.length > 0) throw isInUse(network, users);
  if (unreadable.length > 0) throw mayBeInUse(network, unreadable);
  const { list } = network;
  if (list !== undefined)
    collect(
      () =>
        collectGarbage(
          list,
          planGarbageCollection(list, () => false, runtime),
          runtime,
        ),
      warn,
    );
  if (isAnyOpen(network.name)) collect(() => placeLinks(network.name, runtime.cacheRoot), warn);
  deleteBridge(network);
  for (const { ipam } of list?.plugins ?? []) {
    if (isObject(ipam) && ipam["type"] === "host-local" && ipam["dataDir"] === undefined)
      removeStore(defaultDataDir, network.name);
  }
  removeRecordDirectory(network.id);
  removeNetwork(network);
}

/** Plugins that are missing or fail must not keep a network that nobody uses. */
function collect(work: () => void, warn: (text: string) => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    warn(errorText(error));
  }
}

/** Who is in a network. */
interface Users {
  /** Attachments whose container exists, or may exist. */
  users: NetworkAttachment[];
  /** Files that cannot be read, and may be those of further ones. */
  unreadable: string[];
}

export function usersOf(network: NetworkDefinition, cacheRoot: string): Users {
  const { attachments, unreadable } = listAttachments(cacheRoot, network);
  return { users: attachments.filter((attachment) => attachmentState(attachment) !== "dead"), unreadable };
}

const mayBeInUse = ({ name }: NetworkDefinition, unreadable: readonly string[]): CniError =>
  new CniError({
    code: ErrorCode.invalidConfig,
    msg: `error while removing network: a container may be in network ${name}: what is attached to it cannot be read`,
    details: unreadable.join("; "),
    remedy: "remove the file when its container is gone, or stop the container, then run this again",
  });

function isInUse({ name, id }: NetworkDefinition, users: readonly NetworkAttachment[]): CniError {
  const unknown = users.some((attachment) => attachmentState(attachment) === "unknown");
  return new CniError({
    code: ErrorCode.invalidConfig,
    msg: `error while removing network: network ${name} id ${id} has active endpoints`,
    details: users.map(({ containerName, addresses }) => [containerName, ...addresses].join(" ")).join(", "),
    remedy: `disconnect or stop these containers first: twill network disconnect ${name} ${users[0]?.containerName}${unknown ? "; of those that no longer exist, add -f" : ""}`,
  });
}

/** Deletes the bridge that the plugin made for the network, unless something is connected to it. */
function deleteBridge(network: NetworkDefinition): void {
  if (network.driver !== "bridge") return;
  const rtnl = openRtnetlink();
  const bridge = findLink(rtnl, bridgeNameOf(network));
  if (bridge?.kind !== "bridge" || listLinks(rtnl).some(({ master }) => master === bridge.index)) return;
  deleteLink(rtnl, bridge.index);
}
