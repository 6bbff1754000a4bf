/** mk-docker-opts: writes the options with which Docker's daemon uses this host's subnet. Replaces flannel's script. */
import { CniError, ErrorCode, failureOf } from "../../pkg/cni/error.ts";
import type { Tool, ToolContext } from "../../pkg/cni/tool.ts";
import { addToAddress, formatAddress, formatPrefix, isIPv4, type Prefix, parsePrefix } from "../../pkg/ip/address.ts";
import { openRtnetlink } from "../../pkg/link/link.ts";
import { listRoutes } from "../../pkg/link/route.ts";
import { AF_INET } from "../../pkg/netlink/rtnetlink/family.ts";
import { parseDotenv } from "../../pkg/subnet-env/dotenv.ts";
import { findText, writeFile } from "../../pkg/sys/file.ts";
import { dockerOptions } from "./docker-options.ts";
import { readOptions, usage, WrongUsage } from "./options.ts";

export const mkDockerOpts: Tool = {
  name: "mk-docker-opts",
  about: "converts flanneld's subnet file into options for Docker's daemon",
  run: (args, context) => (args.length === 0 ? help(context) : run(args, context)),
};

/** The tool under the name of flannel's script, which units and images call. Without arguments it writes the file, too. */
export const mkDockerOptsScript: Tool = {
  name: "mk-docker-opts.sh",
  about: "the same, under the name of flannel's script",
  run,
};

/** Prints the usage: without arguments a tool changes nothing, unless its name is that of an existing script. */
function help({ streams }: ToolContext): number {
  streams.stdout(usage);
  return 0;
}

function run(args: readonly string[], { streams }: ToolContext): number {
  try {
    const options = readOptions(args);
    const variables = new Map([...Object.entries(streams.environment), ...variablesIn(options.subnetFile)]);
    writeFile(options.outputFile, dockerOptions(variables, options), { mode: 0o666 }); // subject to the umask, as in the script
    refuseRoutedSubnet(variables.get("FLANNEL_SUBNET") ?? "");
    return 0;
  } catch (error) {
    streams.stderr(error instanceof WrongUsage ? usageAfter(error.message) : textOf(failureOf(error)));
    return 1;
  }
}

/** Returns the file's variables; none if there is no file. */
const variablesIn = (subnetFile: string) => parseDotenv(findText(subnetFile) ?? "");

const usageAfter = (problem: string): string => (problem === "" ? usage : `mk-docker-opts: ${problem}\n${usage}`);

const textOf = ({ msg, details }: CniError): string =>
  `mk-docker-opts: ${msg}\n${details === "" ? "" : `  ${details}\n`}`;

/** Refuses a subnet that has a route: Docker would use it for its bridge and make the destinations of that route unreachable. */
function refuseRoutedSubnet(text: string): void {
  const bridge = parsePrefix(text);
  if (bridge === undefined || !isIPv4(bridge.address)) return;
  const subnet: Prefix = { address: addToAddress(bridge.address, -1), length: bridge.length };
  const gateway = gatewayTo(subnet);
  if (gateway === undefined) return;
  const route = `${formatPrefix(subnet)} via ${gateway}`;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `Your routing table already contains the subnet: ${route}`,
    remedy: `find out what needs it, or remove it: ip route del ${route}`,
  });
}

function gatewayTo(subnet: Prefix): string | undefined {
  const route = listRoutes(openRtnetlink(), AF_INET).find(
    ({ destination, destinationLength, gateway }) =>
      gateway !== undefined &&
      destination !== undefined &&
      formatPrefix({ address: destination, length: destinationLength }) === formatPrefix(subnet),
  );
  return route?.gateway && formatAddress(route.gateway);
}
