/**
 * Stores leases on disk, so that a restarted daemon can resume them: one file for each, beside the socket. They are valid for this boot
 * only, like the namespaces; both are in /run.
 *
 * Rejected: one file for all leases, a few hundred kilobytes that would be rewritten for each container that starts.
 */

import { fromHex, hex } from "../../pkg/bytes/hex.ts";
import { isObject, type Json, type JsonObject, objectIn } from "../../pkg/config/json.ts";
import type { Lease } from "../../pkg/dhcp/lease.ts";
import type { Options } from "../../pkg/dhcp/message.ts";
import { bootId } from "../../pkg/sys/boot-id.ts";
import { findDirectory, makeDirectories, readRecord, removeFile, replaceFile } from "../../pkg/sys/file.ts";
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
  /** Writes an entry; replaces one of the same name. */
  write(name: string, entry: LeaseFile): void;
  remove(name: string): void;
  /** Reads the leases of an earlier daemon of this boot. Removes files of another boot or format; keeps those that cannot be read. */
  read(log: (text: string) => void): Map<string, LeaseFile>;
}

/** The version of the file format; files of another version are removed. */
const FORM = 1;

export function openLeaseFiles(directory: string): LeaseFiles {
  const boot = bootId();
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
        const isOurs = isName(name); // other names are those of interrupted writes
        const entry = isOurs && values ? entryIn(values, boot) : undefined;
        if (entry !== undefined) entries.set(name, entry);
        else if (typeof text === "object" || (isOurs && (values === undefined || isCurrent(values, boot)))) {
          log(`${pathOf(name)} is damaged and ignored: a lease in it is not renewed; remove the file`);
        } else {
          log(`${pathOf(name)} is of an earlier boot or another version, or incomplete: removed`);
          removeFile(pathOf(name));
        }
      }
      return entries;
    },
  };
}

/** Makes a random name for an entry, since a client ID need not be a valid file name. */
export const newName = (): string => randomHex(8);
const isName = (name: string): boolean => /^[0-9a-f]{16}$/.test(name);

const isCurrent = (values: JsonObject, boot: string): boolean => values["form"] === FORM && values["boot"] === boot;

const isOption = (pair: Json): boolean =>
  Array.isArray(pair) && typeof pair[0] === "number" && /^([0-9a-f]{2})*$/.test(String(pair[1]));

/** Parses an entry. Only version, boot ID and required parts are checked: the daemon itself writes the files, in a directory of root's. */
function entryIn(values: JsonObject, boot: string): LeaseFile | undefined {
  const { form: _, boot: __, options, ...entry } = values;
  if (!isCurrent(values, boot) || !Array.isArray(options)) return undefined;
  if (![entry["place"], entry["identity"], entry["lease"]].every(isObject)) return undefined;
  if (!options.every(isOption)) return undefined;
  const pairs = options as [number, string][];
  return { ...(entry as unknown as LeaseFile), options: new Map(pairs.map(([code, value]) => [code, fromHex(value)])) };
}
