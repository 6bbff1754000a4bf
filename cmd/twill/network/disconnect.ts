/** disconnect: takes a container off a network. */
import { CniError } from "../../../pkg/cni/error.ts";
import type { Command } from "../../../pkg/command-line/command.ts";
import { disconnectContainer } from "../../../pkg/network/connect.ts";
import { type Container, containerCalled } from "../../../pkg/network/container.ts";
import { findStat } from "../../../pkg/sys/file.ts";
import { allNetworks, containerNames } from "../../cnitool/candidates.ts";
import { updateContainerFiles } from "./container-files.ts";
import { findAttachedNetwork, onHost, refuseWithoutPlugins, syncNames } from "./surroundings.ts";

export const disconnect: Command = {
  name: "disconnect",
  operands: "<network> <container>",
  required: 2,
  most: 2,
  about: "disconnect a container from a network",
  details: "The container is named as for connect, or by what twill network inspect shows. It may be gone.",
  flags: [
    {
      name: "force",
      short: "f",
      about: "disconnect what a runtime has connected, and forget a container whose plugins fail",
    },
  ],
  complete: (operands, context) => [allNetworks, containerNames][operands.length]?.(context) ?? [],
  examples: ["twill network disconnect front web"],
  run({ operands: [name = "", text = ""], flags, context }) {
    onHost(context, (host) => {
      const network = findAttachedNetwork(name, host, text);
      refuseWithoutPlugins(network);
      const target = { text, container: findContainer(text) };
      disconnectContainer(network, target, { force: flags.has("force") }, host.runtime, host.warn);
      syncNames(host);
      if (target.container !== undefined) updateContainerFiles(network, target.container.netns, host);
    });
    return 0;
  },
};

/** Returns undefined for one that is gone: the network may know it. */
function findContainer(text: string): Container | undefined {
  try {
    const container = containerCalled(text);
    return findStat(container.netns) === undefined ? undefined : container;
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}
