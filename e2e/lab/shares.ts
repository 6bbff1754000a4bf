// A test file with many groups of tests, which may run in several processes side by side: dev/test.mjs starts the file once for each share.
const [share = 1, shares = 1] = (process.env["TWILL_SHARE"] ?? "1/1").split("/").map(Number);

let onGroup = (_name: string): void => {};

/** @param work Is told, before the tests of a group are made. Guests take turns by groups (kernels/turns.ts). */
export function beforeEachGroup(work: (name: string) => void): void {
  onGroup = work;
}

let groupsSoFar = 0;

/** Makes the tests of the groups that are this process's share. A file may call it for each of its tests. */
export function inShares(groups: Readonly<Record<string, () => void>>): void {
  for (const [name, makeTests] of Object.entries(groups)) {
    if (groupsSoFar++ % shares !== share - 1) continue;
    onGroup(name);
    makeTests();
  }
}
