// Comparisons as both backends write them: a value is loaded into a register and compared.
import { netmask, networkOf, type Prefix } from "../../ip/address.ts";
import { NFT_REG_1 } from "../../netlink/nftables/data.ts";
import { NFT_CMP_EQ, NFT_CMP_NEQ } from "../../netlink/nftables/expression/cmp.ts";
import { NFT_PAYLOAD_NETWORK_HEADER } from "../../netlink/nftables/expression/payload.ts";
import type { ExpressionRequest } from "../../netlink/nftables/expression.ts";
import { ADDRESS_LENGTH, ADDRESS_OFFSETS, type Family, familyOf } from "../family.ts";
import { fill, hole, type Template, template } from "./template.ts";

/** A value, or anything but this value. */
export type Negatable<T> = T | { not: T };

/** Returns the value, and whether it is negated. */
export function unwrapNegation<T>(is: Negatable<T>): { value: T; not: boolean } {
  return typeof is === "object" && is !== null && "not" in is
    ? { value: is.not, not: true }
    : { value: is, not: false };
}

/** The templates for "equal" and for "not equal". */
export type EqAndNe = readonly [so: Template, not: Template];

export function eqAndNe(make: (operator: number) => Template): EqAndNe {
  return [make(NFT_CMP_EQ), make(NFT_CMP_NEQ)];
}

export const compare = (operator: number, value: Uint8Array): ExpressionRequest => ({
  name: "cmp",
  data: { source: NFT_REG_1, operator, data: { value } },
});

/** Loads a fact about the packet. @param key NFT_META_* */
export const loadMeta = (key: number, destination = NFT_REG_1): ExpressionRequest => ({
  name: "meta",
  data: { key, destination },
});

/** Looks up in a set what was loaded, from NFT_REG_1 on. */
export const lookUp = ({ set }: { set: string }): ExpressionRequest => ({
  name: "lookup",
  data: { source: NFT_REG_1, set },
});

export type AddressField = "source" | "destination";

interface AddressForms {
  whole: EqAndNe;
  /** The comparison with a prefix; its holes are mask and network. */
  masked: EqAndNe;
}

function addressForms(offset: number, length: number): AddressForms {
  const load: ExpressionRequest = {
    name: "payload",
    data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset, length },
  };
  const whole = eqAndNe((operator) => {
    const address = hole(length);
    return template([load, compare(operator, address)], address);
  });
  const masked = eqAndNe((operator) => {
    const [mask, network] = [hole(length), hole(length)];
    const and: ExpressionRequest = {
      name: "bitwise",
      data: {
        source: NFT_REG_1,
        destination: NFT_REG_1,
        length,
        mask: { value: mask },
        xor: { value: new Uint8Array(length) },
      },
    };
    return template([load, and, compare(operator, network)], mask, network);
  });
  return { whole, masked };
}

const formsOf = (family: Family): Readonly<Record<AddressField, AddressForms>> => {
  const { source, destination } = ADDRESS_OFFSETS[family];
  const length = ADDRESS_LENGTH[family];
  return { source: addressForms(source, length), destination: addressForms(destination, length) };
};
const ADDRESSES = { ip: formsOf("ip"), ip6: formsOf("ip6") };

/**
 * Compares an address of the packet at full length, with a mask unless the prefix is one address. A prefix of length 0 needs no comparison.
 */
export function encodeAddress(field: AddressField, is: Negatable<Prefix>): Uint8Array {
  const { value, not } = unwrapNegation(is);
  const { address, length } = value;
  if (length === 0) return new Uint8Array();
  const forms = ADDRESSES[familyOf(address)][field];
  const form = not ? 1 : 0;
  if (length === 8 * address.length) return fill(forms.whole[form], address);
  return fill(forms.masked[form], netmask(address.length, length), networkOf(value).address);
}
