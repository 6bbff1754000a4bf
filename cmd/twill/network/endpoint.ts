/** What a container has in a network: the options for it that connect and run share, and how it gets it. */
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";
import type { Flag, FlagValues } from "../../../pkg/command-line/command.ts";
import { type ConnectOptions, connectContainer, type PluginNetwork } from "../../../pkg/network/connect.ts";
import type { Container } from "../../../pkg/network/container.ts";
import { updateContainerFiles } from "./container-files.ts";
import { type Host, syncNames } from "./surroundings.ts";

export const addressFlags: readonly Flag[] = [
  { name: "ip", value: "ADDRESS", about: "IPv4 address; with /LENGTH where they are static" },
  { name: "ip6", value: "ADDRESS", about: "IPv6 address; with /LENGTH where they are static" },
  { name: "link-local-ip", value: "ADDRESS", isList: true, about: "further address of 169.254.0.0/16 or fe80::/10" },
  { name: "mac", value: "MAC", about: "MAC of the interface" },
];

export const linkFlag: Flag = {
  name: "link",
  value: "CONTAINER[:ALIAS]",
  about: "name of another container that only this one sees; with enable_icc=false also opens what that one exposes",
};

/** Reads --ip and --ip6. */
export const ipsOf = (values: FlagValues): string[] => [...(values.get("ip") ?? []), ...(values.get("ip6") ?? [])];

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

/** Connects a container, and has its names answered and its files say so. @throws CniError: it is not connected then */
export function connectOnHost(network: PluginNetwork, container: Container, options: ConnectOptions, host: Host): void {
  connectContainer(network, container, options, host.runtime, host.warn);
  syncNames(host);
  updateContainerFiles(network, container.netns, host);
}
