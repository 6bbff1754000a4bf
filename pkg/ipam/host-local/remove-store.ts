/** Removes what host-local keeps of a network that is removed. */
import { findDirectory, removeDirectory, removeFile } from "../../sys/file.ts";
import { findStore, forEachReserved, locked } from "./reservation-files.ts";

const LOCK_TIMEOUT_MS = 10_000;

/** Removes the files of a network, unless an address is reserved. @returns whether there is nothing of it any more */
export function removeStore(dataDir: string, network: string): boolean {
  const directory = `${dataDir}/${network}`;
  const store = findStore(directory);
  if (store === undefined) return true;
  return locked(store, LOCK_TIMEOUT_MS, () => {
    let isReserved = false;
    forEachReserved(store, () => {
      isReserved = true;
      return "stop";
    });
    if (isReserved) return false;
    const index = `${dataDir}/.twill/${network}`;
    for (const part of [`${index}/owners`, `${index}/released`, index, directory]) removeWithFiles(part);
    return true;
  });
}

function removeWithFiles(directory: string): void {
  for (const name of findDirectory(directory) ?? []) removeFile(`${directory}/${name}`);
  removeDirectory(directory);
}
