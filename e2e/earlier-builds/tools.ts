// A build, by the folder of its output, and its programs run on a node.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { legacyIptables } from "../lab/commands.ts";
import type { Ran } from "../lab/host.ts";
import type { Node } from "./node.ts";

export interface Build {
  /** With the plugins: CNI_PATH. */
  plugins: string;
  /** With cnitool, twill and flanneld. */
  tools: string;
}

/** @param dist "dist" of a clone in which it was built. Until 7ef44b8 plugins and tools were in one folder. */
export function buildIn(dist: string): Build {
  const tools = join(dist, "bin");
  const plugins = join(dist, "plugins");
  return { tools, plugins: existsSync(plugins) ? plugins : tools };
}

export interface Options {
  environment?: Record<string, string> | undefined;
  /** The host's iptables are the legacy ones. */
  isLegacy?: boolean | undefined;
  /** A command in front, as strace. */
  under?: readonly string[];
}

const legacyFirst = `
d=/var/lib/legacy-iptables
mkdir -p $d
for name in ${Object.keys(legacyIptables).join(" ")}; do ln -sf /usr/sbin/xtables-legacy-multi $d/$name; done
PATH=$d:$PATH exec "$@"`;

/** The first word of the command is the name of a tool or plugin. */
export function runTool(
  node: Node,
  build: Build,
  [name = "", ...args]: readonly string[],
  { environment, isLegacy = false, under = [] }: Options = {},
): Ran {
  const folder = existsSync(join(build.tools, name)) ? build.tools : build.plugins;
  const legacy = isLegacy ? ["sh", "-ec", legacyFirst, "legacy"] : [];
  return node.exec([...legacy, ...under, join(folder, name), ...args], {
    CNI_PATH: build.plugins,
    NETCONFPATH: "/var/lib/net.d",
    ...environment,
  });
}
