/**
 * Keeps the host's lease while the daemon runs: renews it in time, creates it again when it is gone, and reports when another
 * host has it. Containers keep their addresses, so the host never moves to another subnet; flannel exits instead.
 *
 * Until the lease expires no other host can have its key, so it may be overwritten. A lease that has expired, by wall clock or
 * boot clock, is created anew only if its key is free: after a long suspension or outage another host may have it.
 */
import { showJson } from "../../config/json.ts";
import { formatAddress } from "../../ip/address.ts";
import type { Clock } from "../event-loop/clock.ts";
import type { Log } from "../log/log.ts";
import type { OwnEvent } from "./event.ts";
import {
  formatSubnets,
  type Lease,
  type LeaseAttributes,
  printAttributes,
  sameSubnets,
  subnetsOverlap,
} from "./lease.ts";
import type { Store } from "./store.ts";

export interface RenewOptions {
  /** The attributes in the store; `changeAttributes` changes them. */
  attributes: LeaseAttributes;
  ttlMs: number;
  /** How long before its expiry the lease is renewed; limited to nine tenths of `ttlMs`. */
  renewMarginMs: number;
  clock: Clock;
  log: Log;
  /** Called when another host has our subnet; `reason` names the host and the remedy. Called again only when the reason changes. */
  leaseLost(reason: string): void;
  /** Called after every renewal, and when the lease is ours again. */
  renewed(lease: Lease): void;
}

export interface LeaseRenewer {
  /** Returns the lease as last known. */
  lease(): Lease;
  /** Takes an event of our own lease, from the watch. */
  take(event: OwnEvent): void;
  /** Must be called when the store is lost or answers again (undefined): then a failed attempt is repeated at once. */
  trouble(why: Error | undefined): void;
  /** Publishes changed attributes (address, device) at once, or as soon as the store answers. */
  changeAttributes(attributes: LeaseAttributes): void;
  stop(): void;
}

/** How often clocks are checked: timers do not advance while the machine is suspended. Failed attempts are repeated at growing pauses, up to this one. */
const LOOK_MS = 60_000;
/** The pause between attempts when the store returns leases that are due for renewal already; without it the loop would be busy. */
const REST_MS = 1000;
/**
 * A lease that another client deletes or changes is written again at once, for the first times within ten minutes; then after one second,
 * two, and so on up to a minute, because such a race has no winner.
 */
const MEMORY_MS = 600_000;
const UNDELAYED_RESTORES = 3;
const FIRST_PAUSE_MS = 1000;
/** A lease counts as expired this long before its expiry, since writing takes time and clocks differ; at most a tenth of its TTL. */
const SAFETY_MS = 10_000;
const LARGEST_MARGIN = 0.9;

export function startRenewal(store: Store, lease: Lease, options: RenewOptions): LeaseRenewer {
  const renewer = new Renewer(store, lease, options);
  return {
    lease: () => renewer.lease,
    take: (event) => renewer.handleEvent(event),
    trouble: (why) => {
      if (why === undefined) renewer.tryNow();
    },
    changeAttributes: (attributes) => renewer.changeAttributes(attributes),
    stop: () => renewer.stop(),
  };
}

class Renewer {
  lease: Lease;
  private readonly store: Store;
  private readonly options: RenewOptions;
  /** The attributes that the store should have. */
  private attributes: LeaseAttributes;
  /** All attributes that we have written, as printed. */
  private readonly written = new Set<string>();
  /** No watch event ends "overlapped": the key in conflict is another host's. */
  private state: "ours" | "gone" | "taken" | "overlapped" = "ours";
  private isChanged = false;
  /** Another client has written the lease, and its expiry must be asked for. */
  private isEndUnknown = false;
  private hasToldOfAnother = false;
  /** When other clients deleted or changed it, by the boot clock. */
  private disturbedBootMs: number[] = [];
  /** The number of watch events so far. */
  private events = 0;
  /** The expiry by the boot clock; undefined: never. */
  private endsBootMs: number | undefined;
  private triesAgainBootMs: number | undefined;
  /** The number of failed attempts in a row. */
  private failures = 0;
  /** The lease is an earlier run's, and this run has not been able to write it yet. */
  private isAdopted: boolean;
  private triedBootMs = Number.NEGATIVE_INFINITY;
  /** The lease was due for renewal already when we received it. */
  private isTooShort = false;
  private toldReason: string | undefined;
  private isWorking = false;
  private hasMore = false;
  private isStopped = false;
  private cancelTimer: () => void = () => {};

