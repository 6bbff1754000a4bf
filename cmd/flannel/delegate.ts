/** The delegate's configuration: the key `delegate` of the configuration, completed from the subnet file. Pure. */
import { formatPrefix } from "../../pkg/ip/address.ts";
import type { SubnetEnv } from "../../pkg/subnet-env/read-strict.ts";
import type { FlannelSettings, PluginConf } from "./netconf.ts";

export type DelegateConf = PluginConf & { readonly ipam: PluginConf };

/** The network's keys that the delegate gets. */
interface Network {
  name: string;
  /** As in the configuration; undefined or "" for none. */
  cniVersion: string | undefined;
}

export function delegateConf(settings: FlannelSettings, network: Network, env: SubnetEnv): DelegateConf {
  const { delegate, runtimeConfig } = settings;
  return {
    ipMasq: !env.ipMasq, // either flanneld or the delegate must masquerade, not both
    mtu: env.mtu,
    ...(delegate.type === "bridge" && { isGateway: true }),
    ...delegate,
    ...(runtimeConfig && { runtimeConfig }),
    ...(network.cniVersion && { cniVersion: network.cniVersion }),
    name: network.name,
    ipam: ipamConf(settings.ipam, env),
  };
}

/**
 * Returns the IPAM configuration with the host's own subnets as ranges, and with a route to the whole network in addition to the
 * given routes.
 */
function ipamConf(given: PluginConf, { networks, subnets }: SubnetEnv): PluginConf {
  const routes = Array.isArray(given["routes"]) ? given["routes"] : [];
  return {
    ...given,
    ranges: subnets.map((subnet) => [{ subnet: formatPrefix(subnet) }]),
    routes: [...routes, ...networks.map((network) => ({ dst: formatPrefix(network) }))],
  };
}
