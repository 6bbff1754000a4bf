/** The first packet of a flow, for which the rules of a hook are evaluated: of UDP to a port, or of any protocol. */

import type { Address } from "../../ip/address.ts";
import type { Family } from "../family.ts";

export interface PacketInterface {
  name: string;
  index: number;
}

export interface Packet {
  family: Family;
  inInterface: PacketInterface;
  /** Set where the packet is forwarded; absent where it is for this host. */
  outInterface?: PacketInterface;
  /** undefined: any host may send it */
  source: Address | undefined;
  /** undefined: it may be for any other host */
  destination: Address | undefined;
  /** Of UDP. undefined: any, and the protocol is any as well */
  destinationPort: number | undefined;
  /** NF_CT_STATE_*. */
  state: number;
}

/** Whether a condition holds for the packet; "unknown": it depends on what is not known of the packet, or the condition is not known here. */
export type Certainty = "yes" | "no" | "unknown";

export function both(one: Certainty, other: Certainty): Certainty {
  if (one === "no" || other === "no") return "no";
  return one === "yes" && other === "yes" ? "yes" : "unknown";
}

export const not = (certainty: Certainty): Certainty =>
  certainty === "unknown" ? "unknown" : certainty === "yes" ? "no" : "yes";

export const certainly = (holds: boolean): Certainty => (holds ? "yes" : "no");
