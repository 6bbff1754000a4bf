/** What the plugin that does the work is configured with: the configuration's `delegate`, completed by the subnet file. Pure. */
import { formatPrefix } from "../../pkg/ip/address.ts";
import type { SubnetEnv } from "../../pkg/subnet-env/read-strict.ts";
import type { FlannelSettings, PluginConf } from "./netconf.ts";

export type DelegateConf = PluginConf & { readonly ipam: PluginConf };

/** What the delegate is told of the network as it is. */
interface Network {
  name: string;
  /** As the configuration has it, undefined or "" for none. */
  cniVersion: string | undefined;
}

export function delegateConf(settings: FlannelSettings, network: Network, env: SubnetEnv): DelegateConf {
  const { delegate, runtimeConfig } = settings;
  return {
    ipMasq: !env.ipMasq, // somebody has to, and only one
    mtu: env.mtu,
    ...(delegate.type === "bridge" && { isGateway: true }),
    ...delegate,
    ...(runtimeConfig && { runtimeConfig }),
    ...(network.cniVersion && { cniVersion: network.cniVersion }),
    name: network.name,
    ipam: ipamConf(settings.ipam, env),
  };
}

/** The host's own subnets as ranges, and routes to the whole network beside those that were given. */
function ipamConf(given: PluginConf, { networks, subnets }: SubnetEnv): PluginConf {
  const routes = Array.isArray(given["routes"]) ? given["routes"] : [];
  return {
    ...given,
    ranges: subnets.map((subnet) => [{ subnet: formatPrefix(subnet) }]),
    routes: [...routes, ...networks.map((network) => ({ dst: formatPrefix(network) }))],
  };
}
