/**
 * flanneld: gives this host its part of the cluster network, and keeps it. The steps of a start stand in their order in `serve`; what happens
 * afterwards is in member.ts.
 */
import { createLog, type Log } from "../../pkg/observe/log.ts";
import { withoutRepeats } from "../../pkg/observe/without-repeats.ts";
import { showSubnets } from "../../pkg/subnet/lease.ts";
import { StoreError } from "../../pkg/subnet/store.ts";
import { writeSubnetFile } from "../../pkg/subnet/subnet-file.ts";
import { SystemError } from "../../pkg/sys/errno.ts";
import { startHealth } from "./health.ts";
import { needNetworkAdmin } from "./kernel-prerequisites.ts";
import { measuredStore } from "./measured-store.ts";
import { Member } from "./member.ts";
import { createMetrics } from "./metrics.ts";
import { createNotifier } from "./notify.ts";
import { type Options, readOptions } from "./options.ts";
import { findPlace, mayPass, subnetFileOf } from "./place.ts";
import { keepRules } from "./rules.ts";
import { createStanding } from "./standing.ts";
import { reportStatus } from "./status/report.ts";
import { tellStatus } from "./status/tell.ts";
import { endAll, type Patience, persist, Stopped, stopSignal, untilStopped } from "./stopping.ts";
import { openStore } from "./store.ts";

/** Set by the build. */
declare const TWILL_VERSION: string;

const RETRY_MS = 1000;

async function main(): Promise<number> {
  const asked = readOptions(process.argv.slice(2), process.env, TWILL_VERSION);
  if (asked.to === "run") return run(asked.options);
  const { stdout, stderr, exitCode } = asked.to === "tell status" ? await tellStatus(asked) : asked;
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  return exitCode;
}

/** @returns the exit status */
async function run(options: Options): Promise<number> {
  const { format, details } = options.log;
  const log = createLog({ format, level: details ? "debug" : "info", write: (line) => process.stderr.write(line) });
  log.info("flanneld starts", { version: TWILL_VERSION, ...options.settings });
  for (const warning of options.warnings) log.warn(warning);
  try {
    await serve(options, withoutRepeats(log), stopSignal());
    return 0;
  } catch (error) {
    if (error instanceof Stopped) return 0;
    log.error(error instanceof Error ? error.message : String(error));
    return 1;
  }
}

/** @throws Stopped; Error what is wrong with this host, the settings or the store, and what to do */
async function serve(options: Options, log: Log, stop: AbortSignal): Promise<void> {
  const { subnetFile } = options;
  const ends: (() => unknown)[] = [];
  try {
    needNetworkAdmin();
    const notifier = createNotifier({ environment: process.env, pid: process.pid, warn: log.warn });
    ends.push(notifier.stopping);
    const standing = createStanding(subnetFile, notifier, log);
    const metrics = createMetrics(TWILL_VERSION);
    const store = measuredStore(openStore(options.store, log), metrics);
    ends.push(() => store.close());
    let member: Member | undefined;
    let trouble: Error | undefined;
    const status = () =>
      reportStatus({
        version: TWILL_VERSION,
        subnetFile,
        state: standing.current(),
        store: { description: store.description, trouble },
        member: member?.facts(),
      });
    const health = await startHealth(options, { isReady: standing.isReady, status, metrics });
    ends.push(() => health.close());

    const patience: Patience = {
      everyMs: RETRY_MS,
      stop,
      isPassing: mayPass,
      failed(error) {
        trouble = error instanceof StoreError ? error : undefined;
        standing.waiting(error.message);
        log.warn(`waiting: ${error.message}`); // in the message, where commands to copy are not quoted
      },
    };
    const place = await persist(() => findPlace(options, store, log), patience);
    trouble = undefined;
    place.backend.takeLease(place.lease);
    ends.push(keepRules(options, place, { log, metrics }));

    member = new Member({
      ...place,
      store,
      log,
      metrics,
      wish: options.externalInterface,
      renewMarginMs: options.renewMarginMinutes * 60_000,
      lost: standing.lost,
      held(lease) {
        metrics.leaseExpires(lease.expiresMs);
        standing.held();
      },
      resized() {
        writeSubnetFile(subnetFile, subnetFileOf(options, place));
        standing.repeat();
      },
      trouble(why) {
        trouble = why;
        if (why && !standing.isReady()) standing.waiting(why.message);
      },
    });
    ends.push(() => member?.stop());
    metrics.leaseExpires(place.lease.expiresMs);
    await Promise.race([member.programmed, untilStopped(stop)]);

    await persist(async () => writeSubnetFile(subnetFile, subnetFileOf(options, place)), {
      ...patience,
      isPassing: (error) => error instanceof SystemError, // a full disk, say
    });
    const summary = `has ${showSubnets(place.lease)}, ${place.network.backend.type} over ${place.external.name}`;
    standing.ready(summary);
    log.info("ready", { summary, mtu: place.backend.mtu, subnetFile });
    globalThis.gc?.(); // of what was needed for the first pass over all peers, nothing is needed any more: some 20 MB with 5,000
    await untilStopped(stop);
  } finally {
    await endAll(ends, ({ message }) => log.error("cannot end in order", { error: message }));
  }
}

process.exit(await main());
