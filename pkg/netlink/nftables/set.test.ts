import { golden, hex } from "../golden.testing.ts";
import { NFPROTO_INET, NFPROTO_IPV4 } from "./header.ts";
import {
  concatenationType,
  NFT_DATA_VERDICT,
  NFT_SET_ANONYMOUS,
  NFT_SET_CONCAT,
  NFT_SET_CONSTANT,
  NFT_SET_EVAL,
  NFT_SET_INTERVAL,
  NFT_SET_MAP,
  NFT_SET_TIMEOUT,
  setMessage,
  TYPE_IFNAME,
  TYPE_INET_PROTOCOL,
  TYPE_INET_SERVICE,
  TYPE_IPADDR,
  TYPE_MARK,
} from "./set.ts";
import { BYTEORDER_BIG_ENDIAN, BYTEORDER_HOST_ENDIAN } from "./userdata.ts";

golden(setMessage, [
  {
    command: "nft 'add set ip t4 blocked { type ipv4_addr; flags interval; auto-merge; }'",
    wire: `02000000 07000100 74340000 0c000200 626c6f63 6b656400 08000300 00000004 08000400 00000007 08000500 00000004
           08000a00 00000001 10000d00 00040200 00000204 01000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      name: "blocked",
      flags: NFT_SET_INTERVAL,
      keyType: TYPE_IPADDR,
      keyLength: 4,
      id: 1,
      userdata: { keyByteOrder: BYTEORDER_BIG_ENDIAN, mergeElements: 1 },
    },
  },
  {
    command:
      "nft 'add set inet t leases { type ipv4_addr; timeout 1h; gc-interval 10m; size 65535; comment \"who has what\"; }'",
    wire: `01000000 06000100 74000000 0b000200 6c656173 65730000 08000300 00000010 08000400 00000007 08000500 00000004
           08000a00 00000001 0c000980 08000100 0000ffff 0c000b00 00000000 0036ee80 08000c00 000927c0 19000d00 00040200
           0000070d 77686f20 68617320 77686174 00000000`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      name: "leases",
      flags: NFT_SET_TIMEOUT,
      keyType: TYPE_IPADDR,
      keyLength: 4,
      id: 1,
      description: { size: 65535 },
      timeoutMs: 3600000n,
      gcIntervalMs: 600000,
      userdata: { keyByteOrder: BYTEORDER_BIG_ENDIAN, comment: "who has what" },
    },
  },
  {
    command: "nft 'add set inet t pairs { type ipv4_addr . inet_service; flags interval; }'",
    wire: `01000000 06000100 74000000 0a000200 70616972 73000000 08000300 00000084 08000400 000001cd 08000500 00000008
           08000a00 00000001 20000980 1c000280 0c000180 08000100 00000004 0c000180 08000100 00000002 14000d00 00040000
           00000308 00040d00 00000100`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      name: "pairs",
      flags: NFT_SET_INTERVAL | NFT_SET_CONCAT,
      keyType: concatenationType([TYPE_IPADDR, TYPE_INET_SERVICE]),
      keyLength: 8,
      id: 1,
      description: { fields: [{ length: 4 }, { length: 2 }] },
      userdata: { keyByteOrder: 0, keyTypeof: hex("00040d0000000100") },
    },
  },
  {
    command: "nft 'add map ip t4 ports { type inet_proto . inet_service : ipv4_addr . inet_service; }'",
    wire: `02000000 07000100 74340000 0a000200 706f7274 73000000 08000300 00000008 08000400 0000030d 08000500 00000008
           08000600 000001cd 08000700 00000008 08000a00 00000001 2a000d00 00040000 00000104 00000000 03080004 0d000000
           01000408 00040d00 00000100 06040000 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      name: "ports",
      flags: NFT_SET_MAP,
      keyType: concatenationType([TYPE_INET_PROTOCOL, TYPE_INET_SERVICE]),
      keyLength: 8,
      dataType: concatenationType([TYPE_IPADDR, TYPE_INET_SERVICE]),
      dataLength: 8,
      id: 1,
      userdata: {
        keyByteOrder: 0,
        dataByteOrder: 0,
        keyTypeof: hex("00040d0000000100"),
        dataTypeof: hex("00040d0000000100"),
        dataInterval: 0,
      },
    },
  },
  {
    command: "nft 'add map ip t4 verdicts { type ipv4_addr : verdict; }'",
    wire: `02000000 07000100 74340000 0d000200 76657264 69637473 00000000 08000300 00000008 08000400 00000007 08000500
           00000004 08000600 ffffff00 08000700 00000000 08000a00 00000001 16000d00 00040200 00000104 00000000 06040000
           00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      name: "verdicts",
      flags: NFT_SET_MAP,
      keyType: TYPE_IPADDR,
      keyLength: 4,
      dataType: NFT_DATA_VERDICT,
      dataLength: 0,
      id: 1,
      userdata: { keyByteOrder: BYTEORDER_BIG_ENDIAN, dataByteOrder: 0, dataInterval: 0 },
    },
  },
  {
    command: "nft 'add map inet t marks { type ifname : mark; flags dynamic,timeout; }'",
    wire: `01000000 06000100 74000000 0a000200 6d61726b 73000000 08000300 00000038 08000400 00000029 08000500 00000010
           08000600 00000013 08000700 00000004 08000a00 00000001 16000d00 00040100 00000104 01000000 06040000 00000000`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      name: "marks",
      flags: NFT_SET_MAP | NFT_SET_TIMEOUT | NFT_SET_EVAL,
      keyType: TYPE_IFNAME,
      keyLength: 16,
      dataType: TYPE_MARK,
      dataLength: 4,
      id: 1,
      userdata: { keyByteOrder: BYTEORDER_HOST_ENDIAN, dataByteOrder: BYTEORDER_HOST_ENDIAN, dataInterval: 0 },
    },
  },
  {
    command: "nft 'add rule inet t c tcp dport { 80, 443 } accept'",
    wire: `01000000 06000100 74000000 0c000200 5f5f7365 74256400 08000300 00000003 08000400 0000000d 08000500 00000002
           08000a00 00000001 0c000980 08000100 00000002 20000d00 00040200 00000314 00040700 0000010c 00040800 00000104
           02000000`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      name: "__set%d",
      flags: NFT_SET_ANONYMOUS | NFT_SET_CONSTANT,
      keyType: TYPE_INET_SERVICE,
      keyLength: 2,
      id: 1,
      description: { size: 2 },
      userdata: { keyByteOrder: BYTEORDER_BIG_ENDIAN, keyTypeof: hex("000407000000010c000408000000010402000000") },
    },
  },
  {
    command: "nft 'add set inet t counted { type ipv4_addr; counter; }'",
    wire: `01000000 06000100 74000000 0c000200 636f756e 74656400 08000300 00000000 08000400 00000007 08000500 00000004
           08000a00 00000001 0a000d00 00040200 00000000 14001180 0c000100 636f756e 74657200 04000280`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      name: "counted",
      flags: 0,
      keyType: TYPE_IPADDR,
      keyLength: 4,
      id: 1,
      userdata: { keyByteOrder: BYTEORDER_BIG_ENDIAN },
      expression: { name: "counter", data: {} },
    },
  },
  {
    command: "nft delete set ip t4 blocked",
    wire: `02000000 07000100 74340000 0c000200 626c6f63 6b656400`,
    value: { family: NFPROTO_IPV4, version: 0, resource: 0, table: "t4", name: "blocked" },
  },
  {
    command: "nft list sets",
    from: "kernel",
    wire: `01000008 06000100 74000000 0b000200 6c656173 65730000 0c001000 00000000 00000003 08000300 00000010 08000400
           00000007 08000500 00000004 0c000b00 00000000 0036ee80 19000d00 00040200 0000070d 77686f20 68617320 77686174
           00000000 0c000900 08000100 0000ffff 17001300 30786666 66666666 66663832 35303766 34300000 08001400 00000000`,
    part: {
      name: "leases",
      handle: 3n,
      flags: NFT_SET_TIMEOUT,
      keyType: TYPE_IPADDR,
      keyLength: 4,
      timeoutMs: 3600000n,
      userdata: { keyByteOrder: BYTEORDER_BIG_ENDIAN, comment: "who has what" },
      description: { size: 65535 },
      count: 0,
    },
    unflagged: true,
  },
  {
    command: "nft 'add set ip t4 small { type ipv4_addr; policy memory; }'",
    wire: `02000000 07000100 74340000 0a000200 736d616c 6c000000 08000300 00000000 08000400 00000007 08000500 00000004
           08000a00 00000001 08000800 00000001 0a000d00 00040200 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      name: "small",
      flags: 0,
      keyType: TYPE_IPADDR,
      keyLength: 4,
      id: 1,
      policy: 1,
      userdata: { keyByteOrder: BYTEORDER_BIG_ENDIAN },
    },
  },
  {
    command: "nft 'add map ip t4 typed { typeof ip saddr : meta mark; }'",
    wire: `02000000 07000100 74340000 0a000200 74797065 64000000 08000300 00000008 08000400 00000007 08000500 00000004
           08000600 00000013 08000700 00000004 08000a00 00000001 3c000d00 00040200 00000104 01000000 03140004 07000000
           010c0004 0c000000 01040b00 0000040e 00040900 00000106 00040300 00000604 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      name: "typed",
      flags: NFT_SET_MAP,
      keyType: TYPE_IPADDR,
      keyLength: 4,
      dataType: TYPE_MARK,
      dataLength: 4,
      id: 1,
      userdata: {
        keyByteOrder: BYTEORDER_BIG_ENDIAN,
        dataByteOrder: BYTEORDER_HOST_ENDIAN,
        keyTypeof: hex("000407000000010c00040c00000001040b000000"),
        dataTypeof: hex("0004090000000106000403000000"),
        dataInterval: 0,
      },
    },
  },
]);
