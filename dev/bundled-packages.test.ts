// The bill of materials of `npm run package`: without it no package is made, and only npm run test:long makes packages.
import { execFileSync } from "node:child_process";
import t from "tap";
import { inFullRunOnly } from "../e2e/lab/needs.ts";
import { projectRoot } from "../e2e/lab/project.ts";

const print = `
  import { bundledPackages } from "./build.mjs";
  console.log(JSON.stringify((await bundledPackages()).map(({ name, license }) => [name, license])));`;

t.test(
  "the packages inside the executable and the daemon are found, each with its licence",
  inFullRunOnly({ skip: false }),
  async (t) => {
    const node = [process.execPath, "--input-type=module", "--eval", print] as const;
    const found: [name: string, license: string][] = JSON.parse(
      execFileSync(node[0], node.slice(1), { cwd: projectRoot, encoding: "utf8", env: { PATH: process.env["PATH"] } }),
    );
    const names = found.map(([name]) => name);
    for (const name of ["@suchipi/quickjs", "commander", "etcd3"]) t.ok(names.includes(name), name);
    for (const [name, license] of found) t.match(license, /^[\w.-]+$/, name);
  },
);
