/** `twill report`: what somebody who helps has to see of this node, in one file, without secrets. */
import { type TarFile, tarOf } from "../../../pkg/bytes/tar.ts";
import { CniError, ErrorCode, failureOf } from "../../../pkg/cni/error.ts";
import type { Command } from "../../../pkg/command-line/command.ts";
import { oneLine, printable, printed } from "../../../pkg/command-line/table.ts";
import { textWithoutSecrets } from "../../../pkg/config/secrets.ts";
import { nowMs } from "../../../pkg/sys/clock.ts";
import { findStat, writeNewFile } from "../../../pkg/sys/file.ts";
import { encode } from "../../../pkg/sys/text.ts";
import { type Part, partsOf } from "./parts.ts";

export const report: Command = {
  name: "report",
  operands: "FILE",
  required: 1,
  most: 1,
  about: "write what a bug report needs to know of this node into a tar archive",
  details: [
    "The archive has the findings of doctor, failed and slow calls, versions, runtimes, network configurations, attachments, addresses,",
    "links, routes and rules of the host and of its containers. Left out are values that are named like a password, token, secret or",
    "key, credentials in addresses of servers, private keys, CNI_ARGS, and the values of environment variables. Addresses and names of",
    "networks, containers and pods are in it: look through it before you publish it. It changes nothing, and sends nothing.",
  ].join("\n"),
  flags: [],
  examples: ["twill report report.tar && tar -tf report.tar"],
  run({ operands: [file = ""], context }) {
    const { stdout, environment } = context.streams;
    refuseName(file);
    const made = partsOf(context, environment).flatMap(fileOf);
    const content = encode(readme(context.version, made));
    const files = [{ path: "report/README.txt", content }, ...made.flatMap(({ archived }) => archived ?? [])];
    if (!writeNewFile(file, tarOf(files, nowMs() / 1000), { mode: 0o600 })) throw exists(file);
    stdout(
      `${printable(file)}: ${files.length} files; look through it before you publish it: tar -xf ${printable(file)}\n`,
    );
    for (const { path, problem } of made) if (problem !== undefined) stdout(`not known: ${path}: ${problem}\n`);
    return 0;
  },
};

/** Refuses before the node is looked at. @throws CniError 4 */
function refuseName(file: string): void {
  if (/\.(t?gz|zip|xz|zst|bz2)$/.test(file))
    throw new CniError({
      code: ErrorCode.invalidEnvironment,
      msg: `${file}: a report is a tar archive, which is not compressed`,
      remedy: "name it report.tar, then gzip report.tar",
    });
  if (findStat(file, "link") !== undefined) throw exists(file);
}

const exists = (file: string) =>
  new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `${file} exists`,
    remedy: "remove it, or name another file",
  });

interface Made {
  path: string;
  archived?: TarFile;
  /** Why it could not be made. */
  problem?: string;
}

function fileOf({ path, content }: Part): Made[] {
  try {
    const value = content();
    if (value === undefined) return [];
    const bytes = encode(typeof value === "string" ? value : printed(value));
    return [{ path, archived: { path: `report/${path}`, content: bytes } }];
  } catch (error) {
    return [{ path, problem: oneLine(textWithoutSecrets(failureOf(error).msg)) }];
  }
}

const readme = (version: string, made: readonly Made[]): string =>
  [
    `Report of twill ${version}, ${new Date(nowMs()).toISOString()}`,
    "",
    "Left out, as (left out): values named like a password, token, secret, credential or key; user and password in addresses of",
    "servers; private keys and web tokens; of a damaged configuration all from the first such name on. Not looked at: CNI_ARGS and",
    "capability arguments of containers, the values of environment variables, the boot command line, certificates and kubeconfigs,",
    "what containers run.",
    "In it: names of networks, containers, pods and interfaces, addresses, MACs, firewall rules with their comments.",
    "",
    "Not known:",
    ...made.flatMap(({ path, problem }) => (problem === undefined ? [] : [`  ${path}: ${problem}`])),
    "",
  ].join("\n");
