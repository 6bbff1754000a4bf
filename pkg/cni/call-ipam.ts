/** Calls of the IPAM plugin by plugins that make interfaces, one for each verb. Without an IPAM plugin they do nothing. */

import { type NamedStep, runAllSteps } from "./best-effort-del.ts";
import { delegateAdd, delegateCheck, delegateDel, delegateGc, delegateStatus } from "./delegate.ts";
import { CniError, ErrorCode, invalidConf } from "./error.ts";
import type { Attachment, Gc, Request } from "./plugin.ts";
import type { Dns, Result } from "./result.ts";

export type IpamResult = Pick<Result, "ips" | "routes" | "dns">;

/** The IPAM result of a layer 2 attachment. */
export const emptyResult: IpamResult = { ips: [], routes: [] };

/** The part of a configuration that names the IPAM plugin. */
export interface WithIpam {
  ipam?: { type?: string | undefined } | undefined;
}

/** The IPAM plugin's name; undefined for a layer 2 network, which may have an empty `ipam`. */
export const typeOf = ({ ipam }: WithIpam): string | undefined => ipam?.type || undefined;

/** Requires an IPAM plugin, for plugins that cannot do without addresses. @throws CniError 7 with the text `msg`: there is none */
export function requireType(conf: WithIpam, msg: string): void {
  if (typeOf(conf) !== undefined) return;
  throw invalidConf(msg, `add "ipam" with a "type", as "static" or "host-local"`);
}

/**
 * Calls ADD of the IPAM plugin.
 *
 * @param index of the container's interface in the result.
 * @throws the IPAM plugin's CniError, unchanged. CniError 999: the result has no address.
 */
export function add(
  attachment: Attachment<WithIpam>,
  index: number,
  undo: (what: string, action: () => void) => void,
): IpamResult {
  const ipam = typeOf(attachment.conf);
  if (ipam === undefined) return emptyResult;
  const { ips, routes, dns } = delegateAdd(attachment, ipam);
  undo("release the addresses", () => delegateDel(attachment, ipam)); // after it: a refused ADD may be a repeated one with addresses in use
  if (ips.length === 0) {
    throw new CniError({
      code: ErrorCode.internal,
      msg: "IPAM plugin returned missing IP config",
      details: `"${ipam}" returned no address on ADD`,
      remedy: `set at least one address or range in "ipam", or remove "ipam" for a layer 2 attachment`,
    });
  }
  return { ips: ips.map((ip) => ({ ...ip, interface: index })), routes, ...(dns && { dns }) };
}

/** The step of a DEL that deletes the link. Its action returns false when there was none. */
export type LinkStep = readonly [what: string, action: () => boolean];

/**
 * Runs the steps of a DEL and calls DEL of the IPAM plugin, each also after a failed one: as the last one, when the interface no longer
 * uses the addresses. But the DHCP plugin comes first: it sends DHCPRELEASE through the link, which must still exist.
 *
 * An ADD at the same time may make its link after the first look and reserve its addresses before they are released. ADD makes the link
 * first, so a second look finds every link whose addresses were released.
 *
 * @param before The steps that come before the link's.
 * @throws as `runAllSteps`
 */
export function del(attachment: Attachment<WithIpam>, link: LinkStep, before: readonly NamedStep[] = []): void {
  const ipam = typeOf(attachment.conf);
  const [what, deleteLink] = link;
  let wasThere = true;
  const first: NamedStep = [
    what,
    () => {
      wasThere = deleteLink();
    },
  ];
  const again: NamedStep = [
    `${what} of an ADD at the same time`,
    () => !wasThere && deleteLink() && runAllSteps(before),
  ];
  const release: NamedStep = ["release the addresses", () => ipam !== undefined && delegateDel(attachment, ipam)];
  runAllSteps(ipam === "dhcp" ? [release, ...before, first] : [...before, first, release, again]);
}

export function check(attachment: Attachment<WithIpam>): void {
  const ipam = typeOf(attachment.conf);
  if (ipam !== undefined) delegateCheck(attachment, ipam);
}

export function gc(request: Gc<WithIpam>): void {
  const ipam = typeOf(request.conf);
  if (ipam !== undefined) delegateGc(request, ipam);
}

export function status(request: Request<WithIpam>): void {
  const ipam = typeOf(request.conf);
  if (ipam !== undefined) delegateStatus(request, ipam);
}

/** Returns the DNS settings of a result: the configuration's if it has any (an empty list counts), otherwise those of the IPAM plugin. */
export function dnsOf(conf: { dns?: Dns | undefined }, { dns: leased }: IpamResult): Dns | undefined {
  const { nameservers, search, options, domain } = conf.dns ?? {};
  return (nameservers ?? search ?? options) !== undefined || domain ? conf.dns : leased;
}
