// Comparisons as both backends write them: a fact is loaded into a register and compared.
import { type Address, networkOf, type Prefix } from "../../ip/address.ts";
import { NFT_REG_1 } from "../../netlink/nftables/data.ts";
import { NFT_CMP_EQ, NFT_CMP_NEQ } from "../../netlink/nftables/expression/cmp.ts";
import { NFT_PAYLOAD_NETWORK_HEADER } from "../../netlink/nftables/expression/payload.ts";
import type { ExpressionRequest } from "../../netlink/nftables/expression.ts";
import { fill, hole, type Template, template } from "./template.ts";

/** So, or anything but so. */
export type Negatable<T> = T | { not: T };

/** The value, and whether it is negated. */
export function unwrapNegation<T>(is: Negatable<T>): { value: T; not: boolean } {
  return typeof is === "object" && is !== null && "not" in is
    ? { value: is.not, not: true }
    : { value: is, not: false };
}

/** For what is so and what is not. */
export type EqAndNe = readonly [so: Template, not: Template];

export function eqAndNe(make: (operator: number) => Template): EqAndNe {
  return [make(NFT_CMP_EQ), make(NFT_CMP_NEQ)];
}

export const compare = (operator: number, value: Uint8Array): ExpressionRequest => ({
  name: "cmp",
  data: { source: NFT_REG_1, operator, data: { value } },
});

export type AddressField = "source" | "destination";

interface AddressForms {
  whole: EqAndNe;
  /** Holes: mask, network. */
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

/** By the size of addresses: where they stand in the headers. */
const ADDRESSES: Readonly<Record<number, Readonly<Record<AddressField, AddressForms>>>> = {
  4: { source: addressForms(12, 4), destination: addressForms(16, 4) },
  16: { source: addressForms(8, 16), destination: addressForms(24, 16) },
};

/** Always at full length, with a mask unless it is one address; a prefix of length 0 is nothing to compare. */
export function encodeAddress(field: AddressField, is: Negatable<Prefix>): Uint8Array {
  const { value, not } = unwrapNegation(is);
  const { address, length } = value;
  const forms = ADDRESSES[address.length]?.[field];
  if (forms === undefined || length === 0) return new Uint8Array();
  const form = not ? 1 : 0;
  if (length === 8 * address.length) return fill(forms.whole[form], address);
  return fill(forms.masked[form], maskOf(address.length, length), networkOf(value).address);
}

/** As many ones as the prefix is long, then zeros. */
function maskOf(size: number, length: number): Address {
  return networkOf({ address: new Uint8Array(size).fill(0xff), length }).address;
}
