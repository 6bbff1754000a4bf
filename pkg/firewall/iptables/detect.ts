// Finds out which variant of iptables the administrator uses: nft, which writes to nf_tables, or legacy, whose rules are elsewhere in the
// kernel. Rules in the other variant would not help: a DROP in one is final whatever the other accepts.
//
// The name of the file behind all symbolic links tells (50 us). Copies and scripts, which are rare, are run with `--version` (1.5 ms).

import { isErrno } from "../../sys/errno.ts";
import { closeFile, findText, readLink } from "../../sys/file.ts";
import { environment, run } from "../../sys/process.ts";
import { ask } from "../../sys/syscall.ts";
import { decode } from "../../sys/text.ts";
import type { Family } from "../family.ts";

export type Variant = "nf_tables" | "legacy";

/** The iptables that a shell would run. */
export interface Iptables {
  /** The path that was found through PATH. */
  path: string;
  /** The file behind all symbolic links. */
  file: string;
  variant: Variant;
}

const VARIANTS: Readonly<Record<string, Variant>> = {
  "xtables-nft-multi": "nf_tables",
  "iptables-nft": "nf_tables",
  "ip6tables-nft": "nf_tables",
  "xtables-legacy-multi": "legacy",
  "xtables-multi": "legacy",
  "iptables-legacy": "legacy",
  "ip6tables-legacy": "legacy",
};

/** Returns the iptables in PATH; undefined when there is none. @param name The program to look for instead of `iptables` or `ip6tables`. */
export function findIptables(
  family: Family,
  { name = `${family}tables` }: { name?: string } = {},
): Iptables | undefined {
  const variables = environment();
  for (const directory of (variables["PATH"] ?? "").split(":")) {
    const path = `${directory}/${name}`;
    const file = directory.startsWith("/") ? findBehindLinks(path) : undefined;
    if (file === undefined) continue;
    return { path, file, variant: VARIANTS[file.slice(file.lastIndexOf("/") + 1)] ?? askedVariant(path, variables) };
  }
  return undefined;
}

/** Returns the file behind all symbolic links: the kernel follows them when it opens the path. */
function findBehindLinks(path: string): string | undefined {
  const fd = ask("openat", AT_FDCWD, path, O_PATH | O_CLOEXEC);
  if (fd < 0) return undefined; // it does not exist or is not accessible
  const file = readLink(`/proc/self/fd/${fd}`);
  closeFile(fd);
  return file;
}
/** asm-generic/fcntl.h */
const AT_FDCWD = -100;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;

/** Returns the variant that `--version` names. */
function askedVariant(path: string, variables: Readonly<Record<string, string>>): Variant {
  const { stdout } = run({ path, args: ["--version"], environment: variables, stdin: new Uint8Array() });
  return decode(stdout).includes("(nf_tables)") ? "nf_tables" : "legacy"; // before 1.8 no variant is named
}

/** Reports whether legacy iptables has created the table in this network namespace; without the table there are no rules. */
export function hasLegacyTable(family: Family, table: string): boolean {
  try {
    return findText(`/proc/thread-self/net/${family}_tables_names`)?.split("\n").includes(table) ?? false;
  } catch (error) {
    if (isErrno(error, "EACCES", "EPERM")) return true; // unknown: assume that it has
    throw error;
  }
}
