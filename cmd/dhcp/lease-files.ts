/**
 * Leases on disk, so that another daemon can go on with them: a file for each, beside the socket. They are for this boot only, like the
 * namespaces; /run is where both live.
 *
 * Rejected: one file with all of them, which would be written anew, a few hundred kilobytes, for each container that starts.
 */
import { isObject, type Json, type JsonObject, objectIn } from "../../pkg/config/json.ts";
import { fromHex, hex, type Lease } from "../../pkg/dhcp/lease.ts";
import type { Options } from "../../pkg/dhcp/message.ts";
import { findDirectory, findText, makeDirectories, readRecord, removeFile, replaceFile } from "../../pkg/sys/file.ts";
import { randomHex } from "../../pkg/sys/random.ts";
import type { InterfaceIdentity, InterfaceRef } from "./client-socket.ts";

export interface LeaseFile {
  clientId: string;
  containerId: string;
  network: string;
  place: InterfaceRef;
  identity: InterfaceIdentity;
  options: Options;
  broadcast: boolean;
  lease: Lease;
}

export interface LeaseFiles {
  /** Writes an entry, over the one of that name. */
  write(name: string, entry: LeaseFile): void;
  remove(name: string): void;
  /** What an earlier daemon of this boot has left. Files of another boot or form are removed, what cannot be read stays. */
  read(log: (text: string) => void): Map<string, LeaseFile>;
}

/** A changed form of the files gets another number: those of the old one are forgotten. */
const FORM = 1;

export function openLeaseFiles(directory: string): LeaseFiles {
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
      const entries = new Map<string, LeaseFile>();
      for (const name of findDirectory(directory) ?? []) {
        const text = readRecord(pathOf(name));
        const values = typeof text === "string" ? objectIn(text) : undefined;
        const isOurs = isName(name); // another name is of a write that was cut short
        const entry = isOurs && values ? entryIn(values, boot) : undefined;
        if (entry !== undefined) entries.set(name, entry);
        else if (typeof text === "object" || (isOurs && (values === undefined || isCurrent(values, boot)))) {
          log(`${pathOf(name)} is damaged and passed over: if a lease was in it, it is not renewed; remove it`);
        } else {
          log(`${pathOf(name)} is of another boot or release, or half written: removed`);
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

const isCurrent = (values: JsonObject, boot: string): boolean => values["form"] === FORM && values["boot"] === boot;

const isOption = (pair: Json): boolean =>
  Array.isArray(pair) && typeof pair[0] === "number" && /^([0-9a-f]{2})*$/.test(String(pair[1]));

/** Written by ourselves, in a folder of root's: what has the right form and boot, and all of its parts, is believed. */
function entryIn(values: JsonObject, boot: string): LeaseFile | undefined {
  const { form: _, boot: __, options, ...entry } = values;
  if (!isCurrent(values, boot) || !Array.isArray(options)) return undefined;
  if (![entry["place"], entry["identity"], entry["lease"]].every(isObject)) return undefined;
  if (!options.every(isOption)) return undefined;
  const pairs = options as [number, string][];
  return { ...(entry as unknown as LeaseFile), options: new Map(pairs.map(([code, value]) => [code, fromHex(value)])) };
}
