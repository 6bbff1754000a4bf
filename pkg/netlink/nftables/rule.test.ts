import { golden, hex, padded } from "../golden.testing.ts";
import {
  NF_ACCEPT,
  NF_DROP,
  NFT_GOTO,
  NFT_JUMP,
  NFT_REG_1,
  NFT_REG_2,
  NFT_REG_3,
  NFT_REG_4,
  NFT_REG_VERDICT,
  NFT_REG32_01,
  NFT_RETURN,
} from "./data.ts";
import { NFT_BITWISE_MASK_XOR } from "./expression/bitwise.ts";
import { NFT_CMP_EQ, NFT_CMP_GTE, NFT_CMP_LTE, NFT_CMP_NEQ } from "./expression/cmp.ts";
import { NFT_CT_DST_IP, NFT_CT_MARK, NFT_CT_STATE, NFT_CT_STATUS } from "./expression/ct.ts";
import { NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR } from "./expression/fib.ts";
import { NFT_LIMIT_PKTS } from "./expression/limit.ts";
import { NFT_LOOKUP_F_INV } from "./expression/lookup.ts";
import {
  NFT_META_IIFNAME,
  NFT_META_L4PROTO,
  NFT_META_MARK,
  NFT_META_NFPROTO,
  NFT_META_OIFNAME,
} from "./expression/meta.ts";
import {
  NF_NAT_RANGE_PERSISTENT,
  NF_NAT_RANGE_PROTO_RANDOM_FULLY,
  NF_NAT_RANGE_PROTO_SPECIFIED,
  NFT_NAT_DNAT,
  NFT_NAT_SNAT,
} from "./expression/nat.ts";
import {
  NFT_PAYLOAD_LL_HEADER,
  NFT_PAYLOAD_NETWORK_HEADER,
  NFT_PAYLOAD_TRANSPORT_HEADER,
} from "./expression/payload.ts";
import { NFT_RANGE_NEQ } from "./expression/range.ts";
import { NFT_REJECT_ICMPX_UNREACH } from "./expression/reject.ts";
import { NFPROTO_BRIDGE, NFPROTO_INET, NFPROTO_IPV4 } from "./header.ts";
import { ruleMessage } from "./rule.ts";

