/**
 * Keeps leases in etcd v3 under flannel's keys: flannel's daemons and ours can share one etcd.
 *
 * etcd returns the expiry of a lease only one by one. flannel asks for each of them at every start of every host: after a power cut
 * these are as many requests as the square of the number of hosts. This store knows the expiry of leases that it has made. For the
 * others `expiresMs` is the time of reading, until which they last at least; the watch reports when they are gone.
 */

import { keyOf, type Lease, leaseOf, printAttributes } from "../../lease/lease.ts";
import type { Store } from "../../lease/store.ts";
import { NoConfig } from "../../lease/store-error.ts";
import type { Log } from "../../log/log.ts";
import { shellWord } from "../shell-word.ts";
import { type Cluster, clusterOf } from "./cluster.ts";
import type { Access } from "./connection.ts";
import { createLease } from "./create.ts";
import { readEndpoints } from "./endpoint.ts";
import { type EtcdLeases, etcdLeases, NONE } from "./etcd-lease.ts";
import { type Keys, keysBelow, snapshotOf } from "./keys.ts";
import { etcdServerAt } from "./server.ts";
import { findInV2Keys } from "./v2-keys.ts";
import { type EtcdWatch, followLeases } from "./watch.ts";

export interface EtcdOptions extends Access {
  /** As `http://10.0.0.1:2379`; tried in turn. */
  endpoints: readonly string[];
  /** As `/coreos.com/network`. */
  prefix: string;
  log: Log;
}

/**
 * Connects at the first request.
 *
 * @throws Error an invalid endpoint, a certificate without its key
 */
export function openEtcdStore({ endpoints, prefix, log, ...access }: EtcdOptions): Store {
  const urls = readEndpoints(endpoints);
  checkAccess(urls, access, log);
  const members = () => urls.map((url) => etcdServerAt(url, access));
  const keys = keysBelow(prefix);
  const cluster = clusterOf(members(), keys.prefix);
  const grants = etcdLeases(cluster, log);
  const description = `etcd ${urls.join(", ")}, prefix ${keys.prefix}`;
  const configCommand = (config: string) =>
    `etcdctl --endpoints=${urls.join(",")} put ${keys.config} ${shellWord(config)}`;
  const watches = new Set<EtcdWatch>();

  return {
    description,
    async readConfig() {
      const { kvs } = await cluster.ask("read the network configuration", ({ kv }) => kv.range({ key: keys.config }));
      if (kvs[0]) return kvs[0].value.toString();
      const ofV2 = await findInV2Keys(urls, keys.config.toString(), access);
      throw new NoConfig(
        ofV2 === undefined
          ? `${description}: there is no network configuration. To write one: ${configCommand(exampleConfig)}`
          : `${description}: the network configuration stands in etcd's v2 keys only, which flannel read until 0.17; this daemon reads v3 keys. To copy it: ETCDCTL_API=3 ${configCommand(ofV2.trim().replaceAll(/\s*\n\s*/g, " "))}`,
      );
    },
    ...leasesOf(cluster, keys, grants),
    watch(event, trouble) {
      const watch = followLeases({ members: members(), keys, endOf: grants.endOf, event, trouble });
      watches.add(watch);
      return watch;
    },
    reconnect() {
      cluster.reconnect();
      for (const watch of watches) watch.reconnect();
    },
    async close() {
      for (const watch of watches) watch.stop();
      cluster.close();
    },
  };
}

const exampleConfig = '{ "Network": "10.5.0.0/16", "Backend": {"Type": "vxlan"} }';

function leasesOf(
  cluster: Cluster,
  keys: Keys,
  grants: EtcdLeases,
): Pick<Store, "list" | "create" | "put" | "find" | "hasWritten" | "delete"> {
  return {
    async list() {
      const { kvs } = await cluster.ask("list the leases", ({ kv }) => kv.range(keys.leases));
      return snapshotOf(kvs, keys, grants.endOf);
    },
    async create(subnets, attributes, ttlMs) {
      const value = Buffer.from(printAttributes(attributes));
      const term = await grants.writeFor(ttlMs, (lease) => createLease(cluster, keys, { subnets, value, lease }));
      return term && leaseOf(subnets, attributes, term.expiresMs);
    },
    async put(subnets, attributes, ttlMs) {
      const entry = { key: keys.lease(subnets), value: Buffer.from(printAttributes(attributes)) };
      const term = await grants.writeFor(ttlMs, async (lease) => {
        await cluster.ask(`write the lease ${keyOf(subnets)}`, ({ kv }) => kv.put({ ...entry, lease }));
        return true;
      });
      return leaseOf(subnets, attributes, term?.expiresMs);
    },
    async find(subnets) {
      const { kvs } = await cluster.ask(`read the lease ${keyOf(subnets)}`, ({ kv }) =>
        kv.range({ key: keys.lease(subnets) }),
      );
      const [lease] = snapshotOf(kvs, keys, grants.endOf).leases;
      const expiresMs = lease && (await grants.askEnd(kvs[0]?.lease ?? NONE));
      return lease && withEnd(lease, expiresMs);
    },
    hasWritten: ({ expiresMs }) => expiresMs !== undefined && grants.isOurs(expiresMs),
    async delete(subnets) {
      await cluster.ask(`delete the lease ${keyOf(subnets)}`, ({ kv }) => kv.deleteRange({ key: keys.lease(subnets) }));
    },
  };
}

function withEnd({ expiresMs: _, ...lease }: Lease, expiresMs: number | undefined): Lease {
  return expiresMs === undefined ? lease : { ...lease, expiresMs };
}

/** @throws Error for combinations of options that cannot be intended */
function checkAccess(urls: readonly string[], { tls, username, password }: Access, log: Log): void {
  if (urls.length === 0) throw new Error("no etcd endpoint is given. To fix: set --etcd-endpoints");
  if (!tls?.certificate !== !tls?.key)
    throw new Error(
      "a client certificate needs its key. To fix: give both --etcd-certfile and --etcd-keyfile, or none",
    );
  if (!username !== !password) log.warn("not logging in to etcd: both a user name and a password are needed");
  const secure = urls.filter((url) => url.startsWith("https:"));
  const plain = urls.filter((url) => !secure.includes(url));
  if (tls && plain.length > 0)
    log.warn("the TLS files are not used for http:// endpoints", { endpoints: plain.join(",") });
  if (tls?.ca && !tls.certificate && secure.length > 0)
    log.info("etcd's certificate is verified, but no client certificate is sent to it", {
      endpoints: secure.join(","),
    });
}
