/** Helpers of tests: addresses from texts, a log that is kept, a store in memory. */
import { type Address, type Prefix, parseAddress, parsePrefix } from "../../ip/address.ts";
import type { Clock } from "../event-loop/clock.ts";
import type { Log } from "../log/log.ts";
import type { LeaseEvent, Malformed, Snapshot, Watch } from "./event.ts";
import { keyOf, type Lease, type LeaseAttributes, leaseOf, parseKey, type Subnets, subnetsOverlap } from "./lease.ts";
import type { DividedNetworkConfig, FamilyConfig } from "./network-config.ts";
import type { Store } from "./store.ts";
import { StoreError } from "./store-error.ts";

export function ip(text: string): Address {
  const address = parseAddress(text);
  if (!address) throw new Error(`not an address: ${text}`);
  return address;
}

export function cidr(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (!prefix) throw new Error(`not a prefix: ${text}`);
  return prefix;
}

/** Parses a lease's key. */
export function subnets(key: string): Subnets {
  const found = parseKey(key);
  if (!found) throw new Error(`not a key: ${key}`);
  return found;
}

/** Makes the attributes of a host with this public address, as vxlan writes them. */
export const attributesOf = (publicIP: string, VtepMAC = "aa:00:00:00:00:01"): LeaseAttributes => ({
  publicIP: ip(publicIP),
  backendType: "vxlan",
  backendData: { VNI: 1, VtepMAC },
});

/** Parses "10.3.0.0/16 24 10.3.1.0 10.3.255.0": network, subnet length, first and last subnet. */
export function network(ipv4: string, ipv6?: string): DividedNetworkConfig {
  return {
    ipv4: family(ipv4),
    ...(ipv6 !== undefined && { ipv6: family(ipv6) }),
    nftables: false,
    backend: { type: "vxlan", settings: { Type: "vxlan" } },
    noMasquerade: [],
  };
}

function family(text: string): FamilyConfig {
  const [prefix = "", length, min = "", max = ""] = text.split(" ");
  return { network: cidr(prefix), subnetLength: Number(length), subnetMin: ip(min), subnetMax: ip(max) };
}

/** Makes a log that appends to `lines`, the level first. */
export function linesOf(lines: string[]): Log {
  const line = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
}

export const silent: Log = linesOf([]);

/** A store in memory. Its leases expire by the wall clock, when the store is accessed. */
export class FakeStore implements Store {
  readonly description = "a store in memory";
  readonly leases = new Map<string, Lease>();
  readonly malformed = new Map<string, string>();
  /** Every call, as "put 10.3.1.0-24". */
  readonly calls: string[] = [];
  /** Thrown by every call while set. */
  failure: string | undefined;
  /** Called before a lease is created, so that a test can let another host be first. */
  beforeCreate: (subnets: Subnets) => void = () => {};
  private readonly clock: Clock;
  /** Expiry times of the leases that `create` and `put` wrote. */
  private readonly ends = new Set<number>();
  private readonly watchers = new Set<Parameters<Store["watch"]>>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  async readConfig(): Promise<string> {
    return "{}";
  }

  async list(): Promise<Snapshot> {
    await this.call("list");
    return this.snapshot();
  }

  async create(subnets: Subnets, attributes: LeaseAttributes, ttlMs: number | undefined): Promise<Lease | undefined> {
    await this.call(`create ${keyOf(subnets)}`);
    this.beforeCreate(subnets);
    const there = [...this.leases.keys(), ...this.malformed.keys()].flatMap((key) => parseKey(key) ?? []);
    return there.some((one) => subnetsOverlap(one, subnets)) ? undefined : this.writeOurs(subnets, attributes, ttlMs);
  }

  async put(subnets: Subnets, attributes: LeaseAttributes, ttlMs: number | undefined): Promise<Lease> {
    await this.call(`put ${keyOf(subnets)}`);
    return this.writeOurs(subnets, attributes, ttlMs);
  }

  async find(subnets: Subnets): Promise<Lease | undefined> {
    await this.call(`find ${keyOf(subnets)}`);
    return this.leases.get(keyOf(subnets));
  }

  hasWritten({ expiresMs }: Lease): boolean {
    return expiresMs !== undefined && this.ends.has(expiresMs);
  }

  async delete(subnets: Subnets): Promise<void> {
    await this.call(`delete ${keyOf(subnets)}`);
    this.remove(keyOf(subnets));
  }

  watch(...watcher: Parameters<Store["watch"]>): Watch {
    this.watchers.add(watcher);
    watcher[0]({ kind: "snapshot", snapshot: this.snapshot() });
    return { stop: () => void this.watchers.delete(watcher) };
  }

  /** Loses the store for all watches, or finds it again (undefined). */
  trouble(why: Error | undefined): void {
    for (const [, trouble] of this.watchers) trouble(why);
  }

  reconnect(): void {
    this.calls.push("reconnect");
  }

  async close(): Promise<void> {}

  private writeOurs(subnets: Subnets, attributes: LeaseAttributes, ttlMs: number | undefined): Lease {
    if (ttlMs !== undefined) this.ends.add(this.clock.wallMs() + ttlMs);
    return this.write(subnets, attributes, ttlMs);
  }

  /** Writes a lease as another host. */
  write(subnets: Subnets, attributes: LeaseAttributes, ttlMs?: number): Lease {
    const lease = leaseOf(subnets, attributes, ttlMs === undefined ? undefined : this.clock.wallMs() + ttlMs);
    this.malformed.delete(lease.id);
    this.leases.set(lease.id, lease);
    this.tell({ kind: "put", lease });
    return lease;
  }

  remove(key: string): void {
    const wasMalformed = this.malformed.delete(key);
    if (this.leases.delete(key) || wasMalformed) this.tell({ kind: "gone", id: key });
  }

  /** Replaces a lease by a malformed one, as another client. */
  spoil(malformed: Malformed): void {
    this.leases.delete(malformed.id);
    this.malformed.set(malformed.id, malformed.reason);
    this.tell({ kind: "malformed", malformed });
  }

  /** Sends watchers a snapshot, as after a lost connection. */
  tellAll(): void {
    this.tell({ kind: "snapshot", snapshot: this.snapshot() });
  }

  private snapshot(): Snapshot {
    this.expire();
    return {
      leases: [...this.leases.values()],
      malformed: [...this.malformed].map(([id, reason]) => ({ id, reason })),
    };
  }

  private async call(what: string): Promise<void> {
    this.calls.push(what);
    await null;
    if (this.failure !== undefined) throw new StoreError(this.failure);
    this.expire();
  }

  private expire(): void {
    const isOver = ({ expiresMs = Number.POSITIVE_INFINITY }: Lease) => expiresMs <= this.clock.wallMs();
    for (const [key, lease] of [...this.leases]) if (isOver(lease)) this.remove(key);
  }

  private tell(event: LeaseEvent): void {
    for (const [told] of this.watchers) told(event);
  }
}
