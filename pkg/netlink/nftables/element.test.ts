import { golden, hex } from "../golden.testing.ts";
import { NF_DROP, NFT_JUMP } from "./data.ts";
import { elementMessage, NFT_SET_ELEM_INTERVAL_END } from "./element.ts";
import { NFPROTO_INET, NFPROTO_IPV4 } from "./header.ts";

golden(elementMessage, [
  {
    command: "nft 'add element ip t4 leases { 10.0.0.5 timeout 10m comment \"container a eth0\" }'",
    wire: `02000000 07000100 74340000 0b000200 6c656173 65730000 08000400 00000004 38000380 34000180 0c000400 00000000
           000927c0 0c000180 08000100 0a000005 17000600 0011636f 6e746169 6e657220 61206574 68300000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      set: "leases",
      setId: 4,
      elements: [{ timeoutMs: 600000n, key: { value: hex("0a000005") }, userdata: { comment: "container a eth0" } }],
    },
  },
  {
    command: "nft 'add element ip t4 blocked { 10.0.0.0/8, 192.168.1.5-192.168.1.9 }'",
    wire: `02000000 07000100 74340000 0c000200 626c6f63 6b656400 08000400 00000001 6c000380 18000180 08000300 00000001
           0c000180 08000100 00000000 10000280 0c000180 08000100 0a000000 18000380 08000300 00000001 0c000180 08000100
           0b000000 10000480 0c000180 08000100 c0a80105 18000580 08000300 00000001 0c000180 08000100 c0a8010a`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      set: "blocked",
      setId: 1,
      elements: [
        { flags: NFT_SET_ELEM_INTERVAL_END, key: { value: hex("00000000") } },
        { key: { value: hex("0a000000") } },
        { flags: NFT_SET_ELEM_INTERVAL_END, key: { value: hex("0b000000") } },
        { key: { value: hex("c0a80105") } },
        { flags: NFT_SET_ELEM_INTERVAL_END, key: { value: hex("c0a8010a") } },
      ],
    },
  },
  {
    command: "nft 'add element ip t4 ports { tcp . 8080 : 10.1.2.3 . 80 }'",
    wire: `02000000 07000100 74340000 0a000200 706f7274 73000000 08000400 00000002 28000380 24000180 10000180 0c000100
           06000000 1f900000 10000280 0c000100 0a010203 00500000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      set: "ports",
      setId: 2,
      elements: [{ key: { value: hex("060000001f900000") }, data: { value: hex("0a01020300500000") } }],
    },
  },
  {
    command: "nft 'add element ip t4 verdicts { 10.0.0.5 : jump post2, 10.0.0.6 : drop }'",
    wire: `02000000 07000100 74340000 0d000200 76657264 69637473 00000000 08000400 00000003 50000380 2c000180 0c000180
           08000100 0a000005 1c000280 18000280 08000100 fffffffd 0a000200 706f7374 32000000 20000280 0c000180 08000100
           0a000006 10000280 0c000280 08000100 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      set: "verdicts",
      setId: 3,
      elements: [
        { key: { value: hex("0a000005") }, data: { verdict: { code: NFT_JUMP, chain: "post2" } } },
        { key: { value: hex("0a000006") }, data: { verdict: { code: NF_DROP } } },
      ],
    },
  },
  {
    command: "nft 'add element ip t4 pairs { 10.0.0.0/24 . 80-90 }'",
    wire: `02000000 07000100 74340000 0a000200 70616972 73000000 08000400 00000005 28000380 24000180 10000180 0c000100
           0a000000 00500000 10000a80 0c000100 0a0000ff 005a0000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      set: "pairs",
      setId: 5,
      elements: [{ key: { value: hex("0a00000000500000") }, keyEnd: { value: hex("0a0000ff005a0000") } }],
    },
  },
  {
    command: "nft 'add element ip t4 owners { 10.0.0.5 : 7 }'",
    wire: `02000000 07000100 74340000 0b000200 6f776e65 72730000 08000400 00000006 20000380 1c000180 0c000180 08000100
           0a000005 0c000280 08000100 07000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      set: "owners",
      setId: 6,
      elements: [{ key: { value: hex("0a000005") }, data: { value: hex("07000000") } }],
    },
  },
  {
    command: "nft 'delete element ip t4 owners { 10.0.0.5 }'",
    wire: `02000000 07000100 74340000 0b000200 6f776e65 72730000 14000380 10000180 0c000180 08000100 0a000005`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      set: "owners",
      elements: [{ key: { value: hex("0a000005") } }],
    },
  },
  {
    command: "nft list set ip t4 leases",
    from: "kernel",
    wire: `0200000e 07000100 74340000 0b000200 6c656173 65730000 44000300 40000100 0c000100 08000100 0a000005 0c000400
           00000000 000927c0 0c000500 00000000 00083d54 17000600 0011636f 6e746169 6e657220 61206574 68300000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 14,
      table: "t4",
      set: "leases",
      elements: [
        {
          key: { value: hex("0a000005") },
          timeoutMs: 600000n,
          expirationMs: 539988n,
          userdata: { comment: "container a eth0" },
        },
      ],
    },
    unflagged: true,
  },
  {
    command: "nft list map ip t4 ports",
    from: "kernel",
    wire: `0200000e 07000100 74340000 0a000200 706f7274 73000000 28000300 24000100 10000100 0c000100 06000000 1f900000
           10000200 0c000100 0a010203 00500000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 14,
      table: "t4",
      set: "ports",
      elements: [{ key: { value: hex("060000001f900000") }, data: { value: hex("0a01020300500000") } }],
    },
    unflagged: true,
  },
  {
    command: "nft 'add rule inet t c tcp dport { 80, 443 } accept'",
    wire: `01000000 06000100 74000000 0c000200 5f5f7365 74256400 08000400 00000007 24000380 10000180 0c000180 06000100
           00500000 10000280 0c000180 06000100 01bb0000`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      set: "__set%d",
      setId: 7,
      elements: [{ key: { value: hex("0050") } }, { key: { value: hex("01bb") } }],
    },
  },
  {
    command: "nft list set inet t counted",
    from: "kernel",
    wire: `01000009 06000100 74000000 0c000200 636f756e 74656400 40000300 3c000100 0c000100 08000100 0a000005 2c000700
           0c000100 636f756e 74657200 1c000200 0c000100 00000000 00000000 0c000200 00000000 00000000`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 9,
      table: "t",
      set: "counted",
      elements: [
        { key: { value: hex("0a000005") }, expression: { name: "counter", data: { bytes: 0n, packets: 0n } } },
      ],
    },
    unflagged: true,
  },
]);
