/** Creates the backend that the network configuration names. */
import { InvalidNetworkConfig } from "../../cluster/lease/network-config.ts";
import { nearest } from "../../config/edit-distance.ts";
import type { Backend, BackendContext } from "./backend.ts";
import { type BackendTypes, backendTypes, findBackendType } from "./backend-registry.ts";

/** flannel's backends, of which some are not in the registry; it removed the last three, but pages of cloud providers still name them. */
const unsupportedTypes = ["wireguard", "ipip", "ipsec", "extension", "tencent-vpc", "aws-vpc", "gce", "ali-vpc"];

/** @throws InvalidNetworkConfig there is none of that type, or its settings cannot be used here; Error it cannot work here */
export function createBackend(context: BackendContext, types: BackendTypes = backendTypes): Backend {
  const { type } = context.network.backend;
  const found = findBackendType(types, type);
  if (found !== undefined) return found.create(context);
  const known = Object.keys(types);
  const list = `choose one of: ${known.join(", ")}`;
  if (unsupportedTypes.includes(type))
    throw new InvalidNetworkConfig([`backend "${type}" is not implemented by this daemon yet; ${list}`]);
  const guess = nearest(type, [...known, ...unsupportedTypes]);
  throw new InvalidNetworkConfig([
    `backend "${type}" is unknown${guess === undefined ? "" : `, did you mean "${guess}"?`}; ${list}`,
  ]);
}

/** Ends what earlier daemons with other backends than the configured one have left running. */
export async function endOtherBackends(context: BackendContext, types: BackendTypes = backendTypes): Promise<void> {
  for (const [name, type] of Object.entries(types))
    if (name !== context.network.backend.type) await type.endLeftovers?.(context);
}
