// Entries of the runtimes' cache as libcni, podman and containerd wrote them (pkg/runtime/cache-entries), for a container of a test.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Host } from "./host.ts";
import { projectRoot } from "./project.ts";

export interface CacheSample {
  /** As "libcni-1.1.2-cni-0.4.0". */
  writer: string;
  /** Whether the namespace's path is in there, as "netns" or in the result. */
  hasNamespace: boolean;
  /** Writes the entry for interface eth0 of the container on network "net". @param backend that of its plugins, if not the default */
  write(node: Host, container: { id: string; netns: string }, backend?: string): void;
}

const directory = join(projectRoot, "pkg/runtime/cache-entries");

export const cacheSamples: readonly CacheSample[] = readdirSync(directory)
  .filter((name) => name !== "README.md")
  .map((writer) => {
    const name = readdirSync(join(directory, writer, "results")).find((file) => file.startsWith("net-")) ?? "";
    const text = readFileSync(join(directory, writer, "results", name), "utf8");
    const [, id = ""] = /"containerId":"([^"]*)"/.exec(text) ?? [];
    const [, netns] = /"(?:netns|sandbox)":"([^"]*)"/.exec(text) ?? [];
    return {
      writer,
      hasNamespace: netns !== undefined,
      write(node, container, backend) {
        const renamed = text.replaceAll(id, container.id);
        const own = netns === undefined ? renamed : renamed.replaceAll(netns, container.netns);
        node.write(
          `/var/lib/cni/results/net-${container.id}-eth0`,
          own.replace(/"config":"([^"]*)"/, (config, base64) =>
            backend ? `"config":"${withBackend(base64, backend)}"` : config,
          ),
        );
      },
    };
  });

function withBackend(base64: string, backend: string): string {
  const list = JSON.parse(Buffer.from(base64, "base64").toString()) as { plugins: Record<string, unknown>[] };
  for (const plugin of list.plugins) {
    if (plugin["type"] === "bridge") plugin["ipMasqBackend"] = backend;
    else plugin["backend"] = backend;
  }
  return Buffer.from(JSON.stringify(list)).toString("base64");
}
