/** Tells whose a plugin's file is: one of twill's, another implementation's, or no plugin at all. */
import { CniError } from "../../../pkg/cni/error.ts";
import type { Delegates } from "../../../pkg/cni/plugin.ts";
import { pluginInfo, versionsOf } from "../../../pkg/runtime/plugin-info.ts";
import { findStat } from "../../../pkg/sys/file.ts";

export type Origin =
  | { whose: "nobody" }
  | { whose: "ours"; version: string }
  /** @param about what the plugin says about itself; "" when it says nothing */
  | { whose: "foreign"; about: string }
  /** It does not answer VERSION: why. */
  | { whose: "no plugin"; why: string };

/** This executable, whose plugins and version are known. */
export interface Self {
  plugins: Delegates;
  version: string;
}

/** Only a file that answers VERSION is started without CNI_COMMAND: another program might then do its work. */
export function originOf(directory: string, name: string, { plugins, version }: Self): Origin {
  const file = { name, path: `${directory}/${name}`, hiddenBy: undefined };
  const type = findStat(file.path)?.type;
  if (type === undefined && findStat(file.path, "link") === undefined) return { whose: "nobody" };
  if (type !== "file") return { whose: "no plugin", why: type === "directory" ? "it is a directory" : "it is no file" };
  try {
    versionsOf(file, plugins);
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    return { whose: "no plugin", why: error.msg };
  }
  const { about, isOurs } = pluginInfo(file, plugins, version);
  return isOurs ? { whose: "ours", version: /\+twill\.([\w.-]+)/.exec(about)?.[1] ?? "" } : { whose: "foreign", about };
}

/** Formats as "CNI bridge plugin v1.1.1", or what else is known. */
export function describe(origin: Origin): string {
  if (origin.whose === "ours") return `twill ${origin.version}`.trimEnd();
  if (origin.whose === "nobody") return "absent";
  if (origin.whose === "no plugin") return `no plugin: ${origin.why}`;
  return origin.about || "another plugin";
}
