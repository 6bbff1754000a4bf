/** A network in a directory of its own, for tests: they read as a list of what runtimes and other plugins do to it. */
import { type Address, formatPrefix, parseAddress } from "../../ip/address.ts";
import { findDirectory, findStat, findText, makeDirectories, readText, removeFile, writeFile } from "../../sys/file.ts";
import { temporaryDirectory } from "../../sys/temporary-directory.testing.ts";
import { allocate, findExhaustion } from "./allocate.ts";
import { withExistingPool, withPool } from "./pool.ts";
import type { Pool, PoolConf } from "./pool-types.ts";
import { parseRangeSets, type RangeConf } from "./range.ts";
import { collectGarbage } from "./reclaim.ts";
import { formatReservation, type Owner } from "./reservation.ts";
import { heldBy, releaseAll } from "./reservations-by-owner.ts";

/** The part of tap's `t` that is used here. */
interface Test {
  teardown(work: () => void): unknown;
}

export interface Options extends Partial<Pick<PoolConf, "reclaimAfterReboot" | "reuseDelayMs">> {
  sets?: RangeConf[][];
}

export class Network {
  readonly directory: string;
  readonly ownerIndex: string;
  readonly dataDir: string;
  conf: PoolConf;
  /** The lines written to the log. */
  readonly said: string[] = [];

  constructor(t: Test, { sets = [[{ subnet: "10.0.0.0/29" }]], ...options }: Options = {}) {
    this.dataDir = temporaryDirectory(t, "ipam");
    this.directory = `${this.dataDir}/net`;
    this.ownerIndex = `${this.dataDir}/.twill/net`;
    const log = (line: string) => this.said.push(line.replaceAll(this.dataDir, "<dataDir>"));
    const defaults = { reclaimAfterReboot: false, reuseDelayMs: 0, log };
    this.conf = {
      ...defaults,
      ...options,
      network: "net",
      dataDir: this.dataDir,
      sets: parseRangeSets(sets, "1.1.0"),
    };
    makeDirectories(this.directory, 0o755);
  }

  /** @returns the addresses, as "10.0.0.2/29 10.0.1.2/29". */
  add(containerId: string, { ifName = "eth0", requested = "" } = {}): string {
    const addresses = requested.split(" ").flatMap((text): Address[] => {
      const address = parseAddress(text);
      return address ? [address] : [];
    });
    const given = withPool(this.conf, (pool) => allocate(pool, { containerId, ifName }, addresses));
    return given.map(({ address, range }) => formatPrefix({ address, length: range.subnet.length })).join(" ");
  }

  /** Calls `add`; returns the error's text in place of addresses. */
  tryAdd(containerId: string, options: { ifName?: string; requested?: string } = {}): string {
    try {
      return this.add(containerId, options);
    } catch (error) {
      if (error instanceof Error) return error.message;
      throw error;
    }
  }

  del(containerId: string, { ifName = "eth0", hints = "" } = {}): void {
    const names = hints.split(" ").filter((name) => name !== "");
    withExistingPool(this.conf, (pool) => releaseAll(pool, { containerId, ifName }, names));
  }

  check(containerId: string, ifName = "eth0"): boolean {
    const find = (pool: Pool) => heldBy(pool, { containerId, ifName }, [], "directory");
    return (withExistingPool(this.conf, find) ?? []).length > 0;
  }

  gc(...alive: string[]): void {
    const isAlive = ({ containerId }: Owner) => alive.includes(containerId);
    withExistingPool(this.conf, (pool) => collectGarbage(pool, isAlive));
  }

  status(): string {
    return withExistingPool(this.conf, findExhaustion)?.message ?? "ok";
  }

  /** Writes what the reference plugin's ADD leaves. */
  addByOther(containerId: string, name: string, ifName: string | undefined = "eth0"): void {
    this.write(name, formatReservation({ containerId, ifName }));
    this.write("last_reserved_ip.0", name);
  }

  write(name: string, content: string): void {
    writeFile(`${this.directory}/${name}`, content, { mode: 0o600 });
  }

  /** Removes a file as another process does. */
  remove(name: string): void {
    removeFile(`${this.directory}/${name}`);
  }

  read(name: string): string | undefined {
    return findText(`${this.directory}/${name}`);
  }

  /** Returns the names of all reservations. */
  reserved(): string {
    return (findDirectory(this.directory) ?? []).filter((name) => parseAddress(name)).join(" ");
  }

  /** Returns the names of the owners' files in the owner index. */
  recorded(): string {
    return (findDirectory(`${this.ownerIndex}/owners`) ?? []).join(" ");
  }

  /** Returns the addresses in the record of a container's eth0. */
  holdingsOf(containerId: string): string[] {
    const { holdings } = JSON.parse(readText(`${this.ownerIndex}/owners/${containerId}:eth0`));
    return holdings.map(({ name }: { name: string }) => name);
  }

  /** Whether the next call will trust the owner index alone. */
  isComplete(): boolean {
    const { stamp } = JSON.parse(readText(`${this.ownerIndex}/note`));
    return stamp === `${findStat(this.directory)?.modifiedNs}`;
  }

  /** Changes the records as if they had all been made in another boot. */
  reboot(): void {
    for (const file of [
      "note",
      ...(findDirectory(`${this.ownerIndex}/owners`) ?? []).map((name) => `owners/${name}`),
    ]) {
      const path = `${this.ownerIndex}/${file}`;
      const text = readText(path).replaceAll(/"bootId":"[^"]*"/g, '"bootId":"00000000-0000-4000-8000-000000000000"');
      writeFile(path, text, { mode: 0o600 });
    }
  }
}