  constructor(store: Store, lease: Lease, options: RenewOptions) {
    this.store = store;
    this.options = options;
    this.lease = lease;
    this.attributes = options.attributes;
    this.written.add(printAttributes(options.attributes));
    this.updateExpiry(lease);
    this.isAdopted = lease.expiresMs !== undefined && !store.hasWritten(lease);
    this.isEndUnknown = this.isAdopted && this.isPast(lease);
    this.wait();
  }

  handleEvent(event: OwnEvent): void {
    this.events++;
    if (event.kind === "gone") this.onDeleted();
    else if (this.saysTheSame(event.lease)) this.confirm(event.lease);
    else if (this.isOfOurs(event.lease.attributes)) this.restore(event.lease);
    else this.lose(event.lease);
    this.tryNow();
  }

  private saysTheSame({ attributes }: Lease): boolean {
    return printAttributes(attributes) === printAttributes(this.attributes);
  }

  changeAttributes(attributes: LeaseAttributes): void {
    this.attributes = attributes;
    this.isChanged = true;
    this.tryNow();
  }

  tryNow(): void {
    void this.work();
  }

  stop(): void {
    this.isStopped = true;
    this.cancelTimer();
  }

  /** Runs one step at a time until nothing is left to do. */
  private async work(): Promise<void> {
    this.hasMore = this.isWorking;
    if (this.isWorking || this.isStopped) return;
    this.isWorking = true;
    this.triesAgainBootMs = undefined;
    this.cancelTimer();
    try {
      await this.step();
      this.failures = 0;
    } catch (error) {
      this.fail(error);
    }
    this.isWorking = false;
    if (this.hasMore) await this.work();
    else this.wait();
  }

  private async step(): Promise<void> {
    if (this.state === "taken") return; // until its key is gone
    if (this.isEndUnknown) await this.askEnd();
    if (this.restMs() > 0) return; // until the timer goes off
    if (this.state !== "ours" || this.remainingMs() <= this.safetyMs()) await this.makeAnew();
    else if (this.isChanged || this.remainingMs() <= this.marginMs()) await this.write();
  }

  private async write(): Promise<void> {
    const { attributes, events } = this.attempt();
    const ttlMs = this.lease.expiresMs === undefined ? undefined : this.options.ttlMs;
    const lease = await this.store.put(this.lease, attributes, ttlMs);
    this.options.log.info("renewed the lease", { lease: formatSubnets(lease), expires: expiryOf(lease) });
    this.recordWrite(lease, attributes, events);
  }

  private async makeAnew(): Promise<void> {
    const { attributes, events } = this.attempt();
    const made = await this.store.create(this.lease, attributes, this.options.ttlMs);
    if (made) {
      this.options.log.warn("the lease was missing: created it again", {
        lease: formatSubnets(made),
        expires: expiryOf(made),
      });
      return this.recordWrite(made, attributes, events);
    }
    const { leases, malformed } = await this.store.list();
    const found = leases.find((one) => sameSubnets(one, this.lease));
    if (found && !this.isOfOurs(found.attributes)) return this.lose(found);
    if (found && this.saysTheSame(found)) return this.confirm(found); // another daemon of this host was first
    if (found) this.updateExpiry(found);
    if (found || malformed.some(({ id }) => id === this.lease.id)) await this.write();
    else this.handleOverlap(leases);
  }

  /** Asks the store for the expiry of the current lease. A watch event that arrives meanwhile is newer and takes precedence. */
  private async askEnd(): Promise<void> {
    const { events } = this;
    const found = await this.store.find(this.lease);
    if (this.events !== events) return;
    this.isEndUnknown = false;
    if (found === undefined) this.state = "gone";
    else if (this.isOfOurs(found.attributes)) this.markHeld(found);
  }

  /** Begins an attempt to write. @returns the attributes to write, and the number of watch events before it */
  private attempt(): { attributes: LeaseAttributes; events: number } {
    const { attributes, events } = this;
    this.triedBootMs = this.options.clock.bootMs();
    this.written.add(printAttributes(attributes));
    return { attributes, events };
  }

