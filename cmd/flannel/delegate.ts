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
 * Returns what is known of the delegate's configuration without a record. Its DEL finds what belongs to the attachment by the owner, and
 * is told to look also for a masquerade, which ADD may have been told to make.
 */
export function delegateConfForDel(
  settings: FlannelSettings,
  network: Network,
  env: SubnetEnv | undefined,
): DelegateConf {
  const { mtu: _, ...conf } = delegateConf(
    settings,
    network,
    env ?? { networks: [], subnets: [], mtu: 0, ipMasq: false },
  );
  return { ...conf, ipMasq: true, ipam: env === undefined ? settings.ipam : conf.ipam };
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