golden(ruleMessage, [
  {
    command: "nft 'add rule ip t4 post ip saddr 10.22.0.0/16 ip daddr != 10.22.0.0/16 masquerade comment \"podnet\"'",
    wire: `02000000 07000100 74340000 09000200 706f7374 00000000 d8000480 34000180 0c000100 7061796c 6f616400 24000280
           08000100 00000001 08000200 00000001 08000300 0000000c 08000400 00000002 2c000180 08000100 636d7000 20000280
           08000100 00000001 08000200 00000000 0c000380 06000100 0a160000 34000180 0c000100 7061796c 6f616400 24000280
           08000100 00000001 08000200 00000001 08000300 00000010 08000400 00000002 2c000180 08000100 636d7000 20000280
           08000100 00000001 08000200 00000001 0c000380 06000100 0a160000 14000180 09000100 6d617371 00000000 04000280
           0d000700 0007706f 646e6574 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      chain: "post",
      expressions: [
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 12, length: 2 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("0a16") } } },
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 16, length: 2 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_NEQ, data: { value: hex("0a16") } } },
        { name: "masq", data: {} },
      ],
      userdata: { comment: "podnet" },
    },
  },
  {
    command: "nft 'add rule ip t4 post oifname != cni0 masquerade fully-random,persistent'",
    wire: `02000000 07000100 74340000 09000200 706f7374 00000000 7c000480 24000180 09000100 6d657461 00000000 14000280
           08000200 00000007 08000100 00000001 38000180 08000100 636d7000 2c000280 08000100 00000001 08000200 00000001
           18000380 14000100 636e6930 00000000 00000000 00000000 1c000180 09000100 6d617371 00000000 0c000280 08000100
           00000018`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      chain: "post",
      expressions: [
        { name: "meta", data: { key: NFT_META_OIFNAME, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_NEQ, data: { value: padded("cni0", 16) } } },
        { name: "masq", data: { flags: NF_NAT_RANGE_PERSISTENT | NF_NAT_RANGE_PROTO_RANDOM_FULLY } },
      ],
    },
  },
  {
    command: "nft add rule ip t4 pre iifname cni0 tcp dport 8080 dnat to 10.1.2.3:80",
    wire: `02000000 07000100 74340000 08000200 70726500 a0010480 24000180 09000100 6d657461 00000000 14000280 08000200
           00000006 08000100 00000001 38000180 08000100 636d7000 2c000280 08000100 00000001 08000200 00000000 18000380
           14000100 636e6930 00000000 00000000 00000000 24000180 09000100 6d657461 00000000 14000280 08000200 00000010
           08000100 00000001 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380 05000100
           06000000 34000180 0c000100 7061796c 6f616400 24000280 08000100 00000001 08000200 00000002 08000300 00000002
           08000400 00000002 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380 06000100
           1f900000 2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100 00000001 0c000280 08000100 0a010203
           2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100 00000002 0c000280 06000100 00500000 38000180
           08000100 6e617400 2c000280 08000100 00000001 08000200 00000002 08000300 00000001 08000500 00000002 08000700
           00000002`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      chain: "pre",
      expressions: [
        { name: "meta", data: { key: NFT_META_IIFNAME, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: padded("cni0", 16) } } },
        { name: "meta", data: { key: NFT_META_L4PROTO, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("06") } } },
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, length: 2 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("1f90") } } },
        { name: "immediate", data: { destination: NFT_REG_1, data: { value: hex("0a010203") } } },
        { name: "immediate", data: { destination: NFT_REG_2, data: { value: hex("0050") } } },
        {
          name: "nat",
          data: {
            type: NFT_NAT_DNAT,
            family: NFPROTO_IPV4,
            addressMin: NFT_REG_1,
            portMin: NFT_REG_2,
            flags: NF_NAT_RANGE_PROTO_SPECIFIED,
          },
        },
      ],
    },
  },
  {
    command: "nft add rule ip t4 pre fib daddr type local counter jump redirects",
    wire: `02000000 07000100 74340000 08000200 70726500 ac000480 28000180 08000100 66696200 1c000280 08000300 00000002
           08000200 00000003 08000100 00000001 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000
           0c000380 08000100 02000000 14000180 0c000100 636f756e 74657200 04000280 40000180 0e000100 696d6d65 64696174
           65000000 2c000280 08000100 00000000 20000280 1c000280 08000100 fffffffd 0e000200 72656469 72656374 73000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      chain: "pre",
      expressions: [
        { name: "fib", data: { flags: NFTA_FIB_F_DADDR, result: NFT_FIB_RESULT_ADDRTYPE, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("02000000") } } },
        { name: "counter", data: {} },
        {
          name: "immediate",
          data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NFT_JUMP, chain: "redirects" } } },
        },
      ],
    },
  },
  {
    command: "nft insert rule inet t c ct state established,related accept",
    wire: `01000000 06000100 74000000 06000200 63000000 c4000480 20000180 07000100 63740000 14000280 08000200 00000000
           08000100 00000001 44000180 0c000100 62697477 69736500 34000280 08000100 00000001 08000200 00000001 08000300
           00000004 0c000480 08000100 06000000 0c000580 08000100 00000000 2c000180 08000100 636d7000 20000280 08000100
           00000001 08000200 00000001 0c000380 08000100 00000000 30000180 0e000100 696d6d65 64696174 65000000 1c000280
           08000100 00000000 10000280 0c000280 08000100 00000001`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      chain: "c",
      expressions: [
        { name: "ct", data: { key: NFT_CT_STATE, destination: NFT_REG_1 } },
        {
          name: "bitwise",
          data: {
            source: NFT_REG_1,
            destination: NFT_REG_1,
            length: 4,
            mask: { value: hex("06000000") },
            xor: { value: hex("00000000") },
          },
        },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_NEQ, data: { value: hex("00000000") } } },
        { name: "immediate", data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NF_ACCEPT } } } },
      ],
    },
  },
  {
    command: "nft add rule inet t c meta mark and 0x2000 == 0x2000 return",
    wire: `01000000 06000100 74000000 06000200 63000000 d0000480 24000180 09000100 6d657461 00000000 14000280 08000200
           00000003 08000100 00000001 4c000180 0c000100 62697477 69736500 3c000280 08000100 00000001 08000200 00000001
           08000600 00000000 08000300 00000004 0c000480 08000100 00200000 0c000580 08000100 00000000 2c000180 08000100
           636d7000 20000280 08000100 00000001 08000200 00000000 0c000380 08000100 00200000 30000180 0e000100 696d6d65
           64696174 65000000 1c000280 08000100 00000000 10000280 0c000280 08000100 fffffffb`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      chain: "c",
      expressions: [
        { name: "meta", data: { key: NFT_META_MARK, destination: NFT_REG_1 } },
        {
          name: "bitwise",
          data: {
            source: NFT_REG_1,
            destination: NFT_REG_1,
            operation: NFT_BITWISE_MASK_XOR,
            length: 4,
            mask: { value: hex("00200000") },
            xor: { value: hex("00000000") },
          },
        },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("00200000") } } },
        { name: "immediate", data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NFT_RETURN } } } },
      ],
    },
  },
  {
    command: "nft add rule inet t c meta mark set meta mark or 0x2000",
    wire: `01000000 06000100 74000000 06000200 63000000 98000480 24000180 09000100 6d657461 00000000 14000280 08000200
           00000003 08000100 00000001 4c000180 0c000100 62697477 69736500 3c000280 08000100 00000001 08000200 00000001
           08000600 00000000 08000300 00000004 0c000480 08000100 ffdfffff 0c000580 08000100 00200000 24000180 09000100
           6d657461 00000000 14000280 08000200 00000003 08000300 00000001`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      chain: "c",
      expressions: [
        { name: "meta", data: { key: NFT_META_MARK, destination: NFT_REG_1 } },
        {
          name: "bitwise",
          data: {
            source: NFT_REG_1,
            destination: NFT_REG_1,
            operation: NFT_BITWISE_MASK_XOR,
            length: 4,
            mask: { value: hex("ffdfffff") },
            xor: { value: hex("00200000") },
          },
        },
        { name: "meta", data: { key: NFT_META_MARK, source: NFT_REG_1 } },
      ],
    },
  },
  {
    command: "nft add rule inet t c tcp dport 1000-2000 goto other",
    wire: `01000000 06000100 74000000 06000200 63000000 1c010480 24000180 09000100 6d657461 00000000 14000280 08000200
           00000010 08000100 00000001 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380
           05000100 06000000 34000180 0c000100 7061796c 6f616400 24000280 08000100 00000001 08000200 00000002 08000300
           00000002 08000400 00000002 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000005 0c000380
           06000100 03e80000 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000003 0c000380 06000100
           07d00000 3c000180 0e000100 696d6d65 64696174 65000000 28000280 08000100 00000000 1c000280 18000280 08000100
           fffffffc 0a000200 6f746865 72000000`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      chain: "c",
      expressions: [
        { name: "meta", data: { key: NFT_META_L4PROTO, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("06") } } },
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, length: 2 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_GTE, data: { value: hex("03e8") } } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_LTE, data: { value: hex("07d0") } } },
        {
          name: "immediate",
          data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NFT_GOTO, chain: "other" } } },
        },
      ],
    },
  },
  {
    command: "nft 'add rule inet t c udp dport != 1000-2000 drop'",
    wire: `01000000 06000100 74000000 06000200 63000000 f4000480 24000180 09000100 6d657461 00000000 14000280 08000200
           00000010 08000100 00000001 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380
           05000100 11000000 34000180 0c000100 7061796c 6f616400 24000280 08000100 00000001 08000200 00000002 08000300
           00000002 08000400 00000002 3c000180 0a000100 72616e67 65000000 2c000280 08000100 00000001 08000200 00000001
           0c000380 06000100 03e80000 0c000480 06000100 07d00000 30000180 0e000100 696d6d65 64696174 65000000 1c000280
           08000100 00000000 10000280 0c000280 08000100 00000000`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      chain: "c",
      expressions: [
        { name: "meta", data: { key: NFT_META_L4PROTO, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("11") } } },
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, length: 2 } },
        {
          name: "range",
          data: {
            source: NFT_REG_1,
            operator: NFT_RANGE_NEQ,
            from: { value: hex("03e8") },
            to: { value: hex("07d0") },
          },
        },
        { name: "immediate", data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NF_DROP } } } },
      ],
    },
  },
  {
    command: "nft add rule ip t4 post ip saddr @blocked drop",
    wire: `02000000 07000100 74340000 09000200 706f7374 00000000 98000480 34000180 0c000100 7061796c 6f616400 24000280
           08000100 00000001 08000200 00000001 08000300 0000000c 08000400 00000004 30000180 0b000100 6c6f6f6b 75700000
           20000280 08000200 00000001 0c000100 626c6f63 6b656400 08000400 00000001 30000180 0e000100 696d6d65 64696174
           65000000 1c000280 08000100 00000000 10000280 0c000280 08000100 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      chain: "post",
      expressions: [
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 12, length: 4 } },
        { name: "lookup", data: { source: NFT_REG_1, set: "blocked", setId: 1 } },
        { name: "immediate", data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NF_DROP } } } },
      ],
    },
  },
  {
    command: "nft add rule ip t4 pre dnat ip to meta l4proto . th dport map @ports",
    wire: `02000000 07000100 74340000 08000200 70726500 c4000480 24000180 09000100 6d657461 00000000 14000280 08000200
           00000010 08000100 00000001 34000180 0c000100 7061796c 6f616400 24000280 08000100 00000009 08000200 00000002
           08000300 00000002 08000400 00000002 38000180 0b000100 6c6f6f6b 75700000 28000280 08000200 00000001 08000300
           00000001 0a000100 706f7274 73000000 08000400 00000002 30000180 08000100 6e617400 24000280 08000100 00000001
           08000200 00000002 08000300 00000001 08000500 00000009`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      chain: "pre",
      expressions: [
        { name: "meta", data: { key: NFT_META_L4PROTO, destination: NFT_REG_1 } },
        {
          name: "payload",
          data: { destination: NFT_REG32_01, base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, length: 2 },
        },
        { name: "lookup", data: { source: NFT_REG_1, destination: NFT_REG_1, set: "ports", setId: 2 } },
        {
          name: "nat",
          data: { type: NFT_NAT_DNAT, family: NFPROTO_IPV4, addressMin: NFT_REG_1, portMin: NFT_REG32_01 },
        },
      ],
    },
  },
  {
    command: "nft add rule ip t4 post ip daddr vmap @verdicts",
    wire: `02000000 07000100 74340000 09000200 706f7374 00000000 74000480 34000180 0c000100 7061796c 6f616400 24000280
           08000100 00000001 08000200 00000001 08000300 00000010 08000400 00000004 3c000180 0b000100 6c6f6f6b 75700000
           2c000280 08000200 00000001 08000300 00000000 0d000100 76657264 69637473 00000000 08000400 00000003`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      chain: "post",
      expressions: [
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 16, length: 4 } },
        { name: "lookup", data: { source: NFT_REG_1, destination: NFT_REG_VERDICT, set: "verdicts", setId: 3 } },
      ],
    },
  },
  {
    command: "nft 'add rule inet t c tcp dport { 80, 443 } accept'",
    wire: `01000000 06000100 74000000 06000200 63000000 e8000480 24000180 09000100 6d657461 00000000 14000280 08000200
           00000010 08000100 00000001 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380
           05000100 06000000 34000180 0c000100 7061796c 6f616400 24000280 08000100 00000001 08000200 00000002 08000300
           00000002 08000400 00000002 30000180 0b000100 6c6f6f6b 75700000 20000280 08000200 00000001 0c000100 5f5f7365
           74256400 08000400 00000007 30000180 0e000100 696d6d65 64696174 65000000 1c000280 08000100 00000000 10000280
           0c000280 08000100 00000001`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      chain: "c",
      expressions: [
        { name: "meta", data: { key: NFT_META_L4PROTO, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("06") } } },
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, length: 2 } },
        { name: "lookup", data: { source: NFT_REG_1, set: "__set%d", setId: 7 } },
        { name: "immediate", data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NF_ACCEPT } } } },
      ],
    },
  },
  {
    command:
      "nft add rule inet t c ip6 saddr fd00::/64 limit rate over 10/second burst 5 packets reject with icmpx port-unreachable",
    wire: `01000000 06000100 74000000 06000200 63000000 20010480 24000180 09000100 6d657461 00000000 14000280 08000200
           0000000f 08000100 00000001 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380
           05000100 0a000000 34000180 0c000100 7061796c 6f616400 24000280 08000100 00000001 08000200 00000001 08000300
           00000008 08000400 00000008 30000180 08000100 636d7000 24000280 08000100 00000001 08000200 00000000 10000380
           0c000100 fd000000 00000000 44000180 0a000100 6c696d69 74000000 34000280 0c000100 00000000 0000000a 0c000200
           00000000 00000001 08000300 00000005 08000400 00000000 08000500 00000001 24000180 0b000100 72656a65 63740000
           14000280 08000100 00000002 05000200 01000000`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      chain: "c",
      expressions: [
        { name: "meta", data: { key: NFT_META_NFPROTO, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("0a") } } },
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 8, length: 8 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("fd00000000000000") } } },
        { name: "limit", data: { rate: 10n, unitSeconds: 1n, burst: 5, type: NFT_LIMIT_PKTS, flags: 1 } },
        { name: "reject", data: { type: NFT_REJECT_ICMPX_UNREACH, icmpCode: 1 } },
      ],
    },
  },
  {
    command: "nft add rule ip t4 pre tcp dport 80 redirect to :8080",
    wire: `02000000 07000100 74340000 08000200 70726500 04010480 24000180 09000100 6d657461 00000000 14000280 08000200
           00000010 08000100 00000001 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380
           05000100 06000000 34000180 0c000100 7061796c 6f616400 24000280 08000100 00000001 08000200 00000002 08000300
           00000002 08000400 00000002 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380
           06000100 00500000 2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100 00000001 0c000280 06000100
           1f900000 24000180 0a000100 72656469 72000000 14000280 08000100 00000001 08000300 00000002`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      chain: "pre",
      expressions: [
        { name: "meta", data: { key: NFT_META_L4PROTO, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("06") } } },
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, length: 2 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("0050") } } },
        { name: "immediate", data: { destination: NFT_REG_1, data: { value: hex("1f90") } } },
        { name: "redir", data: { portMin: NFT_REG_1, flags: NF_NAT_RANGE_PROTO_SPECIFIED } },
      ],
    },
  },
  {
    command: "nft add rule ip t4 post ip saddr 10.0.0.5 tcp sport 1-1024 snat to 192.0.2.1-192.0.2.9:1000-2000 random",
    wire: `02000000 07000100 74340000 09000200 706f7374 00000000 38020480 34000180 0c000100 7061796c 6f616400 24000280
           08000100 00000001 08000200 00000001 08000300 0000000c 08000400 00000004 2c000180 08000100 636d7000 20000280
           08000100 00000001 08000200 00000000 0c000380 08000100 0a000005 24000180 09000100 6d657461 00000000 14000280
           08000200 00000010 08000100 00000001 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000
           0c000380 05000100 06000000 34000180 0c000100 7061796c 6f616400 24000280 08000100 00000001 08000200 00000002
           08000300 00000000 08000400 00000002 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000005
           0c000380 06000100 00010000 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000003 0c000380
           06000100 04000000 2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100 00000001 0c000280 08000100
           c0000201 2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100 00000002 0c000280 08000100 c0000209
           2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100 00000003 0c000280 06000100 03e80000 2c000180
           0e000100 696d6d65 64696174 65000000 18000280 08000100 00000004 0c000280 06000100 07d00000 48000180 08000100
           6e617400 3c000280 08000100 00000000 08000200 00000002 08000300 00000001 08000400 00000002 08000500 00000003
           08000600 00000004 08000700 00000006`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      chain: "post",
      expressions: [
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 12, length: 4 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("0a000005") } } },
        { name: "meta", data: { key: NFT_META_L4PROTO, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("06") } } },
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 0, length: 2 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_GTE, data: { value: hex("0001") } } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_LTE, data: { value: hex("0400") } } },
        { name: "immediate", data: { destination: NFT_REG_1, data: { value: hex("c0000201") } } },
        { name: "immediate", data: { destination: NFT_REG_2, data: { value: hex("c0000209") } } },
        { name: "immediate", data: { destination: NFT_REG_3, data: { value: hex("03e8") } } },
        { name: "immediate", data: { destination: NFT_REG_4, data: { value: hex("07d0") } } },
        {
          name: "nat",
          data: {
            type: NFT_NAT_SNAT,
            family: NFPROTO_IPV4,
            addressMin: NFT_REG_1,
            addressMax: NFT_REG_2,
            portMin: NFT_REG_3,
            portMax: NFT_REG_4,
            flags: 6,
          },
        },
      ],
    },
  },
  {
    command: "nft add rule inet t c ct status dnat ct mark set 0x1",
    wire: `01000000 06000100 74000000 06000200 63000000 e0000480 20000180 07000100 63740000 14000280 08000200 00000002
           08000100 00000001 44000180 0c000100 62697477 69736500 34000280 08000100 00000001 08000200 00000001 08000300
           00000004 0c000480 08000100 20000000 0c000580 08000100 00000000 2c000180 08000100 636d7000 20000280 08000100
           00000001 08000200 00000001 0c000380 08000100 00000000 2c000180 0e000100 696d6d65 64696174 65000000 18000280
           08000100 00000001 0c000280 08000100 01000000 20000180 07000100 63740000 14000280 08000200 00000003 08000400
           00000001`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      chain: "c",
      expressions: [
        { name: "ct", data: { key: NFT_CT_STATUS, destination: NFT_REG_1 } },
        {
          name: "bitwise",
          data: {
            source: NFT_REG_1,
            destination: NFT_REG_1,
            length: 4,
            mask: { value: hex("20000000") },
            xor: { value: hex("00000000") },
          },
        },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_NEQ, data: { value: hex("00000000") } } },
        { name: "immediate", data: { destination: NFT_REG_1, data: { value: hex("01000000") } } },
        { name: "ct", data: { key: NFT_CT_MARK, source: NFT_REG_1 } },
      ],
    },
  },
  {
    command: "nft 'add rule bridge b c iifname v0 ether saddr != 02:00:00:00:00:05 drop'",
    wire: `07000000 06000100 62000000 06000200 63000000 f4000480 24000180 09000100 6d657461 00000000 14000280 08000200
           00000006 08000100 00000001 38000180 08000100 636d7000 2c000280 08000100 00000001 08000200 00000000 18000380
           14000100 76300000 00000000 00000000 00000000 34000180 0c000100 7061796c 6f616400 24000280 08000100 00000001
           08000200 00000000 08000300 00000006 08000400 00000006 30000180 08000100 636d7000 24000280 08000100 00000001
           08000200 00000001 10000380 0a000100 02000000 00050000 30000180 0e000100 696d6d65 64696174 65000000 1c000280
           08000100 00000000 10000280 0c000280 08000100 00000000`,
    value: {
      family: NFPROTO_BRIDGE,
      version: 0,
      resource: 0,
      table: "b",
      chain: "c",
      expressions: [
        { name: "meta", data: { key: NFT_META_IIFNAME, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: padded("v0", 16) } } },
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_LL_HEADER, offset: 6, length: 6 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_NEQ, data: { value: hex("020000000005") } } },
        { name: "immediate", data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NF_DROP } } } },
      ],
    },
  },
  {
    command: "nft insert rule ip t4 post position 3 accept",
    wire: `02000000 07000100 74340000 09000200 706f7374 00000000 34000480 30000180 0e000100 696d6d65 64696174 65000000
           1c000280 08000100 00000000 10000280 0c000280 08000100 00000001 0c000600 00000000 00000003`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      chain: "post",
      expressions: [
        { name: "immediate", data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NF_ACCEPT } } } },
      ],
      position: 3n,
    },
  },
  {
    command: "nft delete rule ip t4 post handle 3",
    wire: `02000000 07000100 74340000 09000200 706f7374 00000000 0c000300 00000000 00000003`,
    value: { family: NFPROTO_IPV4, version: 0, resource: 0, table: "t4", chain: "post", handle: 3n },
  },
  {
    command: "nft flush chain ip t4 post",
    wire: `02000000 07000100 74340000 09000200 706f7374 00000000`,
    value: { family: NFPROTO_IPV4, version: 0, resource: 0, table: "t4", chain: "post" },
  },
  {
    command: "nft list chain ip t4 post",
    from: "kernel",
    wire: `02000008 07000100 74340000 09000200 706f7374 00000000 0c000300 00000000 00000003 a4000400 34000100 0c000100
           7061796c 6f616400 24000200 08000100 00000001 08000200 00000001 08000300 0000000c 08000400 00000002 2c000100
           08000100 636d7000 20000200 08000100 00000001 08000200 00000000 0c000300 06000100 0a160000 2c000100 0c000100
           636f756e 74657200 1c000200 0c000100 00000000 00000000 0c000200 00000000 00000000 14000100 09000100 6d617371
           00000000 04000200 0d000700 0007706f 646e6574 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 8,
      table: "t4",
      chain: "post",
      handle: 3n,
      expressions: [
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 12, length: 2 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("0a16") } } },
        { name: "counter", data: { bytes: 0n, packets: 0n } },
        { name: "masq", data: {} },
      ],
      userdata: { comment: "podnet" },
    },
    unflagged: true,
  },
  {
    command: "nft 'add rule ip t4 post ip saddr != @blocked ct original ip daddr 10.0.0.9 accept'",
    wire: `02000000 07000100 74340000 09000200 706f7374 00000000 f4000480 34000180 0c000100 7061796c 6f616400 24000280
           08000100 00000001 08000200 00000001 08000300 0000000c 08000400 00000004 38000180 0b000100 6c6f6f6b 75700000
           28000280 08000200 00000001 0c000100 626c6f63 6b656400 08000400 00000001 08000500 00000001 28000180 07000100
           63740000 1c000280 08000200 00000014 08000100 00000001 05000300 00000000 2c000180 08000100 636d7000 20000280
           08000100 00000001 08000200 00000000 0c000380 08000100 0a000009 30000180 0e000100 696d6d65 64696174 65000000
           1c000280 08000100 00000000 10000280 0c000280 08000100 00000001`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      chain: "post",
      expressions: [
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 12, length: 4 } },
        { name: "lookup", data: { source: NFT_REG_1, set: "blocked", setId: 1, flags: NFT_LOOKUP_F_INV } },
        { name: "ct", data: { key: NFT_CT_DST_IP, destination: NFT_REG_1, direction: 0 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("0a000009") } } },
        { name: "immediate", data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NF_ACCEPT } } } },
      ],
    },
  },
  {
    command: "nft add rule ip t4 post ip ttl set 5",
    wire: `02000000 07000100 74340000 09000200 706f7374 00000000 c8000480 34000180 0c000100 7061796c 6f616400 24000280
           08000100 00000001 08000200 00000001 08000300 00000008 08000400 00000002 4c000180 0c000100 62697477 69736500
           3c000280 08000100 00000001 08000200 00000001 08000600 00000000 08000300 00000002 0c000480 06000100 00ff0000
           0c000580 06000100 05000000 44000180 0c000100 7061796c 6f616400 34000280 08000500 00000001 08000200 00000001
           08000300 00000008 08000400 00000002 08000600 00000001 08000700 0000000a`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      chain: "post",
      expressions: [
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 8, length: 2 } },
        {
          name: "bitwise",
          data: {
            source: NFT_REG_1,
            destination: NFT_REG_1,
            operation: NFT_BITWISE_MASK_XOR,
            length: 2,
            mask: { value: hex("00ff") },
            xor: { value: hex("0500") },
          },
        },
        {
          name: "payload",
          data: {
            source: NFT_REG_1,
            base: NFT_PAYLOAD_NETWORK_HEADER,
            offset: 8,
            length: 2,
            checksumType: 1,
            checksumOffset: 10,
          },
        },
      ],
    },
  },
  {
    command: "nft add rule ip t4 post meta l4proto tcp masquerade to :1000-2000",
    wire: `02000000 07000100 74340000 09000200 706f7374 00000000 d8000480 24000180 09000100 6d657461 00000000 14000280
           08000200 00000010 08000100 00000001 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000
           0c000380 05000100 06000000 2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100 00000001 0c000280
           06000100 03e80000 2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100 00000002 0c000280 06000100
           07d00000 2c000180 09000100 6d617371 00000000 1c000280 08000100 00000002 08000200 00000001 08000300 00000002`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      chain: "post",
      expressions: [
        { name: "meta", data: { key: NFT_META_L4PROTO, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("06") } } },
        { name: "immediate", data: { destination: NFT_REG_1, data: { value: hex("03e8") } } },
        { name: "immediate", data: { destination: NFT_REG_2, data: { value: hex("07d0") } } },
        { name: "masq", data: { flags: NF_NAT_RANGE_PROTO_SPECIFIED, portMin: NFT_REG_1, portMax: NFT_REG_2 } },
      ],
    },
  },
  {
    command: "nft add rule ip t4 pre tcp dport 80 redirect to :1000-2000",
    wire: `02000000 07000100 74340000 08000200 70726500 38010480 24000180 09000100 6d657461 00000000 14000280 08000200
           00000010 08000100 00000001 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380
           05000100 06000000 34000180 0c000100 7061796c 6f616400 24000280 08000100 00000001 08000200 00000002 08000300
           00000002 08000400 00000002 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380
           06000100 00500000 2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100 00000001 0c000280 06000100
           03e80000 2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100 00000002 0c000280 06000100 07d00000
           2c000180 0a000100 72656469 72000000 1c000280 08000100 00000001 08000200 00000002 08000300 00000002`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      chain: "pre",
      expressions: [
        { name: "meta", data: { key: NFT_META_L4PROTO, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("06") } } },
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, length: 2 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("0050") } } },
        { name: "immediate", data: { destination: NFT_REG_1, data: { value: hex("03e8") } } },
        { name: "immediate", data: { destination: NFT_REG_2, data: { value: hex("07d0") } } },
        { name: "redir", data: { portMin: NFT_REG_1, portMax: NFT_REG_2, flags: NF_NAT_RANGE_PROTO_SPECIFIED } },
      ],
    },
  },
  {
    command: "nft 'add rule inet t c jump { accept; }'",
    wire: `01000000 06000100 74000000 08000b00 00000001 34000480 30000180 0e000100 696d6d65 64696174 65000000 1c000280
           08000100 00000000 10000280 0c000280 08000100 00000001`,
    value: {
      family: NFPROTO_INET,
      version: 0,
      resource: 0,
      table: "t",
      chainId: 1,
      expressions: [
        { name: "immediate", data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NF_ACCEPT } } } },
      ],
    },
  },
]);
