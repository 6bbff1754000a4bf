/** Where cnitool looks. */
import { splitPath } from "../../pkg/cni/environment.ts";
import { defaultConfigDirectory } from "../../pkg/runtime/network-list.ts";
import { findStat } from "../../pkg/sys/file.ts";

type Environment = Readonly<Record<string, string>>;

export const configDirectory = (environment: Environment): string =>
  (environment["NETCONFPATH"] || defaultConfigDirectory).replace(/(?<=.)\/+$/, "");

/** For running plugins only what the user says counts, as in the Go tool. */
export const pluginPath = (environment: Environment): string[] => splitPath(environment["CNI_PATH"] ?? "");

/** Where containerd, CRI-O and podman look unless told otherwise. */
const usual: readonly string[] = ["/opt/cni/bin", "/usr/libexec/cni", "/usr/lib/cni"];

/** For looking at plugins: CNI_PATH, else the usual directories as far as they exist. */
export function pluginPathOrUsual(environment: Environment): string[] {
  const path = pluginPath(environment);
  return path.length > 0 ? path : usual.filter((directory) => findStat(directory)?.type === "directory");
}

export const usualPath = `CNI_PATH, or where that is empty ${usual.join(", ")}`;
