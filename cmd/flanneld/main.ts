/**
 * flanneld: acquires this host's subnet of the cluster network, and keeps it. `serve` has the steps of a start in their order;
 * controller.ts does the work afterwards.
 */

import { raiseLoopPriority } from "../../pkg/cluster/event-loop/priority.ts";
import { formatSubnets } from "../../pkg/cluster/lease/lease.ts";
import { createLog, type Log } from "../../pkg/cluster/log/log.ts";
import { rateLimited } from "../../pkg/cluster/log/rate-limited.ts";
import { writeSubnetFile } from "../../pkg/subnet-env/subnet-file.ts";
import { needNetworkAdmin } from "./br-netfilter.ts";
import { watchConfig } from "./config-watch.ts";
import { startController, watchRoutes } from "./controller.ts";
import { startHealth } from "./health.ts";
import { joinNetwork, subnetFileOf } from "./join.ts";
import { createMetrics } from "./metrics.ts";
import { startRules } from "./network-rules.ts";
import { createNotifier } from "./notify.ts";
import { type Options, readOptions } from "./options/options.ts";
import { retry } from "./retry.ts";
import { retryStart } from "./retry-start.ts";
import { runCleanups, Stopped, stopSignal, untilStopped } from "./shutdown.ts";
import { createStateReporter } from "./state-reporter.ts";
import { requestStatus } from "./status/client.ts";
import { type NetworkInfo, reportStatus } from "./status/report.ts";
import { openLeaseManager } from "./store/open-lease-manager.ts";
import { aboutSubnetFile, SubnetFileError } from "./subnet-file-error.ts";

/** Set by the build. */
declare const TWILL_VERSION: string;

const RETRY_MS = 1000;

async function main(): Promise<number> {
  const action = readOptions(process.argv.slice(2), process.env, TWILL_VERSION);
  if (action.to === "run") return run(action.options);
  const { stdout, stderr, exitCode } = action.to === "tell status" ? await requestStatus(action) : action;
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
  raiseLoopPriority();
  try {
    await serve(options, rateLimited(log), stopSignal());
    return 0;
  } catch (error) {
    if (error instanceof Stopped) return 0;
    log.error(error instanceof Error ? error.message : String(error));
    return 1;
  }
}

/** @throws Stopped; Error says what is wrong with this host, the settings or the store, with the remedy */
async function serve(options: Options, log: Log, stop: AbortSignal): Promise<void> {
  const { subnetFile } = options;
  const ends: (() => unknown)[] = [];
  let failed = (_error: Error) => {};
  try {
    needNetworkAdmin();
    const notifier = createNotifier({ environment: process.env, pid: process.pid, warn: log.warn });
    ends.push(notifier.stopping);
    const reporter = createStateReporter(subnetFile, notifier, log);
    const metrics = createMetrics(TWILL_VERSION);
    const manager = openLeaseManager(options.store, { renewMarginMs: options.renewMarginMs, log, metrics });
    const { description, remedies } = manager;
    ends.push(() => manager.close());
    let member: () => NetworkInfo | undefined = () => undefined;
    const status = () =>
      reportStatus({
        version: TWILL_VERSION,
        subnetFile,
        state: reporter.current(),
        store: { description, remedies, trouble: reporter.lastStoreTrouble() },
        member: member(),
      });
    const health = await aboutSubnetFile(subnetFile, () =>
      startHealth(options, { isReady: reporter.isReady, status, metrics }),
    );
    ends.push(() => health.close());
    failed = reporter.ended; // from now on no other daemon has the state file

    const joined = await retryStart(() => joinNetwork(options, manager, log), {
      ...{ everyMs: RETRY_MS, stop },
      failed: reporter.cannotJoin,
    });
    reporter.storeTrouble(undefined);
    ends.push(() => joined.backend.close());
    if (joined.backend.counters) metrics.dataPath(joined.backend.counters);
    await joined.backend.setOwnLease(joined.lease);
    ends.push(startRules(options, joined, { log, metrics }));

    const writeFile = () => writeSubnetFile(subnetFile, subnetFileOf(options, joined));
    const controller = startController({
      ...joined,
      ...{ manager, reporter, metrics, log },
      watchKernel: watchRoutes,
      writeSubnetFile: writeFile,
    });
    ends.push(controller.stop);
    const config = watchConfig({ manager, configText: joined.configText, log });
    ends.push(config.stop);
    member = () => ({
      ...joined,
      ...controller.facts(),
      configProblem: config.problem(),
      renewMarginMs: options.renewMarginMs,
    });
    await Promise.race([controller.programmed, untilStopped(stop)]);

    await retry(() => aboutSubnetFile(subnetFile, writeFile), {
      ...{ everyMs: RETRY_MS, stop },
      isTemporary: (error) => error instanceof SubnetFileError, // such as a full disk
      failed: reporter.cannotWrite,
    });
    const summary = `subnet ${formatSubnets(joined.lease)}, backend ${joined.network.backend.type} over ${joined.external.name}`;
    reporter.ready(summary);
    log.info("ready", { summary, mtu: joined.backend.mtu, subnetFile });
    globalThis.gc?.(); // frees the memory of the first pass over all peers: some 20 MB with 5,000
    await untilStopped(stop);
  } catch (error) {
    if (error instanceof Error && !(error instanceof Stopped)) failed(error);
    throw error;
  } finally {
    await runCleanups(ends, ({ message }) => log.error("cleanup failed", { error: message }));
  }
}

process.exit(await main());
