/** The node as the checks of `twill doctor` look at it. Each part is read when the first check asks for it. */
import type { AttachmentId } from "../../../pkg/cni/attachment-id.ts";
import { listMarkedRules, type MarkedRule } from "../../../pkg/firewall/marked-rules.ts";
import { type Link, listLinks, openRtnetlink } from "../../../pkg/link/link.ts";
import { listRoutes } from "../../../pkg/link/route.ts";
import { findSysctl } from "../../../pkg/link/sysctl.ts";
import { connect, NETLINK_NETFILTER } from "../../../pkg/netlink/connection.ts";
import { AF_INET, AF_INET6 } from "../../../pkg/netlink/rtnetlink/family.ts";
import type { RouteMessage } from "../../../pkg/netlink/rtnetlink/route.ts";
import { type InstalledRuntimes, installedRuntimes } from "../../../pkg/runtime/installed-runtimes.ts";
import { lazy } from "../../../pkg/sys/lazy.ts";
import type { LintResult, Network } from "../../cnitool/lint/lint-file.ts";
import { examineDirectory } from "../../cnitool/validate.ts";
import type { Self } from "../install/origin.ts";
import { type CachedAttachments, readAttachments, rememberedOwners } from "../node/cached-attachments.ts";
import { configDirectories } from "../node/config-directories.ts";
import { type Reservation, readReservations, reservationDirectories } from "../node/leftovers.ts";
import { findLostRules, type LookForLostRules } from "../reload.ts";

export interface ConfiguredNetwork extends Network {
  /** The directories in which its runtime looks for plugins, in order. */
  path: readonly string[];
}

interface Configuration extends LintResult {
  network: ConfiguredNetwork | undefined;
}

export interface NodeView {
  self: Self;
  environment: Readonly<Record<string, string>>;
  readonly installed: InstalledRuntimes;
  /** Files of network configurations, with what cnitool validate says of each. */
  readonly configurations: readonly LintResult[];
  readonly networks: readonly ConfiguredNetwork[];
  readonly cache: CachedAttachments;
  /** The attachments of the cache, dead ones among them, and those that damaged files of it may stand for. */
  readonly remembered: readonly AttachmentId[];
  readonly links: readonly Link[];
  /** The routes of the main table, of both families. */
  readonly routes: readonly RouteMessage[];
  /** The rules of this host that name an attachment. */
  readonly markedRules: readonly MarkedRule[];
  /** What running attachments lack of their rules. */
  readonly lostRules: LookForLostRules;
  /** host-local's reservations in the networks that are configured. */
  readonly reservations: readonly Reservation[];
  /** Returns a setting below /proc/sys/net; undefined when this kernel has none. */
  sysctl(name: string): string | undefined;
}

export function viewNode(self: Self, environment: Readonly<Record<string, string>>): NodeView {
  const installed = lazy(installedRuntimes);
  const configurations = lazy(() =>
    configDirectories(installed(), environment).flatMap(({ directory, path }) =>
      examineDirectory(directory, path, self.plugins).map(
        ({ network, ...examined }): Configuration => ({ ...examined, network: network && { ...network, path } }),
      ),
    ),
  );
  const networks = lazy(() => configurations().flatMap(({ network }) => network ?? []));
  const cache = lazy(() => readAttachments());
  const remembered = lazy(() => rememberedOwners(cache()));
  const links = lazy(() => listLinks(openRtnetlink()));
  const routes = lazy(() => [AF_INET, AF_INET6].flatMap((family) => listRoutes(openRtnetlink(), family)));
  const markedRules = lazy(() => listMarkedRules(connect(NETLINK_NETFILTER)));
  const lostRules = lazy(() =>
    findLostRules(
      cache().attachments.filter(({ state }) => state === "alive"),
      self.plugins,
    ),
  );
  const reservations = lazy(() =>
    networks().flatMap(({ name, plugins }) =>
      reservationDirectories(
        name,
        plugins.map(({ conf }) => conf),
      ).flatMap((directory) => readReservations(directory, name)),
    ),
  );
  return {
    self,
    environment,
    get installed() {
      return installed();
    },
    get configurations() {
      return configurations();
    },
    get networks() {
      return networks();
    },
    get cache() {
      return cache();
    },
    get remembered() {
      return remembered();
    },
    get links() {
      return links();
    },
    get routes() {
      return routes();
    },
    get markedRules() {
      return markedRules();
    },
    get lostRules() {
      return lostRules();
    },
    get reservations() {
      return reservations();
    },
    sysctl: findSysctl,
  };
}
