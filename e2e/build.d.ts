/** The stages of build.mjs that tests use. */
declare module "*/build.mjs" {
  export function bundleScript(
    entry: string,
    script: string,
    options?: import("esbuild").BuildOptions,
  ): Promise<string>;
  export function compileScript(script: string, bytecode: string): string;
  export function freezeProgram(bytecode: string, executable: string, layoutFiles?: string[]): string;
  export function makeEngineArchive(target: { objcopy: string; engine: string }, archive: string): void;
  export function linkHost(archive: string, executable: string): void;
  export function profilingHost(): string;
  export function replay(): import("../dev/image-layout.mjs").ReplayReport;
  export function costs(report: import("../dev/image-layout.mjs").ReplayReport): Record<string, Record<string, number>>;
  export const TRANSCRIPTS: string;
  export const COSTS: string;
}
