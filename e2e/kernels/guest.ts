// A guest with the complete kernel: QEMU without KVM, on the host's own root file system, mounted read-only. What it runs becomes one file
// (node starts once, and reads one module instead of some three hundred over 9p); what it hands out goes to a folder.
import { spawn } from "node:child_process";
import { closeSync, copyFileSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { build, type Plugin } from "esbuild";
import { unpackedProgram } from "../../dev/unpacked.mjs";
import { lackingFeatures } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";
import type { Kernel } from "./kernel.ts";

export interface Job {
  /** A folder to be made, for what the guest prints and hands out. */
  results: string;
  /** The program: these modules, one after the other. */
  modules: readonly string[];
  /** What it gets as its arguments; without spaces. */
  args?: readonly string[];
  /** A folder that guests have in common, where the modules are test files that they divide among themselves (turns.ts). */
  turns?: string;
  longestMs: number;
}

/** Where a program in the guest finds `results` of its job. */
export const resultsInGuest = "/run/results";

export async function runInGuest(kernel: Kernel, job: Job): Promise<void> {
  mkdirSync(job.results, { recursive: true });
  const program = join(job.results, "program.mjs");
  await bundle(job, program);
  await boot(kernel, job, program);
}

/** @param name "printed", "errors", "console", "status" of the program, or of what it wrote itself. @returns "" where there is none. */
export function readResult({ results }: Pick<Job, "results">, name: string): string {
  const file = join(results, name);
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

async function bundle({ modules, turns }: Job, outfile: string): Promise<void> {
  const imports = turns === undefined ? modules : modules.flatMap((file) => [`begin:${file}`, file]);
  await build({
    stdin: {
      contents: imports.map((file) => `import ${JSON.stringify(file)};`).join("\n"),
      resolveDir: projectRoot,
      loader: "ts",
    },
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    external: ["koffi"],
    plugins: [beginnings],
    // tap's CommonJS parts ask for `require`
    banner: {
      js: 'import { createRequire as newRequire } from "node:module"; const require = newRequire(import.meta.url);',
    },
    logLevel: "error",
  });
}

/** Modules `begin:FILE`, which say that the tests of FILE follow. */
const beginnings: Plugin = {
  name: "beginnings of test files",
  setup(build) {
    build.onResolve({ filter: /^begin:/ }, ({ path }) => ({ path: path.slice("begin:".length), namespace: "begin" }));
    build.onLoad({ filter: /./, namespace: "begin" }, ({ path }) => ({
      contents: `import { beginFile } from "./e2e/kernels/turns.ts"; beginFile(${JSON.stringify(relative(projectRoot, path))});`,
      resolveDir: projectRoot,
    }));
  },
};

/**
 * One, since a test mostly waits for one program: with a second the emulator needs 40 % more of the host's time for the same tests, as the two wait
 * for each other and the kernel takes the slow clock of the board. Without what makes each access to memory dearer in emulation (10 %).
 */
const cpu = "max,la57=off,smap=off,smep=off,pku=off,umip=off";

function boot({ image, initramfs, modules }: Kernel, job: Job, program: string): Promise<void> {
  const { results, args = [], turns = "" } = job;
  copyFileSync(join(projectRoot, "e2e/kernels/guest.sh"), join(results, "guest.sh"));
  const busybox = unpackedProgram(projectRoot, "busybox-static");
  const variables = { modules, node: process.execPath, busybox, program, args: args.join(" "), turns };
  const switches = Object.entries(process.env).filter(([name]) => name.startsWith("TWILL_"));
  const assignments = [
    ...Object.entries({ ...variables, lacking: lackingFeatures().join(" ") }).map(
      ([name, value]) => `${name}='${value}'\n`,
    ),
    ...switches.map(([name, value]) => `export ${name}='${value}'\n`),
  ];
  writeFileSync(join(results, "job"), assignments.join(""));
  const shares = [
    ["-fsdev", "local,id=root,path=/,security_model=none,multidevs=remap,readonly=on"],
    ["-device", "virtio-9p-pci,fsdev=root,mount_tag=rootfs"],
    ["-fsdev", `local,id=results,path=${results},security_model=none`],
    ["-device", "virtio-9p-pci,fsdev=results,mount_tag=results"],
    ...(turns === ""
      ? []
      : [
          ["-fsdev", `local,id=turns,path=${turns},security_model=none`],
          ["-device", "virtio-9p-pci,fsdev=turns,mount_tag=turns"],
        ]),
  ];
  // Two network cards that no test but host-device's has a driver loaded for, joined by a hub.
  const cards = [0, 1].flatMap((i) => [
    ...["-netdev", `hubport,id=card${i},hubid=0`],
    ...["-device", `virtio-net-pci,netdev=card${i},mac=52:54:00:00:00:0${i},addr=0x1${i},romfile=`],
  ]);
  const machine = ["-M", "q35", "-accel", "tcg", "-cpu", cpu, "-smp", "1", "-m", "1024"];
  const console = openSync(join(results, "console"), "w");
  const qemu = spawn(
    "qemu-system-x86_64",
    [
      ...[...machine, "-nographic", "-no-reboot", "-kernel", image, "-initrd", initramfs],
      ...["-append", "console=ttyS0 quiet panic=-1 mitigations=off", ...shares.flat(), ...cards],
    ],
    { stdio: ["ignore", console, console], timeout: job.longestMs, killSignal: "SIGKILL" },
  );
  process.once("exit", () => qemu.kill("SIGKILL"));
  return new Promise((resolve, reject) => {
    qemu.on("error", reject);
    qemu.on("close", () => {
      closeSync(console);
      resolve();
    });
  });
}
