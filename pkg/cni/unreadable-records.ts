/** GC passes over files that are not records of the plugin: they prove nothing, and may protect something. One line on stderr for each call. */
import { writeStderr } from "../sys/process.ts";

/** Reports files that GC leaves alone. @param files their paths; none are reported when it is empty. */
export function reportUnreadable(plugin: string, network: string, files: readonly string[]): void {
  const [first, ...others] = files;
  if (first === undefined) return;
  const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
  writeStderr(
    `${plugin}: network "${network}": ${first}${more} is not a record and is ignored: remove it if no container needs it\n`,
  );
}
