import { golden } from "../golden.testing.ts";
import { batchMessage } from "./batch.ts";
import { generationMessage } from "./generation.ts";
import { NFNL_SUBSYS_NFTABLES, NFPROTO_UNSPEC } from "./header.ts";

golden(batchMessage, [
  {
    command: "nft add table ip t",
    wire: `0000000a`,
    value: { family: NFPROTO_UNSPEC, version: 0, resource: NFNL_SUBSYS_NFTABLES },
  },
  {
    command: "nft add table ip t",
    wire: `0000000a`,
    value: { family: NFPROTO_UNSPEC, version: 0, resource: NFNL_SUBSYS_NFTABLES },
  },
  {
    command: "iptables-nft -t nat -N X",
    wire: `0000000a 08000100 00000001`,
    value: { family: NFPROTO_UNSPEC, version: 0, resource: NFNL_SUBSYS_NFTABLES, generation: 1 },
  },
]);

golden(generationMessage, [
  {
    command: "nft list tables",
    wire: `00000000`,
    value: { family: NFPROTO_UNSPEC, version: 0, resource: 0 },
  },
  {
    command: "nft list tables",
    from: "kernel",
    wire: `00000001 08000100 00000001 08000200 00002ca7 08000300 6e667400`,
    value: { family: NFPROTO_UNSPEC, version: 0, resource: 1, id: 1, processId: 11431, processName: "nft" },
  },
]);
