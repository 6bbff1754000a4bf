/** connect: attaches a running container to a network. */
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";
import type { Command, FlagValues } from "../../../pkg/command-line/command.ts";
import { connectContainer } from "../../../pkg/network/connect.ts";
import { containerCalled } from "../../../pkg/network/container.ts";
import { updateContainerFiles } from "./container-files.ts";
import { connectable, findNetwork, onHost, syncNames } from "./surroundings.ts";

export const connect: Command = {
  name: "connect",
  operands: "<network> <container>",
  required: 2,
  most: 2,
  about: "connect a running container to a network",
  details: [
    "The container is named by its name or ID in podman, containerd or nerdctl, by the ID of a process in it, by the path of its network",
    "namespace, or by the namespace's name in /run/netns. Its interface is the next ethN. When the container is gone, what connect made is",
    "removed by the next command of twill network.",
  ].join("\n"),
  flags: [
    { name: "ip", value: "ADDRESS", about: "IPv4 address" },
    { name: "ip6", value: "ADDRESS", about: "IPv6 address" },
    { name: "mac", value: "MAC", about: "MAC of the interface" },
    { name: "interface", value: "NAME", about: "name of the interface in the container" },
    { name: "alias", value: "NAME", about: "further name of the container in this network" },
    { name: "link", value: "CONTAINER[:ALIAS]", about: "name of another container that only this one sees" },
  ],
  examples: ["ip netns add web", "twill network connect --alias www front web"],
  run({ operands: [name = "", text = ""], values, flags, context }) {
    onHost(context, (host) => {
      const network = connectable(findNetwork(name, host), host);
      const options = {
        ips: [...(values.get("ip") ?? []), ...(values.get("ip6") ?? [])],
        mac: flags.get("mac"),
        interface: flags.get("interface"),
        aliases: values.get("alias") ?? [],
        links: linksOf(values),
        ports: [],
        dns: [],
      };
      const container = containerCalled(text);
      connectContainer(network, container, options, host.runtime);
      syncNames(host);
      updateContainerFiles(network, container.netns, host);
    });
    return 0;
  },
};

/** Reads --link. @throws CniError 4 */
export function linksOf(values: FlagValues): { container: string; alias: string }[] {
  return (values.get("link") ?? []).map((text) => {
    const [container = "", alias = container, ...more] = text.split(":");
    if (container !== "" && alias !== "" && more.length === 0) return { container, alias };
    throw new CniError({
      code: ErrorCode.invalidEnvironment,
      msg: `invalid link ${JSON.stringify(text)}`,
      remedy: "write --link CONTAINER or --link CONTAINER:ALIAS",
    });
  });
}
