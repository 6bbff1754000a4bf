import { FAMILIES } from "../../../pkg/firewall/family.ts";
import { findIptables } from "../../../pkg/firewall/iptables/detect.ts";
import { findLegacySave } from "../../../pkg/firewall/iptables/host.ts";
import type { Check, Observation } from "./finding.ts";

export const iptablesVariants: Check = {
  id: "iptables-variants",
  about: "which iptables there is, nf_tables or legacy, and whether rules of both are in force",
  severity: "warning",
  find() {
    const programs = FAMILIES.flatMap((family) => {
      const found = findIptables(family);
      return found === undefined ? [] : [{ family, ...found }];
    });
    return [...different(programs), ...programs.filter(({ variant }) => variant === "nf_tables").flatMap(legacyRules)];
  },
};

type Programs = readonly { family: "ip" | "ip6"; variant: string; path: string; file: string }[];

function different(programs: Programs): Observation[] {
  if (new Set(programs.map(({ variant }) => variant)).size < 2) return [];
  return [
    {
      text: "iptables and ip6tables write their rules to different places",
      evidence: programs.map(({ path, file, variant }) => `${path} is ${file}: ${variant}`),
      remedy: "choose one for both: update-alternatives --config iptables, and --config ip6tables",
    },
  ];
}

const TABLES = ["filter", "nat"] as const;

/** Both worlds are in force: what one drops, the other cannot accept, and of two translations the legacy one counts. */
function legacyRules({ family, path }: Programs[number]): Observation[] {
  const found = TABLES.flatMap((table) => {
    const lines = findLegacySave(family, table)?.split("\n") ?? [];
    const rules = lines.filter((line) => line.startsWith("-A ")).length;
    const policies = lines.filter((line) => / DROP \[/.test(line)).map((line) => line.replace(/^:(\S+) .*/, "$1"));
    if (rules + policies.length === 0) return [];
    return [
      `${family}tables-legacy, table ${table}: ${rules} rules${policies.map((chain) => `, policy of ${chain} drop`).join("")}`,
    ];
  });
  if (found.length === 0) return [];
  return [
    {
      text: `rules of legacy ${family}tables are in force beside those of ${path}, which writes to nf_tables`,
      evidence: found,
      remedy: `${family}tables-legacy-save shows them: move those that are needed, then ${family}tables-legacy -F and -X, in each table`,
    },
  ];
}
