/** connect: attaches a running container to a network. */
import type { Command } from "../../../pkg/command-line/command.ts";
import { containerCalled } from "../../../pkg/network/container.ts";
import { parseEndpointOptions } from "../../../pkg/network/endpoint-options.ts";
import { allNetworks, containerNames } from "../../cnitool/candidates.ts";
import { addressFlags, connectOnHost, ipsOf, linkFlag, linksOf } from "./endpoint.ts";
import { findNetwork, onHost, withConnectable } from "./surroundings.ts";

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
    ...addressFlags,
    { name: "interface", value: "NAME", about: "name of the interface in the container" },
    { name: "alias", value: "NAME", isList: true, about: "further name of the container in this network" },
    linkFlag,
    {
      name: "driver-opt",
      value: "KEY=VALUE",
      about:
        "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.KEY=VALUE,… or com.docker.network.endpoint.ifname=NAME",
    },
  ],
  complete: (operands, context) => [allNetworks, containerNames][operands.length]?.(context) ?? [],
  examples: ["ip netns add web", "twill network connect --alias www front web"],
  run({ operands: [name = "", text = ""], values, flags, context }) {
    onHost(context, (host) => {
      const { ifName, sysctls } = parseEndpointOptions(values.get("driver-opt") ?? []);
      const options = {
        ips: ipsOf(values),
        linkLocalIps: values.get("link-local-ip") ?? [],
        mac: flags.get("mac"),
        interface: flags.get("interface") ?? ifName,
        sysctls,
        aliases: values.get("alias") ?? [],
        links: linksOf(values),
        ports: [],
        dns: [],
      };
      withConnectable(findNetwork(name, host, text), host, (network) =>
        connectOnHost(network, containerCalled(text), options, host),
      );
    });
    return 0;
  },
};
