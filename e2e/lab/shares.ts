// A test file with many groups of tests, which may run in several processes side by side: dev/test.mjs starts the file once for each share.
const [share = 1, shares = 1] = (process.env["TWILL_SHARE"] ?? "1/1").split("/").map(Number);

let onGroup = (_name: string): void => {};

/** @param work Is told, before the tests of a group are made. Guests take turns by groups (kernels/turns.ts). */
export function beforeEachGroup(work: (name: string) => void): void {
  onGroup = work;
}

/** Makes the tests of the groups that are this process's share. */
export function inShares(groups: Readonly<Record<string, () => void>>): void {
  for (const [i, [name, makeTests]] of Object.entries(groups).entries()) {
    if (i % shares !== share - 1) continue;
    onGroup(name);
    makeTests();
  }
}
