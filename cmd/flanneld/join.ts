/** Joins the cluster: reads the network configuration, selects the external interface, creates the device, acquires a lease. */

import type { Lease, LeaseAttributes, Subnets } from "../../pkg/cluster/lease/lease.ts";
import type { LeaseManager } from "../../pkg/cluster/lease/manager.ts";
import { familiesOf, type NetworkConfig } from "../../pkg/cluster/lease/network-config.ts";
import type { Log } from "../../pkg/cluster/log/log.ts";
import type { Backend, BackendContext, ExternalInterface } from "../../pkg/flannel/backend/backend.ts";
import { type BackendTypes, backendTypes } from "../../pkg/flannel/backend/backend-registry.ts";
import { createBackend, endOtherBackends } from "../../pkg/flannel/backend/create-backend.ts";
import { type Selection, selectExternalInterface } from "../../pkg/flannel/backend/interface/external-interface.ts";
import { listLocalAddresses, reservedFor } from "../../pkg/flannel/backend/local-networks.ts";
import type { Prefix } from "../../pkg/ip/address.ts";
import { findLink, openRtnetlink } from "../../pkg/link/link.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { statePathOf } from "../../pkg/subnet-env/daemon-state.ts";
import { type EarlierSubnets, readEarlierSubnets, type SubnetFile } from "../../pkg/subnet-env/subnet-file.ts";
import { checkPrerequisites } from "./br-netfilter.ts";
import { leaseAttributes } from "./interface-follower.ts";
import { readNetworkConfig } from "./network-config.ts";
import type { Options } from "./options/options.ts";
import { aboutSubnetFile } from "./subnet-file-error.ts";

export interface JoinedNetwork {
  network: NetworkConfig;
  /** The text of the network configuration. */
  configText: string;
  rtnl: Connection;
  external: ExternalInterface;
  /** Selects the external interface anew. @throws Error there is none that fits */
  findExternal(current: ExternalInterface): ExternalInterface;
  backend: Backend;
  /** The attributes of the lease. */
  attributes: LeaseAttributes;
  lease: Lease;
  /** The content of an earlier run's subnet.env. */
  earlier: EarlierSubnets;
}

/**
 * Joins the cluster. The device is created before the lease, which contains its MAC.
 *
 * @throws NoConfig, InvalidNetworkConfig, NoSubnet, StoreError: temporary (retry-start.ts); any other Error: permanent
 */
export async function joinNetwork(options: Options, manager: LeaseManager, log: Log): Promise<JoinedNetwork> {
  const configText = await manager.readConfig();
  const { config: network, warnings } = readNetworkConfig(configText, manager.subnets);
  for (const warning of [...warnings, ...checkPrerequisites(needsOf(options, network))]) log.warn(warning);
  const rtnl = openRtnetlink();
  try {
    const select = (how: Selection) =>
      selectExternalInterface(rtnl, options.externalInterface, configuredFamilies(network), how);
    const external = select({ passedOver: (why) => log.info(`skipped ${why}`) });
    const published = await manager.findPublished();
    const statePath = statePathOf(options.subnetFile);
    const context = { rtnl, external, network, published, statePath, remedies: manager.remedies, log };
    return await withNewBackend(context, backendTypes, async (backend, attributes) => {
      const earlier = await aboutSubnetFile(options.subnetFile, () =>
        readEarlierSubnets(options.subnetFile, (problem) => log.warn(problem)),
      );
      const previous = previousSubnets(earlier);
      const local = localNetworks(rtnl, { network, backend, external, own: previous });
      const lease = await manager.acquire(network, { attributes, previous, local });
      const findExternal = (current: ExternalInterface) => select({ current });
      return { network, configText, rtnl, external, findExternal, backend, attributes, lease, earlier };
    });
  } catch (error) {
    rtnl.close(); // this is tried once a second, perhaps for days
    throw error;
  }
}

/** Creates the backend, ends what others have left, has it create its device, and closes it if the rest fails. */
export async function withNewBackend<T>(
  context: BackendContext,
  types: BackendTypes,
  rest: (backend: Backend, attributes: LeaseAttributes) => Promise<T>,
): Promise<T> {
  const backend = createBackend(context, types);
  try {
    await endOtherBackends(context, types);
    return await rest(backend, leaseAttributes(await backend.attributes(), context.external));
  } catch (error) {
    await backend.close();
    throw error;
  }
}

/** Returns the network's families, for `selectExternalInterface`. */
const configuredFamilies = ({ ipv4, ipv6 }: NetworkConfig) => ({
  ipv4: ipv4 !== undefined,
  ipv6: ipv6 !== undefined,
});

interface Present extends Pick<JoinedNetwork, "network" | "backend" | "external"> {
  /** The subnets that this host had before: its containers may still have addresses of them. */
  own: Subnets | undefined;
}

/** Lists the parts of the cluster network that its containers cannot have, because addresses of this host itself are in them. */
function localNetworks(rtnl: Connection, { network, backend, external, own }: Present): Prefix[] {
  const devices = backend.devices.flatMap(({ name }) => findLink(rtnl, name)?.index ?? []);
  return familiesOf(network).flatMap((family) => {
    const side = { networks: [family.network], devices, own, external: external.index };
    return listLocalAddresses(rtnl, side).map((one) => reservedFor(one, family.network));
  });
}

const needsOf = ({ rules }: Options, { nftables }: NetworkConfig) => ({
  bridgedTraffic: !nftables,
  requireBrNetfilter: rules.requireBrNetfilter,
});

function previousSubnets({ ipv4, ipv6 }: EarlierSubnets): Subnets | undefined {
  if (ipv4.subnet === undefined) return undefined;
  return { ipv4: ipv4.subnet, ...(ipv6.subnet && { ipv6: ipv6.subnet }) };
}

export function subnetFileOf({ rules }: Options, { network, lease, backend }: JoinedNetwork): SubnetFile {
  const { ipv4, ipv6 } = network;
  return {
    ...(ipv4 && lease.ipv4 && { ipv4: { network: ipv4.network, subnet: lease.ipv4 } }),
    ...(ipv6 && lease.ipv6 && { ipv6: { network: ipv6.network, subnet: lease.ipv6 } }),
    mtu: backend.mtu,
    ipMasq: rules.masquerade,
  };
}