  private handleOverlap(leases: readonly Lease[]): void {
    const inTheWay = leases.find((one) => subnetsOverlap(one, this.lease));
    if (!inTheWay)
      throw new Error(`${this.lease.id} cannot be created: the store says that it exists, but does not list it`);
    this.lose(inTheWay);
  }

  /** Records a successful write. A watch event that arrived meanwhile takes precedence: it may be newer than what was written. */
  private recordWrite(lease: Lease, attributes: LeaseAttributes, eventsBefore: number): void {
    this.isChanged = attributes !== this.attributes;
    this.isAdopted = false;
    if (this.events === eventsBefore) this.markHeld(lease);
    if (this.state === "ours") this.options.renewed(lease);
  }

  private onDeleted(): void {
    if (this.state === "ours" && this.remainingMs() > this.safetyMs()) this.noteDisturbance();
    this.state = "gone";
    this.isEndUnknown = false;
  }

  /**
   * Accepts a lease with the right attributes. If another client wrote it, that client renews it as we do; writing again would only
   * make it write again too.
   */
  private confirm(lease: Lease): void {
    const { expiresMs = Number.POSITIVE_INFINITY } = lease;
    const isWrittenByAnother = expiresMs < Number.POSITIVE_INFINITY && !this.store.hasWritten(lease);
    if (isWrittenByAnother && !this.isAdopted) this.tellOfAnother();
    this.markHeld(lease);
    this.isEndUnknown = this.isPast(lease);
  }

  /** Reports whether the store does not know the lease's expiry: it exists, so it has not expired. */
  private isPast({ expiresMs = Number.POSITIVE_INFINITY }: Lease): boolean {
    return expiresMs <= this.options.clock.wallMs();
  }

  private tellOfAnother(): void {
    if (this.hasToldOfAnother) return;
    this.hasToldOfAnother = true;
    this.options.log.warn(anotherDaemon(this.lease, this.attributes));
  }

  private noteDisturbance(): void {
    const { clock, log } = this.options;
    const now = clock.bootMs();
    this.disturbedBootMs = [...this.disturbedBootMs.filter((at) => now - at < MEMORY_MS), now];
    if (this.disturbedBootMs.length === UNDELAYED_RESTORES + 1) log.warn(disturbed(this.lease));
  }

  private markHeld(lease: Lease): void {
    this.updateExpiry(lease);
    if (this.state === "taken") this.options.renewed(lease);
    this.state = "ours";
    this.toldReason = undefined;
  }

  /** Writes our attributes again: another client made a reservation of the lease, or restored an old copy of the store. */
  private restore(lease: Lease): void {
    if (!this.isAdopted) this.noteDisturbance();
    this.markHeld(lease);
    this.isEndUnknown = this.isAdopted && this.isPast(lease);
    this.isChanged = true;
  }

  private lose(holder: Lease): void {
    const isSame = sameSubnets(holder, this.lease);
    this.state = isSame ? "taken" : "overlapped";
    const reason =
      isSame && this.hasOurAddress(holder.attributes)
        ? samePublicAddress(this.lease, holder.attributes)
        : otherHost(this.lease, holder);
    if (reason === this.toldReason) return;
    this.toldReason = reason;
    this.options.log.error("the lease is lost", { lease: formatSubnets(this.lease), reason });
    this.options.leaseLost(reason);
  }

  /** Reports whether we or an earlier run wrote it, or somebody reserved it for us. */
  private isOfOurs(attributes: LeaseAttributes): boolean {
    const isReservation = attributes.backendType === "" && attributes.backendData === undefined;
    const mayBeOurs = isReservation || this.isAdopted;
    return this.written.has(printAttributes(attributes)) || (mayBeOurs && this.hasOurAddress(attributes));
  }

  private hasOurAddress({ publicIP }: LeaseAttributes): boolean {
    return showAddress(publicIP) === showAddress(this.attributes.publicIP);
  }

  private updateExpiry(lease: Lease): void {
    const { clock } = this.options;
    this.lease = lease;
    this.endsBootMs = lease.expiresMs === undefined ? undefined : clock.bootMs() + lease.expiresMs - clock.wallMs();
    this.isTooShort = this.remainingMs() <= this.marginMs();
  }

