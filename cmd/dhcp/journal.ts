/**
 * Leases on disk, so that another daemon can go on with them: a file for each, beside the socket. They are for this boot only, like the
 * namespaces; /run is where both live.
 *
 * Rejected: one file with all of them, which would be written anew, a few hundred kilobytes, for each container that starts.
 */
import { isObject, objectIn } from "../../pkg/cni/json.ts";
import { fromHex, hex, type Lease } from "../../pkg/dhcp/lease.ts";
import type { Options } from "../../pkg/dhcp/message.ts";
import { findDirectory, findText, makeDirectories, readText, removeFile, replaceFile } from "../../pkg/sys/file.ts";
import { randomHex } from "../../pkg/sys/random.ts";
import type { Identity, Place } from "./port.ts";

export interface Entry {
  clientId: string;
  containerId: string;
  network: string;
  place: Place;
  identity: Identity;
  options: Options;
  broadcast: boolean;
  lease: Lease;
}

export interface Journal {
  /** Writes an entry, over the one of that name. */
  write(name: string, entry: Entry): void;
  remove(name: string): void;
  /** What an earlier daemon of this boot has left; other files are removed. */
  read(log: (text: string) => void): Map<string, Entry>;
}

/** A changed form of the files gets another number: those of the old one are forgotten. */
const FORM = 1;

export function openJournal(directory: string): Journal {
  const boot = findText("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
  const pathOf = (name: string): string => `${directory}/${name}`;
  return {
    write(name, { options, ...entry }) {
      makeDirectories(directory, 0o700);
      const written = { form: FORM, boot, ...entry, options: [...options].map(([code, value]) => [code, hex(value)]) };
      replaceFile(pathOf(name), `${JSON.stringify(written)}\n`, { mode: 0o600 });
    },
    remove(name) {
      removeFile(pathOf(name));
    },
    read(log) {
      const entries = new Map<string, Entry>();
      for (const name of findDirectory(directory) ?? []) {
        const entry = isName(name) ? entryIn(readText(pathOf(name)), boot) : undefined; // else of a write that was cut short
        if (entry !== undefined) entries.set(name, entry);
        else {
          log(`${pathOf(name)} is of another boot or release, or broken: removed`);
          removeFile(pathOf(name));
        }
      }
      return entries;
    },
  };
}

/** Nothing in a client's ID has to fit into a file's name, so entries are called anything. */
export const newName = (): string => randomHex(8);
const isName = (name: string): boolean => /^[0-9a-f]{16}$/.test(name);

/** Written by ourselves, in a folder of root's: what has the right form and boot, and all of its parts, is believed. */
function entryIn(text: string, boot: string): Entry | undefined {
  const { form, boot: written, options, ...entry } = objectIn(text) ?? {};
  if (form !== FORM || written !== boot || !Array.isArray(options)) return undefined;
  if (![entry["place"], entry["identity"], entry["lease"]].every(isObject)) return undefined;
  const pairs = options as [number, string][];
  return { ...(entry as unknown as Entry), options: new Map(pairs.map(([code, value]) => [code, fromHex(value)])) };
}
