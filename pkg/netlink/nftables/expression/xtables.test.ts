import { golden, hex, padded } from "../../golden.testing.ts";
import { COMPAT_MATCH, COMPAT_TARGET, compatMessage } from "../compat.ts";
import { NF_ACCEPT, NF_DROP, NFT_JUMP, NFT_REG_1, NFT_REG_VERDICT } from "../data.ts";
import { NFPROTO_IPV4, NFPROTO_IPV6 } from "../header.ts";
import { ruleMessage } from "../rule.ts";
import { NFT_CMP_EQ, NFT_CMP_NEQ } from "./cmp.ts";
import { NFT_META_IIFNAME, NFT_META_L4PROTO, NFT_META_MARK, NFT_META_OIFNAME } from "./meta.ts";
import { NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER } from "./payload.ts";

golden(compatMessage, [
  {
    command: "iptables-nft -t nat -A POSTROUTING -j MASQUERADE",
    wire: `02000000 0f000100 4d415351 55455241 44450000 08000200 00000000 08000300 00000001`,
    value: { family: NFPROTO_IPV4, version: 0, resource: 0, name: "MASQUERADE", revision: 0, type: COMPAT_TARGET },
  },
  {
    command: "iptables-nft -A FORWARD -m conntrack --ctstate NEW -j ACCEPT",
    wire: `02000000 0e000100 636f6e6e 74726163 6b000000 08000200 00000003 08000300 00000000`,
    value: { family: NFPROTO_IPV4, version: 0, resource: 0, name: "conntrack", revision: 3, type: COMPAT_MATCH },
  },
]);

