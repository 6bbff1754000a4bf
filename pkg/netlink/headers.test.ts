// Every number in the tables against the kernel's own headers: the rows and constants of the sources become static assertions for gcc. Headers may be
// older than the tables, so a name that they do not know is no fault; a number that differs is.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const headers = `
  sys/socket.h limits.h linux/netlink.h linux/rtnetlink.h linux/if_link.h linux/if_addr.h linux/if_bridge.h linux/if_vlan.h linux/if_tun.h linux/if.h
  linux/if_ether.h linux/neighbour.h linux/fib_rules.h linux/pkt_sched.h linux/pkt_cls.h linux/tc_act/tc_mirred.h linux/tc_act/tc_gact.h linux/veth.h
  linux/netfilter.h linux/netfilter_ipv4.h linux/netfilter_bridge.h linux/netfilter/nfnetlink.h linux/netfilter/nf_tables.h
  linux/netfilter/nf_tables_compat.h linux/netfilter/nf_nat.h linux/netfilter/nf_conntrack_common.h
  linux/netfilter/nfnetlink_conntrack.h`;

const sources = dirname(fileURLToPath(import.meta.url));

function namedNumbers(): Map<string, string> {
  const files = readdirSync(sources, { recursive: true, encoding: "utf8" });
  const found = new Map<string, string>();
  for (const file of files.filter(
    (file) => /(?<!\.test)\.ts$/.test(file) && !/^(connection|golden\.testing)\.ts$/.test(file),
  )) {
    const source = readFileSync(join(sources, file), "utf8");
    for (const [, number, name] of source.matchAll(/attribute\(\s*(\d+),\s*"(\w+)"/g))
      found.set(`${name}`, `${number}`);
    for (const [, name, number] of source.matchAll(/^export const ([A-Z]\w+) = (-?(?:0x)?[0-9a-f]+);/gm)) {
      found.set(`${name}`, `${number}`);
    }
  }
  return found;
}

/** As it is in C: there the messages of a netfilter subsystem are numbered from 0, and the mask is a whole word's. */
function inHeaders(name: string): string {
  if (name.startsWith("NFT_MSG_")) return `NFNL_SUBSYS_NFTABLES << 8 | ${name}`;
  if (name.startsWith("IPCTNL_MSG_CT_")) return `NFNL_SUBSYS_CTNETLINK << 8 | ${name}`;
  if (name.startsWith("NFNL_MSG_COMPAT_")) return `NFNL_SUBSYS_NFT_COMPAT << 8 | ${name}`;
  return name === "NLA_TYPE_MASK" ? `0xffff & ${name}` : name;
}

function assertion([name, number]: [string, string]): string {
  return `_Static_assert((unsigned)(${inHeaders(name)}) == (unsigned)(${number}), "${name} is not ${number}");`;
}

t.test("numbers are the kernel headers'", (t) => {
  const numbers = namedNumbers();
  const program = `${headers
    .trim()
    .split(/\s+/)
    .map((header) => `#include <${header}>`)
    .join("\n")}
${[...numbers].map(assertion).join("\n")}\n`;
  const { stderr, error } = spawnSync("gcc", ["-fsyntax-only", "-fmax-errors=0", "-x", "c", "-"], {
    input: program,
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C" },
  });
  if (error) throw error;
  const faults = [...stderr.matchAll(/static assertion failed: "(.*)"/g)].map(([, fault]) => fault);
  const newer = new Set([...stderr.matchAll(/'(\w+)' undeclared/g)].map(([, name]) => name));
  t.strictSame(faults, []);
  t.equal(stderr.match(/fatal error: .*/)?.[0], undefined, "all headers are there");
  t.ok(
    numbers.size - newer.size > 800,
    `${numbers.size - newer.size} checked; newer or not of the kernel: ${[...newer].join(" ")}`,
  );
  t.end();
});
