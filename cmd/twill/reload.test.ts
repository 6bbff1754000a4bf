// Looks at the sources of the plugins: their mains cannot be loaded here, since their schemas are compiled by the build.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import t from "tap";

/** Files of pkg/firewall that make no rules. */
const WITHOUT_RULES = ["upstream-names.ts"];

const importsRules = (source: string): boolean =>
  [...source.matchAll(/from "\.\.\/\.\.\/pkg\/firewall\/([^"]+)"/g)].some(
    ([, file = ""]) => !WITHOUT_RULES.includes(file),
  );

const plugins = readdirSync("cmd")
  .map((name) => ({ name, main: `cmd/${name}/main.ts` }))
  .filter(({ main }) => existsSync(main) && /: Plugin</.test(readFileSync(main, "utf8")))
  .map(({ name, main }) => ({
    name,
    makesRules: readdirSync(`cmd/${name}`, { encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
      .some((file) => importsRules(readFileSync(`cmd/${name}/${file}`, "utf8"))),
    restores: /: Plugin<\w+> = \{[^}]*\brestore,[^}]*\}/.test(readFileSync(main, "utf8")),
  }));

t.test("each plugin that makes rules restores them in `twill reload`, also through its delegate", async (t) => {
  t.ok(plugins.length >= 20, "sees the plugins");
  t.strictSame(
    plugins.filter(({ makesRules, restores }) => makesRules && !restores),
    [],
  );
  t.strictSame(
    plugins.filter(({ restores }) => restores).map(({ name }) => name),
    ["bridge", "firewall", "flannel", "portmap", "ptp"],
  );
});
