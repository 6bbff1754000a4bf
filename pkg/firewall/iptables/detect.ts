// Which iptables the administrator uses: the one that writes to nf_tables, or the legacy one, whose rules are elsewhere in the kernel. Rules in the other
// world than his would be beside the point: a DROP there beats our ACCEPT here.
//
// Judged by the name at the end of the symbolic links, 50 us. Copies and scripts are asked by `iptables --version`, 1.5 ms; they are rare.
import { isErrno } from "../../sys/errno.ts";
import { closeFile, findText, readLink } from "../../sys/file.ts";
import { environment, run } from "../../sys/process.ts";
import { ask } from "../../sys/syscall.ts";
import { decode } from "../../sys/text.ts";
import type { Family } from "./xtables.ts";

export type Variant = "nf_tables" | "legacy";

/** An iptables that a shell would run. */
export interface Iptables {
  /** As found in PATH. */
  path: string;
  /** Behind all links. */
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

/** undefined when there is none in PATH. @param name Another one than `iptables` or `ip6tables`. */
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

/** The file that all symbolic links lead to: the kernel follows them when it opens it. */
function findBehindLinks(path: string): string | undefined {
  const fd = ask("openat", AT_FDCWD, path, O_PATH | O_CLOEXEC);
  if (fd < 0) return undefined; // not there, or not for us to see
  const file = readLink(`/proc/self/fd/${fd}`);
  closeFile(fd);
  return file;
}
/** asm-generic/fcntl.h */
const AT_FDCWD = -100;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;

/** What it says of itself. */
function askedVariant(path: string, variables: Readonly<Record<string, string>>): Variant {
  const { stdout } = run({ path, args: ["--version"], environment: variables, stdin: new Uint8Array() });
  return decode(stdout).includes("(nf_tables)") ? "nf_tables" : "legacy"; // before 1.8 it does not say
}

/** Whether legacy iptables has made the table in this network namespace: without, it has no rules there. */
export function hasLegacyTable(family: Family, table: string): boolean {
  try {
    return findText(`/proc/thread-self/net/${family}_tables_names`)?.split("\n").includes(table) ?? false;
  } catch (error) {
    if (isErrno(error, "EACCES", "EPERM")) return true; // cannot be told
    throw error;
  }
}
