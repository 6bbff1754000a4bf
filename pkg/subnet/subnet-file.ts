/** subnet.env, by which the daemon tells the CNI plugin (and Docker) what this host has. */
import type { Prefix } from "../ip/address.ts";

/** What of it belongs to a family. */
export interface SubnetFileFamily {
  /** Of the whole cluster. */
  network: Prefix;
  /** This host's part; host bits are zero here, `.1` in the file. */
  subnet: Prefix;
}

export interface SubnetFile {
  ipv4?: SubnetFileFamily;
  ipv6?: SubnetFileFamily;
  mtu: number;
  /** Whether the daemon masquerades, so that the bridge need not. */
  ipMasq: boolean;
}
