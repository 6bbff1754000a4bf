/** What a container is called that its own runtime attached: the runtime's cache and files tell. */
import { isObject } from "../config/json.ts";
import { namespacePath } from "../runtime/cached-namespace.ts";
import { containerIdOf } from "../runtime/container-id.ts";
import type { CacheEntry } from "../runtime/result-cache.ts";
import { nameInContainerd, type Root } from "./container.ts";

type Attached = Pick<CacheEntry, "containerId" | "networkName" | "ifName" | "netns" | "cniArgs" | "capabilityArgs"> &
  Pick<CacheEntry, "result">;

/**
 * Returns the name: that of the pod, which podman gives its containers' name as well; else that of nerdctl; of a container that cnitool attached, the
 * last part of its namespace's path. undefined: it has none.
 */
export function containerNameOf(entry: Attached, root: Root = ""): string | undefined {
  const { containerId } = entry;
  const pod = argumentOf(entry, "K8S_POD_NAME");
  if (pod) return pod;
  const netns = namespacePath(entry);
  if (netns !== undefined && containerIdOf(netns) === containerId) return netns.slice(netns.lastIndexOf("/") + 1);
  return nameInContainerd(containerId, root);
}

/** Returns the pod as "namespace/name"; undefined for a container that is not of Kubernetes, as podman's. */
export function podOf(entry: Attached): string | undefined {
  const [namespace, name] = ["K8S_POD_NAMESPACE", "K8S_POD_NAME"].map((key) => argumentOf(entry, key));
  return namespace && name ? `${namespace}/${name}` : undefined;
}

const argumentOf = ({ cniArgs }: Attached, name: string): string | undefined =>
  cniArgs.find(([key]) => key === name)?.[1];

/** Returns the further names that the runtime was told of, as by `podman run --network-alias`: those of the capability "aliases". */
export function aliasesOf({ capabilityArgs, networkName }: Attached): string[] {
  const { aliases } = capabilityArgs;
  const own = isObject(aliases) ? aliases[networkName] : undefined;
  return Array.isArray(own) ? own.filter((one) => typeof one === "string") : [];
}
