// Which programs are found in PATH: iptables of another kind, or of an old release.
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory for PATH: names of commands, and what they are links to, or scripts. */
export function commands(
  t: { teardown(work: () => void): unknown },
  made: Record<string, { link: string } | { script: string } | { prints: string; status?: number }>,
): string {
  const directory = mkdtempSync(join(tmpdir(), "twill-path-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  for (const [name, what] of Object.entries(made)) {
    if ("link" in what) symlinkSync(what.link, join(directory, name));
    else {
      const script = "script" in what ? what.script : `echo '${what.prints}'\nexit ${what.status ?? 0}`;
      writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
  }
  return directory;
}

export function withPath<T>(path: string, work: () => T): T {
  const before = process.env["PATH"];
  process.env["PATH"] = path;
  try {
    return work();
  } finally {
    process.env["PATH"] = before;
  }
}

/** As a host has it whose administrator stayed with the old tables. */
export const legacyIptables = Object.fromEntries(
  ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"].map((name) => [
    name,
    { link: "/usr/sbin/xtables-legacy-multi" },
  ]),
);
