/** A network as another program has defined it. */
import type { NetworkRequest } from "../new-network.ts";

export interface ImportedNetwork {
  /** Where it was found, for messages. */
  from: string;
  request: NetworkRequest;
  /** 64 hexadecimal digits. */
  id: string;
  /** Moment of the creation. */
  created: string;
}

/** What was found, and what cannot be read, each a sentence. */
export interface ImportedNetworks {
  networks: ImportedNetwork[];
  problems: string[];
}
