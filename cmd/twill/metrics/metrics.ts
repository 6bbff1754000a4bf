/** `twill metrics`: the node's container network in numbers, for Prometheus. */
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";
import type { Command } from "../../../pkg/command-line/command.ts";
import { oneLine } from "../../../pkg/command-line/table.ts";
import { isErrno } from "../../../pkg/sys/errno.ts";
import { directoryOf, replaceFile } from "../../../pkg/sys/file.ts";
import { viewNode } from "../doctor/node-view.ts";
import { exposition } from "./exposition.ts";
import { metricsOf } from "./families.ts";

export const metrics: Command = {
  name: "metrics",
  operands: "",
  required: 0,
  most: 0,
  about: "print the state of this node's container network in the text format of Prometheus",
  details: [
    "Addresses in use and free, attachments, leftovers, lost rules, failed and slow calls, as doctor, ipam ls and log have them. With",
    "--output the file is replaced at once, for node_exporter's textfile collector: conf/twill-metrics.timer does so each minute. What",
    "cannot be read is absent, twill_collection_success is 0 for it, and stderr says why. NETCONFPATH and CNI_PATH are as for cnitool.",
  ].join("\n"),
  flags: [{ name: "output", short: "o", value: "FILE", about: "write to this file, in one step, instead of stdout" }],
  examples: ["twill metrics", "twill metrics --output /var/lib/prometheus/node-exporter/twill.prom"],
  run({ flags, context }) {
    const { stdout, stderr, environment } = context.streams;
    const { families, problems } = metricsOf(viewNode(context, environment));
    for (const problem of problems) stderr(`twill metrics: not known: ${oneLine(problem)}\n`);
    const text = exposition(families);
    const path = flags.get("output");
    if (path === undefined) stdout(text);
    else write(path, text);
    return 0;
  },
};

function write(path: string, text: string): void {
  try {
    replaceFile(path, text, { mode: 0o644, ignoreUmask: true });
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
    throw new CniError({
      code: ErrorCode.io,
      msg: `${path} cannot be written: there is no directory ${directoryOf(path)}`,
      remedy: "name a file in the directory of node_exporter's flag --collector.textfile.directory",
      cause: error,
    });
  }
}
