export const contents: Readonly<Record<string, readonly string[]>>;
export function unpackedFolder(projectRoot: string, name: string): string;
export function withUnpacked(projectRoot: string, path: string): string;
export function unpackedProgram(projectRoot: string, name: string): string;
export function unpackedLibraries(projectRoot: string): string;
export const newerNode: {
  version: string;
  package: string;
  integrity: Readonly<Record<string, string>>;
  folder(projectRoot: string): string;
  binFolder(projectRoot: string): string;
};
