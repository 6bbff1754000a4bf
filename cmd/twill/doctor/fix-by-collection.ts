/** The fix of what GC removes: it does what `twill gc` does for one network. */
import type { Runtime } from "../../../pkg/runtime/network.ts";
import { loadNetwork } from "../../../pkg/runtime/network-list.ts";
import { defaultCacheRoot } from "../../../pkg/runtime/result-cache.ts";
import { directoryOf } from "../../../pkg/sys/file.ts";
import { pluginPathOrUsual } from "../../cnitool/paths.ts";
import { collect, safePlan } from "../gc/safe-collection.ts";
import type { Fix } from "./finding.ts";
import type { NodeView } from "./node-view.ts";

/** Returns undefined when the network is not configured. */
export function fixByCollection(network: string, { networks, self, environment }: NodeView): Fix | undefined {
  const configured = networks.find(({ name }) => name === network);
  if (configured === undefined) return undefined;
  return {
    text: `collect garbage of network "${network}"`,
    run() {
      const list = loadNetwork(directoryOf(configured.file), network, () => undefined);
      const runtime: Runtime = {
        path: pluginPathOrUsual(environment),
        cacheRoot: defaultCacheRoot,
        delegates: self.plugins,
      };
      collect(list, safePlan(list, runtime), runtime);
    },
  };
}
