/** The first packet of a UDP flow from another host, for which the rules of the input hook are evaluated. */

import type { Address } from "../../ip/address.ts";
import type { Family } from "../family.ts";

export interface InputPacket {
  family: Family;
  inInterface: { name: string; index: number };
  /** undefined: any host may send it */
  source: Address | undefined;
  /** This host's address. */
  destination: Address;
  destinationPort: number;
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
