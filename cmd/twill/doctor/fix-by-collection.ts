/** The fixes of what GC removes: they do what `twill gc` does for one network. */
import { CniError } from "../../../pkg/cni/error.ts";
import { hostConnections } from "../../../pkg/firewall/host-connections.ts";
import type { Runtime } from "../../../pkg/runtime/network.ts";
import { loadNetwork, type NetworkList } from "../../../pkg/runtime/network-list.ts";
import { defaultCacheRoot } from "../../../pkg/runtime/result-cache.ts";
import { directoryOf } from "../../../pkg/sys/file.ts";
import { callsGc, collect, safePlan } from "../gc/safe-collection.ts";
import type { Fix } from "./finding.ts";
import type { ConfiguredNetwork, NodeView } from "./node-view.ts";

/** All fixes of a run share them; each is opened when it is needed. */
const host = hostConnections();

/** Returns the fix of dead attachments; undefined when the network is not configured, or nothing is to be collected in it. */
export const fixByDeletion = (network: string, node: NodeView): Fix | undefined =>
  fixBy(network, node, ({ disableGC }) => !disableGC);

/** Returns the fix of what plugins remove in their GC; undefined also when GC of the network's plugins is not called. */
export const fixByGc = (network: string, node: NodeView): Fix | undefined => fixBy(network, node, callsGc);

function fixBy(network: string, node: NodeView, isAble: (list: NetworkList) => boolean): Fix | undefined {
  const configured = node.networks.find(({ name }) => name === network);
  const list = configured && loaded(configured);
  if (configured === undefined || list === undefined || !isAble(list)) return undefined;
  return {
    text: `collect garbage of network "${network}"`,
    run() {
      const runtime: Runtime = {
        path: configured.path,
        cacheRoot: defaultCacheRoot,
        delegates: node.self.plugins,
        host,
      };
      collect(list, safePlan(list, runtime), runtime);
    },
  };
}

/** What is wrong with a configuration is told by another check. */
function loaded({ file, name }: ConfiguredNetwork): NetworkList | undefined {
  try {
    return loadNetwork(directoryOf(file), name, () => undefined);
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}
