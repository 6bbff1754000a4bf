import { golden } from "../golden.testing.ts";
import {
  chainMessage,
  NF_INET_FORWARD,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NF_IP_PRI_NAT_DST,
  NF_IP_PRI_NAT_SRC,
  NF_NETDEV_INGRESS,
  NFT_CHAIN_BASE,
} from "./chain.ts";
import { NF_ACCEPT, NF_DROP } from "./data.ts";
import { NFPROTO_INET, NFPROTO_IPV4, NFPROTO_NETDEV } from "./header.ts";

golden(chainMessage, [
  {
    command: "nft 'add chain ip t4 forward { type filter hook forward priority 0; policy drop; }'",
    wire: `02000000 07000100 74340000 0c000300 666f7277 61726400 0b000700 66696c74 65720000 08000500 00000000 14000480
           08000100 00000002 08000200 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      name: "forward",
      type: "filter",
      policy: NF_DROP,
      hook: { number: NF_INET_FORWARD, priority: 0 },
    },
  },
  {
    command: "nft add chain inet t plain",
    wire: `01000000 06000100 74000000 0a000300 706c6169 6e000000`,
    value: { family: NFPROTO_INET, version: 0, resource: 0, table: "t", name: "plain" },
  },
  {
    command: "nft 'add chain ip t4 masq { type nat hook postrouting priority 100; comment \"for containers\"; }'",
    wire: `02000000 07000100 74340000 09000300 6d617371 00000000 08000700 6e617400 14000480 08000100 00000004 08000200
           00000064 15000c00 000f666f 7220636f 6e746169 6e657273 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "t4",
      name: "masq",
      type: "nat",
      hook: { number: NF_INET_POST_ROUTING, priority: NF_IP_PRI_NAT_SRC },
      userdata: { comment: "for containers" },
    },
  },
  {
    command: "nft 'add chain netdev n in { type filter hook ingress device cni0 priority -500; }'",
    wire: `05000000 06000100 6e000000 07000300 696e0000 0b000700 66696c74 65720000 20000480 08000100 00000000 08000200
           fffffe0c 09000300 636e6930 00000000`,
    value: {
      family: NFPROTO_NETDEV,
      version: 0,
      resource: 0,
      table: "n",
      name: "in",
      type: "filter",
      hook: { number: NF_NETDEV_INGRESS, priority: -500, device: "cni0" },
    },
  },
  {
    command: "nft delete chain ip t4 post",
    wire: `02000000 07000100 74340000 09000300 706f7374 00000000`,
    value: { family: NFPROTO_IPV4, version: 0, resource: 0, table: "t4", name: "post" },
  },
  {
    command: "nft list chains ip",
    from: "kernel",
    wire: `01000007 06000100 74000000 06000300 63000000 0c000200 00000000 00000001 08000600 00000000`,
    value: { family: NFPROTO_INET, version: 0, resource: 7, table: "t", name: "c", handle: 1n, uses: 0 },
  },
  {
    command: "nft list chains ip",
    from: "kernel",
    wire: `02000007 07000100 74340000 08000300 70726500 0c000200 00000000 00000002 14000400 08000100 00000000 08000200
           ffffff9c 08000500 00000001 08000700 6e617400 08000a00 00000001 08000600 00000000`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 7,
      table: "t4",
      name: "pre",
      handle: 2n,
      hook: { number: NF_INET_PRE_ROUTING, priority: NF_IP_PRI_NAT_DST },
      policy: NF_ACCEPT,
      type: "nat",
      flags: NFT_CHAIN_BASE,
      uses: 0,
    },
    unflagged: true,
  },
  {
    command: "iptables-nft -t nat -A POSTROUTING -j MASQUERADE",
    wire: `02000000 08000100 6e617400 10000300 504f5354 524f5554 494e4700 14000480 08000100 00000004 08000200 00000064
           08000500 00000001 08000700 6e617400`,
    value: {
      family: NFPROTO_IPV4,
      version: 0,
      resource: 0,
      table: "nat",
      name: "POSTROUTING",
      hook: { number: NF_INET_POST_ROUTING, priority: NF_IP_PRI_NAT_SRC },
      policy: NF_ACCEPT,
      type: "nat",
    },
  },
  {
    command: "iptables-nft -N TWILL",
    wire: `02000000 0b000100 66696c74 65720000 0a000300 5457494c 4c000000`,
    value: { family: NFPROTO_IPV4, version: 0, resource: 0, table: "filter", name: "TWILL" },
  },
  {
    command: "nft 'add rule inet t c jump { accept; }'",
    wire: `01000000 06000100 74000000 08000b00 00000001 08000a00 00000004`,
    value: { family: NFPROTO_INET, version: 0, resource: 0, table: "t", id: 1, flags: 4 },
  },
  {
    command: "nft 'add chain netdev n two { type filter hook ingress devices = { cni0, lo } priority 0; }'",
    wire: `05000000 06000100 6e000000 08000300 74776f00 0b000700 66696c74 65720000 2c000480 08000100 00000000 08000200
           00000000 18000480 07000100 6c6f0000 09000100 636e6930 00000000`,
    value: {
      family: NFPROTO_NETDEV,
      version: 0,
      resource: 0,
      table: "n",
      name: "two",
      type: "filter",
      hook: { number: NF_NETDEV_INGRESS, priority: 0, devices: ["lo", "cni0"] },
    },
  },
]);
