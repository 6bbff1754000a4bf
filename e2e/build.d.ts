/** The stages of build.mjs that tests use. */
declare module "*/build.mjs" {
  export function bundleScript(
    entry: string,
    script: string,
    options?: import("esbuild").BuildOptions,
  ): Promise<string>;
  export function compileScript(script: string, bytecode: string): string;
  export function freezeProgram(bytecode: string, executable: string): string;
  export function makeEngineArchive(target: { objcopy: string; engine: string }, archive: string): void;
  export function linkHost(archive: string, executable: string): void;
}