golden(ruleMessage, [
  {
    command: 'iptables-nft -t nat -A POSTROUTING -s 10.22.0.5 -m comment --comment \'name: "podnet" id: "a"\' -j CNI-a',
    wire: `02000000 08000100 6e617400 10000200 504f5354 524f5554 494e4700 f8010480 34000180 0c000100 7061796c 6f616400
           24000280 08000100 00000001 08000200 00000001 08000300 0000000c 08000400 00000004 2c000180 08000100 636d7000
           20000280 08000100 00000001 08000200 00000000 0c000380 08000100 0a160005 2c010180 0a000100 6d617463 68000000
           1c010280 0c000100 636f6d6d 656e7400 08000200 00000000 04010300 6e616d65 3a202270 6f646e65 74222069 643a2022
           61220000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 2c000180
           0c000100 636f756e 74657200 1c000280 0c000100 00000000 00000000 0c000200 00000000 00000000 3c000180 0e000100
           696d6d65 64696174 65000000 28000280 08000100 00000000 1c000280 18000280 08000100 fffffffd 0a000200 434e492d
           61000000 14000580 08000100 00000000 08000200 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "nat",
      chain: "POSTROUTING",
      expressions: [
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 12, length: 4 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("0a160005") } } },
        { name: "match", data: { name: "comment", revision: 0, info: padded('name: "podnet" id: "a"', 256) } },
        { name: "counter", data: { bytes: 0n, packets: 0n } },
        {
          name: "immediate",
          data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NFT_JUMP, chain: "CNI-a" } } },
        },
      ],
      compat: { protocol: 0, flags: 0 },
    },
  },
  {
    command: "iptables-nft -t nat -A CNI-a ! -d 224.0.0.0/4 -j MASQUERADE",
    wire: `02000000 08000100 6e617400 0a000200 434e492d 61000000 1c010480 34000180 0c000100 7061796c 6f616400 24000280
           08000100 00000001 08000200 00000001 08000300 00000010 08000400 00000004 44000180 0c000100 62697477 69736500
           34000280 08000100 00000001 08000200 00000001 08000300 00000004 0c000480 08000100 f0000000 0c000580 08000100
           00000000 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000001 0c000380 08000100 e0000000
           2c000180 0c000100 636f756e 74657200 1c000280 0c000100 00000000 00000000 0c000200 00000000 00000000 48000180
           0b000100 74617267 65740000 38000280 0f000100 4d415351 55455241 44450000 08000200 00000000 1c000300 01000000
           00000000 00000000 00000000 00000000 00000000 14000580 08000100 00000000 08000200 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "nat",
      chain: "CNI-a",
      expressions: [
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 16, length: 4 } },
        {
          name: "bitwise",
          data: {
            source: NFT_REG_1,
            destination: NFT_REG_1,
            length: 4,
            mask: { value: hex("f0000000") },
            xor: { value: hex("00000000") },
          },
        },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_NEQ, data: { value: hex("e0000000") } } },
        { name: "counter", data: { bytes: 0n, packets: 0n } },
        {
          name: "target",
          data: { name: "MASQUERADE", revision: 0, info: hex("010000000000000000000000000000000000000000000000") },
        },
      ],
      compat: { protocol: 0, flags: 0 },
    },
  },
  {
    command: "iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j ACCEPT",
    wire: `02000000 08000100 6e617400 0f000200 50524552 4f555449 4e470000 98000480 38000180 0a000100 6d617463 68000000
           28000280 0d000100 61646472 74797065 00000000 08000200 00000001 0c000300 00000400 00000000 2c000180 0c000100
           636f756e 74657200 1c000280 0c000100 00000000 00000000 0c000200 00000000 00000000 30000180 0e000100 696d6d65
           64696174 65000000 1c000280 08000100 00000000 10000280 0c000280 08000100 00000001 14000580 08000100 00000000
           08000200 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "nat",
      chain: "PREROUTING",
      expressions: [
        { name: "match", data: { name: "addrtype", revision: 1, info: hex("0000040000000000") } },
        { name: "counter", data: { bytes: 0n, packets: 0n } },
        { name: "immediate", data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NF_ACCEPT } } } },
      ],
      compat: { protocol: 0, flags: 0 },
    },
  },
  {
    command: "iptables-nft -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.1.2.3:80",
    wire: `02000000 08000100 6e617400 0f000200 50524552 4f555449 4e470000 3c010480 24000180 09000100 6d657461 00000000
           14000280 08000200 00000010 08000100 00000001 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200
           00000000 0c000380 05000100 06000000 34000180 0c000100 7061796c 6f616400 24000280 08000100 00000001 08000200
           00000002 08000300 00000002 08000400 00000002 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200
           00000000 0c000380 06000100 1f900000 2c000180 0c000100 636f756e 74657200 1c000280 0c000100 00000000 00000000
           0c000200 00000000 00000000 5c000180 0b000100 74617267 65740000 4c000280 09000100 444e4154 00000000 08000200
           00000002 34000300 03000000 0a010203 00000000 00000000 00000000 0a010203 00000000 00000000 00000000 00500050
           00000000 00000000 14000580 08000100 00000006 08000200 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "nat",
      chain: "PREROUTING",
      expressions: [
        { name: "meta", data: { key: NFT_META_L4PROTO, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("06") } } },
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, length: 2 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("1f90") } } },
        { name: "counter", data: { bytes: 0n, packets: 0n } },
        {
          name: "target",
          data: {
            name: "DNAT",
            revision: 2,
            info: hex(
              "030000000a0102030000000000000000000000000a010203000000000000000000000000005000500000000000000000",
            ),
          },
        },
      ],
      compat: { protocol: 6, flags: 0 },
    },
  },
  {
    command: "iptables-nft -A FORWARD -d 10.1.2.3 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    wire: `02000000 0b000100 66696c74 65720000 0c000200 464f5257 41524400 98010480 34000180 0c000100 7061796c 6f616400
           24000280 08000100 00000001 08000200 00000001 08000300 00000010 08000400 00000004 2c000180 08000100 636d7000
           20000280 08000100 00000001 08000200 00000000 0c000380 08000100 0a010203 d8000180 0a000100 6d617463 68000000
           c8000280 0e000100 636f6e6e 74726163 6b000000 08000200 00000003 ac000300 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000100 00000600 00000000 00000000
           00000000 00000000 2c000180 0c000100 636f756e 74657200 1c000280 0c000100 00000000 00000000 0c000200 00000000
           00000000 30000180 0e000100 696d6d65 64696174 65000000 1c000280 08000100 00000000 10000280 0c000280 08000100
           00000001 14000580 08000100 00000000 08000200 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "filter",
      chain: "FORWARD",
      expressions: [
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 16, length: 4 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("0a010203") } } },
        {
          name: "match",
          data: {
            name: "conntrack",
            revision: 3,
            info: hex(
              "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001000000060000000000000000000000000000000000",
            ),
          },
        },
        { name: "counter", data: { bytes: 0n, packets: 0n } },
        { name: "immediate", data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NF_ACCEPT } } } },
      ],
      compat: { protocol: 0, flags: 0 },
    },
  },
  {
    command: "iptables-nft -I FORWARD -i cni0 ! -o cni0 -j DROP",
    wire: `02000000 0b000100 66696c74 65720000 0c000200 464f5257 41524400 08010480 24000180 09000100 6d657461 00000000
           14000280 08000200 00000006 08000100 00000001 30000180 08000100 636d7000 24000280 08000100 00000001 08000200
           00000000 10000380 09000100 636e6930 00000000 24000180 09000100 6d657461 00000000 14000280 08000200 00000007
           08000100 00000001 30000180 08000100 636d7000 24000280 08000100 00000001 08000200 00000001 10000380 09000100
           636e6930 00000000 2c000180 0c000100 636f756e 74657200 1c000280 0c000100 00000000 00000000 0c000200 00000000
           00000000 30000180 0e000100 696d6d65 64696174 65000000 1c000280 08000100 00000000 10000280 0c000280 08000100
           00000000 14000580 08000100 00000000 08000200 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "filter",
      chain: "FORWARD",
      expressions: [
        { name: "meta", data: { key: NFT_META_IIFNAME, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: padded("cni0", 5) } } },
        { name: "meta", data: { key: NFT_META_OIFNAME, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_NEQ, data: { value: padded("cni0", 5) } } },
        { name: "counter", data: { bytes: 0n, packets: 0n } },
        { name: "immediate", data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NF_DROP } } } },
      ],
      compat: { protocol: 0, flags: 0 },
    },
  },
  {
    command: "iptables-nft -t nat -A OUTPUT -m mark ! --mark 0x2000/0x2000 -j MARK --set-xmark 0x2000/0x2000",
    wire: `02000000 08000100 6e617400 0b000200 4f555450 55540000 f8000480 24000180 09000100 6d657461 00000000 14000280
           08000200 00000003 08000100 00000001 44000180 0c000100 62697477 69736500 34000280 08000100 00000001 08000200
           00000001 08000300 00000004 0c000480 08000100 00200000 0c000580 08000100 00000000 2c000180 08000100 636d7000
           20000280 08000100 00000001 08000200 00000001 0c000380 08000100 00200000 2c000180 0c000100 636f756e 74657200
           1c000280 0c000100 00000000 00000000 0c000200 00000000 00000000 34000180 0b000100 74617267 65740000 24000280
           09000100 4d41524b 00000000 08000200 00000002 0c000300 00200000 00200000 14000580 08000100 00000000 08000200
           00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "nat",
      chain: "OUTPUT",
      expressions: [
        { name: "meta", data: { key: NFT_META_MARK, destination: NFT_REG_1 } },
        {
          name: "bitwise",
          data: {
            source: NFT_REG_1,
            destination: NFT_REG_1,
            length: 4,
            mask: { value: hex("00200000") },
            xor: { value: hex("00000000") },
          },
        },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_NEQ, data: { value: hex("00200000") } } },
        { name: "counter", data: { bytes: 0n, packets: 0n } },
        { name: "target", data: { name: "MARK", revision: 2, info: hex("0020000000200000") } },
      ],
      compat: { protocol: 0, flags: 0 },
    },
  },
  {
    command: "ip6tables-nft -t nat -A POSTROUTING -s fd00::/64 -j MASQUERADE --random-fully",
    wire: `0a000000 08000100 6e617400 10000200 504f5354 524f5554 494e4700 ec000480 34000180 0c000100 7061796c 6f616400
           24000280 08000100 00000001 08000200 00000001 08000300 00000008 08000400 00000008 30000180 08000100 636d7000
           24000280 08000100 00000001 08000200 00000000 10000380 0c000100 fd000000 00000000 2c000180 0c000100 636f756e
           74657200 1c000280 0c000100 00000000 00000000 0c000200 00000000 00000000 58000180 0b000100 74617267 65740000
           48000280 0f000100 4d415351 55455241 44450000 08000200 00000000 2c000300 10000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 14000580 08000100 00000000 08000200 00000000`,
    value: {
      family: NFPROTO_IPV6,
      version: 0,
      resource: 0,
      table: "nat",
      chain: "POSTROUTING",
      expressions: [
        { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 8, length: 8 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("fd00000000000000") } } },
        { name: "counter", data: { bytes: 0n, packets: 0n } },
        {
          name: "target",
          data: {
            name: "MASQUERADE",
            revision: 0,
            info: hex("10000000000000000000000000000000000000000000000000000000000000000000000000000000"),
          },
        },
      ],
      compat: { protocol: 0, flags: 0 },
    },
  },
  {
    command: "iptables-nft -t nat -A PREROUTING -p udp -m multiport --dports 53,5353 -j DNAT --to-destination 10.1.2.3",
    wire: `02000000 08000100 6e617400 0f000200 50524552 4f555449 4e470000 3c010480 24000180 09000100 6d657461 00000000
           14000280 08000200 00000010 08000100 00000001 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200
           00000000 0c000380 05000100 11000000 60000180 0a000100 6d617463 68000000 50000280 0e000100 6d756c74 69706f72
           74000000 08000200 00000001 34000300 01023500 e9140000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 2c000180 0c000100 636f756e 74657200 1c000280 0c000100 00000000 00000000
           0c000200 00000000 00000000 5c000180 0b000100 74617267 65740000 4c000280 09000100 444e4154 00000000 08000200
           00000002 34000300 01000000 0a010203 00000000 00000000 00000000 0a010203 00000000 00000000 00000000 00000000
           00000000 00000000 14000580 08000100 00000011 08000200 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "nat",
      chain: "PREROUTING",
      expressions: [
        { name: "meta", data: { key: NFT_META_L4PROTO, destination: NFT_REG_1 } },
        { name: "cmp", data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value: hex("11") } } },
        {
          name: "match",
          data: {
            name: "multiport",
            revision: 1,
            info: hex(
              "01023500e914000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
            ),
          },
        },
        { name: "counter", data: { bytes: 0n, packets: 0n } },
        {
          name: "target",
          data: {
            name: "DNAT",
            revision: 2,
            info: hex(
              "010000000a0102030000000000000000000000000a010203000000000000000000000000000000000000000000000000",
            ),
          },
        },
      ],
      compat: { protocol: 17, flags: 0 },
    },
  },
]);
