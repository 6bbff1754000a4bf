import { golden } from "../golden.testing.ts";
import { NFPROTO_INET, NFPROTO_IPV4 } from "./header.ts";
import { NFT_TABLE_F_OWNER, tableMessage } from "./table.ts";

golden(tableMessage, [
  {
    command: "nft add table inet twill",
    wire: `01000000 0a000100 7477696c 6c000000 08000200 00000000`,
    value: { family: NFPROTO_INET, version: 0, resource: 0, name: "twill", flags: 0 },
  },
  {
    command: "nft 'add table ip twill { comment \"made by twill\"; }'",
    wire: `02000000 0a000100 7477696c 6c000000 08000200 00000000 14000600 000e6d61 64652062 79207477 696c6c00`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      name: "twill",
      flags: 0,
      userdata: { comment: "made by twill" },
    },
  },
  {
    command: "nft delete table inet twill",
    wire: `01000000 0a000100 7477696c 6c000000`,
    value: { family: NFPROTO_INET, version: 0, resource: 0, name: "twill" },
  },
  {
    command: "nft list tables",
    from: "kernel",
    wire: `01000002 0a000100 7477696c 6c000000 08000300 00000000 0c000400 00000000 00000001 08000200 00000000`,
    value: { family: NFPROTO_INET, version: 0, resource: 2, name: "twill", uses: 0, handle: 1n, flags: 0 },
  },
  {
    command: "nft 'add table ip owned { flags owner; }'",
    wire: `02000000 0a000100 6f776e65 64000000 08000200 00000002`,
    value: { family: NFPROTO_IPV4, version: 0, resource: 0, name: "owned", flags: NFT_TABLE_F_OWNER },
  },
]);
