/** Selects addresses of an interface that can be a tunnel endpoint, and the best of them. Pure. */
import { type Address, compareAddresses, contains, isIPv4, type Prefix, parsePrefix } from "../../../ip/address.ts";
import type { FamilyName } from "../../../ip/family.ts";
import type { LinkAddress } from "../../../link/address.ts";
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_PERMANENT,
  IFA_F_SECONDARY,
  IFA_F_TENTATIVE,
} from "../../../netlink/rtnetlink/address.ts";

/** Returns the usable addresses, the best first; equal ones in the kernel's order. */
export function usableAddresses(addresses: readonly LinkAddress[], family: FamilyName): Address[] {
  return ranked(addresses, family).map(({ prefix }) => prefix.address);
}

/** @param current Is kept when it is as good as the best, so that a new address of the interface does not move the tunnel. */
export function bestAddress(
  addresses: readonly LinkAddress[],
  family: FamilyName,
  current: Address | undefined,
): Address | undefined {
  const all = ranked(addresses, family);
  const [first] = all;
  const kept = all.find((one) => sameAddress(one.prefix.address, current));
  return first && kept && drawbacks(kept) === drawbacks(first) ? current : first?.prefix.address;
}

/** Reports whether both are the same address, or both undefined. */
export function sameAddress(one: Address | undefined, other: Address | undefined): boolean {
  return one === undefined || other === undefined ? one === other : compareAddresses(one, other) === 0;
}

/** Reports whether the address is valid on one link only; such addresses are used only if there is no other. */
export const isLinkLocal = (address: Address): boolean => isIn(linkLocal, address);
export const isUnicast = (address: Address): boolean => !isIn(neverAnEnd, address);

const prefixes = (...texts: string[]): Prefix[] => texts.map(parsePrefix).filter((prefix) => prefix !== undefined);
const linkLocal = prefixes("169.254.0.0/16", "fe80::/10");
/** Addresses for which Go's net.IP has neither IsGlobalUnicast nor IsLinkLocalUnicast. */
const neverAnEnd = prefixes("0.0.0.0/32", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/127", "ff00::/8");

const isIn = (networks: readonly Prefix[], address: Address): boolean =>
  networks.some((network) => contains(network, address));

function ranked(addresses: readonly LinkAddress[], family: FamilyName): LinkAddress[] {
  return addresses
    .filter(({ prefix: { address }, flags }) => {
      return isIPv4(address) === (family === "ipv4") && isUnicast(address) && (flags & IFA_F_DADFAILED) === 0;
    })
    .toSorted((one, other) => drawbacks(one) - drawbacks(other));
}

/** Rates an address, lower is better; each drawback outweighs all that follow it. */
function drawbacks({ prefix, flags }: LinkAddress): number {
  return [
    isLinkLocal(prefix.address),
    (flags & IFA_F_DEPRECATED) !== 0,
    (flags & IFA_F_TENTATIVE) !== 0,
    (flags & IFA_F_PERMANENT) === 0,
    (flags & IFA_F_SECONDARY) !== 0, // IPv6: temporary (RFC 8981), gone within a day
  ].reduce((sum, isSo) => sum * 2 + Number(isSo), 0);
}