  /** Returns the time until expiry, the shorter one of wall clock and boot clock. */
  private remainingMs(): number {
    const { clock } = this.options;
    if (this.lease.expiresMs === undefined || this.endsBootMs === undefined) return Number.POSITIVE_INFINITY;
    return Math.min(this.lease.expiresMs - clock.wallMs(), this.endsBootMs - clock.bootMs());
  }

  private restMs(): number {
    const many = this.disturbedBootMs.length - UNDELAYED_RESTORES;
    const pauseMs = many > 0 ? Math.min(LOOK_MS, FIRST_PAUSE_MS * 2 ** (many - 1)) : 0;
    const restMs = Math.max(pauseMs, this.isTooShort ? REST_MS : 0);
    return restMs > 0 ? this.triedBootMs + restMs - this.options.clock.bootMs() : 0;
  }

  private safetyMs(): number {
    return Math.min(SAFETY_MS, this.options.ttlMs * (1 - LARGEST_MARGIN));
  }

  private marginMs(): number {
    return Math.min(this.options.renewMarginMs, this.options.ttlMs * LARGEST_MARGIN);
  }

  private fail(error: unknown): void {
    const { clock, log } = this.options;
    if (this.isStopped) return;
    this.triesAgainBootMs = clock.bootMs() + Math.min(LOOK_MS, FIRST_PAUSE_MS * 2 ** this.failures++);
    const message = error instanceof Error ? error.message : String(error);
    log.warn("cannot write the lease: retrying", {
      lease: formatSubnets(this.lease),
      expires: expiryOf(this.lease),
      error: message,
    });
  }

  private wait(): void {
    const { clock } = this.options;
    const laterMs = this.triesAgainBootMs === undefined ? this.dueMs() : this.triesAgainBootMs - clock.bootMs();
    if (this.isStopped) return;
    this.cancelTimer = clock.after(Math.min(Math.max(laterMs, this.restMs(), 0), LOOK_MS), () => void this.work());
  }

  private dueMs(): number {
    if (this.state === "taken" || this.state === "overlapped") return LOOK_MS;
    if (this.isEndUnknown) return 0;
    return this.state === "gone" || this.isChanged ? 0 : this.remainingMs() - this.marginMs();
  }
}

const expiryOf = ({ expiresMs }: Lease): string =>
  expiresMs === undefined ? "never" : new Date(expiresMs).toISOString();

const showAddress = (address: Uint8Array | undefined): string => (address ? formatAddress(address) : "0.0.0.0");

function otherHost(lease: Lease, holder: Lease): string {
  const what = sameSubnets(holder, lease)
    ? `our subnet ${formatSubnets(lease)}, which`
    : `${formatSubnets(holder)}, which overlaps our subnet ${formatSubnets(lease)} and`;
  return (
    `host ${showAddress(holder.attributes.publicIP)} has ${what} was free while our lease was gone: ` +
    "containers of both hosts have the same addresses. Waiting until it is free. To fix: stop the containers of one of the hosts; " +
    "to get another subnet here, stop those of this host, then restart this daemon"
  );
}

const anotherDaemon = (lease: Lease, { publicIP }: LeaseAttributes): string =>
  `another daemon writes our lease ${formatSubnets(lease)} too, with our public address ${showAddress(publicIP)}: a second flanneld on this host ` +
  "(with another --subnet-file), or another host with our address. To fix: stop the daemon that is not wanted (pgrep -af flanneld shows those of this host), " +
  "or start the other host with its own --public-ip or --iface";

const disturbed = (lease: Lease): string =>
  `another process keeps deleting or changing our lease ${formatSubnets(lease)}: it is written again at increasing intervals, and until then other hosts may not reach our containers. ` +
  "To fix: find what writes to the store, such as a second flanneld with another network configuration, or a cleanup script";

const samePublicAddress = (lease: Lease, { publicIP, backendData }: LeaseAttributes): string =>
  `another daemon has written our lease ${formatSubnets(lease)} with our public address ${showAddress(publicIP)} and ` +
  `${showJson(backendData ?? {})}: two hosts have the same address, or a second daemon runs on this host. ` +
  "To fix: start each host with its own --public-ip or --iface, then restart this daemon";
