/**
 * Sends the table of the peers to the data path process: whole to a process that does not have it, else what differs. Each reply has the number of changes that the process has carried out, so it is
 * known without asking for the rows whether they are still those that were sent.
 */
import { createPeerRows } from "../../udp-data-path/peer-rows.ts";
import type { PeerSubnet } from "../../udp-data-path/protocol.ts";
import type { DataPath } from "./data-path.ts";

type Process = Pick<DataPath, "tell">;

export interface Table {
  peers: readonly PeerSubnet[];
  /** This host's subnet. */
  own: string;
  until: number;
}

export interface TableSender {
  /** Resolves when the process has this table. */
  send(process: Process, table: Table): Promise<void>;
  /** Resolves when the process has carried out a change of the table. */
  change(process: Process, set: readonly PeerSubnet[], remove: readonly string[]): Promise<void>;
}

/** What a process is known to have. */
interface Known {
  process: Process;
  own: string;
  changes: number;
}

export function createTableSender(): TableSender {
  const rows = createPeerRows();
  let known: Known | undefined;

  /** Reports whether the process has what was sent, and tells it how long to go on. */
  const stillHas = async ({ process, own, changes }: Known, table: Table): Promise<boolean> =>
    own === table.own && (await process.tell({ until: table.until })) === changes;

  return {
    async send(process, table) {
      const before = known;
      known = undefined; // until it has answered
      const { set, remove } = rows.replace(table.peers);
      const { own } = table;
      if (before?.process !== process || !(await stillHas(before, table)))
        known = { process, own, changes: await process.tell({ ...table }) };
      else if (set.length + remove.length === 0) known = before;
      else known = { process, own, changes: await process.tell({ change: { set, remove } }) };
    },
    async change(process, set, remove) {
      const before = known;
      known = undefined;
      rows.change(set, remove);
      const changes = await process.tell({ change: { set, remove } });
      if (before?.process === process && changes === before.changes + 1) known = { ...before, changes };
    },
  };
}
