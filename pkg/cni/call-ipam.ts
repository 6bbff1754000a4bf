/** Calls of the IPAM plugin by plugins that make interfaces. */

import type { NamedStep } from "./best-effort-del.ts";
import { delegateAdd, delegateDel } from "./delegate.ts";
import { CniError, ErrorCode, invalidConf } from "./error.ts";
import type { Attachment } from "./plugin.ts";
import type { Dns, Result } from "./result.ts";

export type IpamResult = Pick<Result, "ips" | "routes" | "dns">;

/** The IPAM result of a layer 2 attachment. */
export const emptyIpamResult: IpamResult = { ips: [], routes: [] };

/** The part of a configuration that names the IPAM plugin. */
interface WithIpam {
  ipam?: { type?: string | undefined } | undefined;
}

/** The IPAM plugin's name; undefined for a layer 2 network, which may have an empty `ipam`. */
export const ipamType = ({ ipam }: WithIpam): string | undefined => ipam?.type || undefined;

/** Returns the IPAM plugin's name, for plugins that cannot do without addresses. @throws CniError 7 with the text `msg`: there is none */
export function requireIpamType(conf: WithIpam, msg: string): string {
  const ipam = ipamType(conf);
  if (ipam !== undefined) return ipam;
  throw invalidConf(msg, `add "ipam" with a "type", as "static" or "host-local"`);
}

/**
 * Calls ADD of the IPAM plugin.
 *
 * @param index of the container's interface in the result.
 * @throws the IPAM plugin's CniError, unchanged. CniError 999: the result has no address.
 */
export function ipamAdd(
  attachment: Attachment<unknown>,
  ipam: string,
  index: number,
  undo: (what: string, action: () => void) => void,
): IpamResult {
  const { ips, routes, dns } = delegateAdd(attachment, ipam);
  undo("release the addresses", () => delegateDel(attachment, ipam)); // after it: a refused ADD may be a repeated one with addresses in use
  if (ips.length === 0) {
    throw new CniError({
      code: ErrorCode.internal,
      msg: "IPAM plugin returned missing IP config",
      details: `"${ipam}" answered ADD without an address`,
      remedy: `give "ipam" at least one address or range, or remove "ipam" for a layer 2 attachment`,
    });
  }
  return { ips: ips.map((ip) => ({ ...ip, interface: index })), routes, ...(dns && { dns }) };
}

/**
 * Adds the step that releases the addresses to the steps of a DEL: as the last one, when the interface no longer uses them. But the
 * DHCP plugin has to come first: it sends DHCPRELEASE through the link, which must still exist.
 */
export function withIpamDel(
  attachment: Attachment<unknown>,
  ipam: string | undefined,
  steps: readonly NamedStep[],
): readonly NamedStep[] {
  if (ipam === undefined) return steps;
  const release: NamedStep = ["release the addresses", () => delegateDel(attachment, ipam)];
  return ipam === "dhcp" ? [release, ...steps] : [...steps, release];
}

/** Returns the DNS settings of a result: the configuration's if it has any (an empty list counts), otherwise those of the IPAM plugin. */
export function dnsOf(conf: { dns?: Dns | undefined }, { dns: leased }: IpamResult): Dns | undefined {
  const { nameservers, search, options, domain } = conf.dns ?? {};
  return (nameservers ?? search ?? options) !== undefined || domain ? conf.dns : leased;
}
