// What must hold before anybody else sees the code: types, lint and format, layers. Usage: node dev/check.mjs
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));

const checks = {
  types: ["node_modules/.bin/tsc", "-p", "tsconfig.json"],
  "types without Node": ["node_modules/.bin/tsc", "-p", "tsconfig.plugins.json"],
  "lint and format": ["node_modules/.bin/biome", "ci", "--error-on-warnings", "--colors=off", "--max-diagnostics=50"],
  layers: [process.execPath, "--import", "tsx", "pkg/layers.test.ts"],
};

const failures = (await Promise.all(Object.entries(checks).map(passes))).filter((passed) => !passed).length;
console.log(failures === 0 ? "all checks pass" : `${failures} of ${Object.keys(checks).length} checks fail`);
process.exitCode = failures === 0 ? 0 : 1;

/** Says what it found only when it is something to mend. */
function passes([name, [command, ...args]]) {
  const started = performance.now();
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (printed += chunk));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      if (status !== 0) console.log(printed);
      console.log(`${status === 0 ? "ok    " : "not ok"} ${seconds.padStart(6)} s  ${name}`);
      resolve(status === 0);
    });
  });
}
