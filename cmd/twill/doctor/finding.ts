/** What `twill doctor` tells, and the checks that find it. */

import type { Link } from "../../../pkg/link/link.ts";
import type { InstalledRuntimes } from "../../../pkg/runtime/installed-runtimes.ts";
import type { CacheEntry, DamagedFile } from "../../../pkg/runtime/result-cache.ts";
import type { NamespaceState } from "../../../pkg/sys/namespace-state.ts";
import type { LintResult, Network } from "../../cnitool/lint/lint-file.ts";
import type { Self } from "../install/origin.ts";

export interface Finding {
  /** The check's name. */
  id: string;
  /** An error: containers cannot be attached, or have no network. */
  severity: "error" | "warning";
  /** One line. */
  text: string;
  /** What was seen, a line each. */
  evidence: readonly string[];
  remedy: string;
  /** What --fix does; absent where it needs a decision. */
  fix?: Fix;
}

export interface Fix {
  /** As "set net.ipv4.ip_forward to 1". */
  text: string;
  run(): void;
}

export interface Check {
  /** As in `twill doctor` and docs/doctor.md. */
  id: string;
  find(node: Node): Finding[];
}

/** An attachment that a runtime remembers. */
export interface CachedAttachment {
  entry: CacheEntry;
  state: NamespaceState;
}

/** What the checks look at. */
export interface Node {
  self: Self;
  installed: InstalledRuntimes;
  /** Files of network configurations, with what cnitool validate says of each. */
  configurations: readonly LintResult[];
  networks: readonly Network[];
  attachments: readonly CachedAttachment[];
  damaged: readonly DamagedFile[];
  links: readonly Link[];
  /** Returns a setting below /proc/sys/net; undefined when this kernel has none. */
  sysctl(name: string): string | undefined;
  environment: Readonly<Record<string, string>>;
}

export const nameOf = ({ networkName, containerId, ifName }: CacheEntry): string =>
  `${networkName} ${containerId} ${ifName}`;

/** Whether the host forwards for a network: its plugin is a gateway. */
export const isRouted = ({ plugins }: Network): boolean =>
  plugins.some(({ type, conf }) => {
    if (type === "ptp" || type === "flannel") return true;
    return type === "bridge" && (conf["isGateway"] === true || conf["isDefaultGateway"] === true);
  });
