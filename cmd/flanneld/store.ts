/** Opens the lease manager of the configured store. */
import { readFileSync } from "node:fs";
import type { LeaseManager } from "../../pkg/cluster/lease/manager.ts";
import type { Store } from "../../pkg/cluster/lease/store.ts";
import { createStoreManager } from "../../pkg/cluster/lease/store-manager.ts";
import type { Log } from "../../pkg/cluster/log/log.ts";
import { openDirectoryStore } from "../../pkg/cluster/store/directory/directory.ts";
import { openEtcdStore } from "../../pkg/cluster/store/etcd/etcd.ts";
import type { Metrics } from "./metrics.ts";
import type { EtcdOptions, Options } from "./options/options.ts";
import { withStoreMetrics } from "./store-metrics.ts";

/** @throws Error a key or certificate file cannot be read, or one of the two is missing */
export function openLeaseManager(options: Options, { log, metrics }: { log: Log; metrics: Metrics }): LeaseManager {
  const store = withStoreMetrics(openStore(options.store, log), metrics);
  return createStoreManager(store, { renewMarginMs: renewMarginOf(options), log });
}

export const renewMarginOf = ({ renewMarginMinutes }: Options): number => renewMarginMinutes * 60_000;

function openStore(options: Options["store"], log: Log): Store {
  if (options.kind === "directory") return openDirectoryStore({ directory: options.directory, log });
  const { endpoints, prefix, username, password } = options;
  const tls = tlsOf(options);
  return openEtcdStore({
    endpoints,
    prefix,
    log,
    ...(Object.keys(tls).length > 0 && { tls }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
  });
}

function tlsOf({ authorityFile, certificateFile, keyFile }: EtcdOptions) {
  return {
    ...(authorityFile !== undefined && { ca: pemIn("--etcd-cafile", authorityFile) }),
    ...(certificateFile !== undefined && { certificate: pemIn("--etcd-certfile", certificateFile) }),
    ...(keyFile !== undefined && { key: pemIn("--etcd-keyfile", keyFile) }),
  };
}

function pemIn(flag: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`${flag} ${file} cannot be read: ${message}; give the path of a PEM file`, { cause: error });
  }
}
