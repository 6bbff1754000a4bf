/** The directories that cnitool uses. */
import { splitPath } from "../../pkg/cni/environment.ts";
import { defaultConfigDirectory } from "../../pkg/runtime/network-list.ts";
import { findStat } from "../../pkg/sys/file.ts";

type Environment = Readonly<Record<string, string>>;

export const configDirectory = (environment: Environment): string =>
  (environment["NETCONFPATH"] || defaultConfigDirectory).replace(/(?<=.)\/+$/, "");

/** Returns the path for running plugins: only CNI_PATH, as in the Go tool. */
export const pluginPath = (environment: Environment): string[] => splitPath(environment["CNI_PATH"] ?? "");

/** The default directories of containerd, CRI-O and podman. */
const usual: readonly string[] = ["/opt/cni/bin", "/usr/libexec/cni", "/usr/lib/cni"];

/** Returns the path for inspecting plugins: CNI_PATH, or else those of the usual directories that exist. */
export function pluginPathOrUsual(environment: Environment): string[] {
  const path = pluginPath(environment);
  return path.length > 0 ? path : usual.filter((directory) => findStat(directory)?.type === "directory");
}

export const usualPath = `CNI_PATH, or if that is not set, ${usual.join(", ")}`;
