// What the daemon costs before it does anything: `flanneld --version` on the Node in PATH and, where setup for test:long has brought it, on Node 24.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newerNode } from "../dev/unpacked.mjs";
import { ourTools, projectRoot } from "../e2e/lab/project.ts";
import { type Row, Samples } from "./figures.ts";
import { openLauncher } from "./launcher.ts";
import { rotated } from "./node.ts";

const WARM_UP_ROUNDS = 2; // the first on Node 24 compiles, and keeps the code for the others
const PAUSE_MS = 30;

export async function flanneldStartRows({ launcher, rounds }: { launcher: string; rounds: number }): Promise<Row[]> {
  const folder = join(projectRoot, "dist/bench");
  mkdirSync(folder, { recursive: true });
  const program = join(folder, "flanneld-version"); // the launcher passes no arguments
  writeFileSync(program, `#!/bin/sh\nexec ${ourTools}/flanneld --version\n`, { mode: 0o755 });
  const newer = newerNode.binFolder(projectRoot);
  const nodes = [
    { name: `Node ${process.versions.node}`, path: join(process.execPath, "..") },
    ...(existsSync(newer) ? [{ name: `Node ${newerNode.version}`, path: newer }] : []),
  ];
  const open = openLauncher([launcher]);
  const samples = new Samples();
  for (let round = 0; round < WARM_UP_ROUNDS + rounds; round++) {
    const into = round < WARM_UP_ROUNDS ? new Samples() : samples;
    for (const { name, path } of rotated(nodes, round)) {
      const environment = { PATH: `${path}:/usr/bin:/bin`, NODE_COMPILE_CACHE: join(folder, "compile-cache") };
      const { each } = await open.run([{ program, stdin: "/dev/null", stdout: "/dev/null", environment }], PAUSE_MS);
      for (const { ms, peakMegabytes } of each) {
        into.add(`${name} ms`, ms);
        into.add(`${name} MB`, peakMegabytes);
      }
    }
  }
  open.close();
  return nodes.flatMap(({ name }) =>
    (["ms", "MB"] as const).flatMap((unit): Row[] => {
      const twill = samples.find(`${name} ${unit}`);
      const what = unit === "ms" ? "start to end" : "peak resident memory";
      return twill
        ? [{ section: "flanneld --version", name: `${name}, ${what}`, unit, figures: { twill }, goals: [] }]
        : [];
    }),
  );
}
