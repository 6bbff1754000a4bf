/** What a plugin that makes interfaces gets from its IPAM plugin, and gives back. */

import type { NamedStep } from "./del-steps.ts";
import { delegateAdd, delegateDel } from "./delegate.ts";
import { CniError, ErrorCode, invalidConf } from "./error.ts";
import type { Attachment } from "./plugin.ts";
import type { Dns, Result } from "./result.ts";

export type IpamResult = Pick<Result, "ips" | "routes" | "dns">;

/** Of a layer 2 attachment. */
export const emptyIpamResult: IpamResult = { ips: [], routes: [] };

/** The part of a configuration that names the IPAM plugin. */
interface WithIpam {
  ipam?: { type?: string | undefined } | undefined;
}

/** The IPAM plugin's name; undefined for a layer 2 network, which may have an empty `ipam`. */
export const ipamType = ({ ipam }: WithIpam): string | undefined => ipam?.type || undefined;

/** The same where there is no attachment without addresses. @throws CniError 7 with this text: there is none */
export function requireIpamType(conf: WithIpam, msg: string): string {
  const ipam = ipamType(conf);
  if (ipam !== undefined) return ipam;
  throw invalidConf(msg, `add "ipam" with a "type", as "static" or "host-local"`);
}

/**
 * Has the IPAM plugin give addresses.
 *
 * @param index Of the container's interface in the result.
 * @throws CniError of the IPAM plugin, unchanged. CniError 999: it gave no address.
 */
export function ipamAdd(
  attachment: Attachment<unknown>,
  ipam: string,
  index: number,
  undo: (what: string, action: () => void) => void,
): IpamResult {
  const { ips, routes, dns } = delegateAdd(attachment, ipam);
  undo("release the addresses", () => delegateDel(attachment, ipam)); // after: a refused one may be an ADD again, and the addresses in use
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
 * The steps of a DEL, with that which releases the addresses: last, when nothing answers to them any more. But a DHCP client says
 * good-bye to its server through the link, which has to be there still.
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

/** What a result says of name servers: the configuration's, when it says anything at all (an empty list does), else the IPAM plugin's. */
export function dnsOf(conf: { dns?: Dns | undefined }, { dns: leased }: IpamResult): Dns | undefined {
  const { nameservers, search, options, domain } = conf.dns ?? {};
  return (nameservers ?? search ?? options) !== undefined || domain ? conf.dns : leased;
}
