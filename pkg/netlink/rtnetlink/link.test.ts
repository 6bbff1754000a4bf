import { golden, hex, ip, mac } from "../golden.testing.ts";
import { AF_UNSPEC } from "./family.ts";
import { BR_STATE_FORWARDING, bridgePort } from "./link/bridge-port.ts";
import { IFF_PROMISC, IFF_UP } from "./link/interface.ts";
import { IPVLAN_F_PRIVATE, IPVLAN_MODE_L2, IPVLAN_MODE_L3S } from "./link/ipvlan.ts";
import {
  MACVLAN_FLAG_NOPROMISC,
  MACVLAN_MODE_BRIDGE,
  MACVLAN_MODE_PASSTHRU,
  MACVLAN_MODE_SOURCE,
  MACVLAN_MODE_VEPA,
} from "./link/macvlan.ts";
import { IFF_TAP } from "./link/tun.ts";
import { VLAN_FLAG_GVRP, VLAN_FLAG_REORDER_HDR } from "./link/vlan.ts";
import { IN6_ADDR_GEN_MODE_NONE, linkInfo, linkMessage } from "./link.ts";

golden(linkMessage, [
  {
    command: "ip link add v0 type veth peer name v1",
    wire: `00000000 00000000 00000000 00000000 07000300 76300000 2c001200 08000100 76657468 20000200 1c000100 00000000
           00000000 00000000 00000000 07000300 76310000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      ifName: "v0",
      linkInfo: {
        kind: "veth",
        data: { peer: { family: AF_UNSPEC, type: 0, index: 0, flags: 0, change: 0, ifName: "v1" } },
      },
    },
  },
  {
    command:
      "ip link add v0 mtu 1450 address 02:00:00:00:00:01 type veth peer name eth9 mtu 1450 address 02:00:00:00:00:02 netns <pid>",
    wire: `00000000 00000000 00000000 00000000 08000400 aa050000 0a000100 02000000 00010000 07000300 76300000 4c001200
           08000100 76657468 40000200 3c000100 00000000 00000000 00000000 00000000 08000400 aa050000 0a000100 02000000
           00020000 08001300 d4210000 09000300 65746839 00000000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      mtu: 1450,
      address: mac("02:00:00:00:00:01"),
      ifName: "v0",
      linkInfo: {
        kind: "veth",
        data: {
          peer: {
            family: AF_UNSPEC,
            type: 0,
            index: 0,
            flags: 0,
            change: 0,
            mtu: 1450,
            address: mac("02:00:00:00:00:02"),
            netnsPid: 8660,
            ifName: "eth9",
          },
        },
      },
    },
  },
  {
    command: "ip link add v0 master cni0 up type veth peer name v1",
    wire: `00000000 00000000 01000000 01000000 08000a00 02000000 07000300 76300000 2c001200 08000100 76657468 20000200
           1c000100 00000000 00000000 00000000 00000000 07000300 76310000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: IFF_UP,
      change: IFF_UP,
      master: 2,
      ifName: "v0",
      linkInfo: {
        kind: "veth",
        data: { peer: { family: AF_UNSPEC, type: 0, index: 0, flags: 0, change: 0, ifName: "v1" } },
      },
    },
  },
  {
    command: "ip link add cni0 type bridge",
    wire: `00000000 00000000 00000000 00000000 09000300 636e6930 00000000 10001200 0a000100 62726964 67650000`,
    value: { family: AF_UNSPEC, type: 0, index: 0, flags: 0, change: 0, ifName: "cni0", linkInfo: { kind: "bridge" } },
  },
  {
    command:
      "ip link add cni0 address 02:00:00:00:00:01 type bridge vlan_filtering 1 vlan_default_pvid 0 stp_state 1 forward_delay 200 ageing_time 30000 mcast_snooping 0 nf_call_iptables 1 group_fwd_mask 8 priority 4096",
    wire: `00000000 00000000 00000000 00000000 0a000100 02000000 00010000 09000300 636e6930 00000000 5c001200 0a000100
           62726964 67650000 4c000200 05000700 01000000 06002700 00000000 08000500 01000000 08000100 c8000000 08000400
           30750000 05001700 00000000 05002400 01000000 06000900 08000000 06000600 00100000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      address: mac("02:00:00:00:00:01"),
      ifName: "cni0",
      linkInfo: {
        kind: "bridge",
        data: {
          vlanFiltering: true,
          vlanDefaultPvid: 0,
          stpState: 1,
          forwardDelay: 200,
          ageingTime: 30000,
          multicastSnooping: false,
          callIptables: true,
          groupForwardMask: 8,
          priority: 4096,
        },
      },
    },
  },
  {
    command: "ip link set v0 master cni0 mtu 1400 alias 'größer'",
    wire: `00000000 04000000 00000000 00000000 08000a00 02000000 08000400 78050000 0c001400 6772c3b6 c39f6572`,
    value: { family: AF_UNSPEC, type: 0, index: 4, flags: 0, change: 0, master: 2, mtu: 1400, alias: "größer" },
  },
  {
    command: "ip link set v0 nomaster",
    wire: `00000000 04000000 00000000 00000000 08000a00 00000000`,
    value: { family: AF_UNSPEC, type: 0, index: 4, flags: 0, change: 0, master: 0 },
  },
  {
    command: "ip link set v0 up promisc on",
    wire: `00000000 03000000 01010000 01010000`,
    value: { family: AF_UNSPEC, type: 0, index: 3, flags: IFF_UP | IFF_PROMISC, change: IFF_UP | IFF_PROMISC },
  },
  {
    command: "ip link set v0 down",
    wire: `00000000 03000000 00000000 01000000`,
    value: { family: AF_UNSPEC, type: 0, index: 3, flags: 0, change: IFF_UP },
  },
  {
    command: "ip link set v0 name eth7",
    wire: `00000000 03000000 00000000 00000000 09000300 65746837 00000000`,
    value: { family: AF_UNSPEC, type: 0, index: 3, flags: 0, change: 0, ifName: "eth7" },
  },
  {
    command: "ip link set v0 address 02:00:00:00:00:07 txqueuelen 500 group 7",
    wire: `00000000 03000000 00000000 00000000 0a000100 02000000 00070000 08000d00 f4010000 08001b00 07000000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 3,
      flags: 0,
      change: 0,
      address: mac("02:00:00:00:00:07"),
      txQueueLength: 500,
      group: 7,
    },
  },
  {
    command: "ip link set v0 netns <pid>",
    wire: `00000000 03000000 00000000 00000000 08001300 58220000`,
    value: { family: AF_UNSPEC, type: 0, index: 3, flags: 0, change: 0, netnsPid: 8792 },
  },
  {
    command: "ip link set v0 addrgenmode none",
    wire: `00000000 03000000 00000000 00000000 10001a00 0c000a00 05000800 01000000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 3,
      flags: 0,
      change: 0,
      addressFamilies: { inet6: { addressGeneration: IN6_ADDR_GEN_MODE_NONE } },
    },
  },
  {
    command: "ip link property add dev v0 altname other altname third",
    wire: `00000000 03000000 00000000 00000000 1c003480 0a003500 6f746865 72000000 0a003500 74686972 64000000`,
    value: { family: AF_UNSPEC, type: 0, index: 3, flags: 0, change: 0, altIfNames: ["other", "third"] },
  },
  {
    command: "ip link del v0",
    wire: `00000000 03000000 00000000 00000000`,
    value: { family: AF_UNSPEC, type: 0, index: 3, flags: 0, change: 0 },
  },
  {
    command: "ip link show type bridge",
    wire: `11000000 00000000 00000000 00000000 08001d00 01000000 10001200 0a000100 62726964 67650000`,
    value: { family: 17, type: 0, index: 0, flags: 0, change: 0, extMask: 1, linkInfo: { kind: "bridge" } },
  },
  {
    command: "ip link show dev lo",
    wire: `11000000 00000000 00000000 00000000 07000300 6c6f0000 08001d00 01000000`,
    value: { family: 17, type: 0, index: 0, flags: 0, change: 0, ifName: "lo", extMask: 1 },
  },
  {
    command: "ip link add flannel.1 type vxlan id 1 local 10.0.0.1 dev v0 dstport 8472 nolearning",
    wire: `00000000 00000000 00000000 00000000 0e000300 666c616e 6e656c2e 31000000 3c001200 09000100 76786c61 6e000000
           2c000200 08000300 03000000 08000100 01000000 08000400 0a000001 05000700 00000000 06000f00 21180000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      ifName: "flannel.1",
      linkInfo: { kind: "vxlan", data: { link: 3, id: 1, local: ip("10.0.0.1"), learning: false, port: 8472 } },
    },
  },
  {
    command:
      "ip link add vx6 type vxlan id 77 remote fd00::9 local fd00::5 dev v0 dstport 4789 ttl 64 tos 4 srcport 32768 61000 ageing 300 maxaddress 100 proxy l2miss l3miss noudpcsum udp6zerocsumtx udp6zerocsumrx gbp",
    wire: `00000000 00000000 00000000 00000000 08000300 76783600 b8001200 09000100 76786c61 6e000000 a8000200 08000300
           03000000 05000500 40000000 05000600 04000000 08000a00 8000ee48 08000800 2c010000 08000900 64000000 05000b00
           01000000 05000d00 01000000 05000e00 01000000 05001200 00000000 05001300 01000000 05001400 01000000 04001700
           08000100 4d000000 14001100 fd000000 00000000 00000000 00000005 14001000 fd000000 00000000 00000000 00000009
           05000700 01000000 06000f00 12b50000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      ifName: "vx6",
      linkInfo: {
        kind: "vxlan",
        data: {
          link: 3,
          ttl: 64,
          tos: 4,
          sourcePorts: { low: 32768, high: 61000 },
          ageingSeconds: 300,
          limit: 100,
          proxy: true,
          l2Miss: true,
          l3Miss: true,
          udpChecksum: false,
          udpZeroChecksum6Tx: true,
          udpZeroChecksum6Rx: true,
          gbp: true,
          id: 77,
          local6: ip("fd00::5"),
          group6: ip("fd00::9"),
          learning: true,
          port: 4789,
        },
      },
    },
  },
  {
    command: "ip link add vxm type vxlan dstport 4789 external",
    wire: `00000000 00000000 00000000 00000000 08000300 76786d00 2c001200 09000100 76786c61 6e000000 1c000200 05001900
           01000000 05000700 00000000 06000f00 12b50000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      ifName: "vxm",
      linkInfo: { kind: "vxlan", data: { collectMetadata: true, learning: false, port: 4789 } },
    },
  },
  {
    command: "ip link add vxg type vxlan id 5 group 239.1.1.1 dev v0 dstport 4789 df set ttl inherit",
    wire: `00000000 00000000 00000000 00000000 08000300 76786700 48001200 09000100 76786c61 6e000000 38000200 08000300
           03000000 05001d00 01000000 04001c00 08000100 05000000 08000200 ef010101 05000700 01000000 06000f00 12b50000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      ifName: "vxg",
      linkInfo: {
        kind: "vxlan",
        data: { link: 3, dontFragment: 1, ttlInherit: true, id: 5, group: ip("239.1.1.1"), learning: true, port: 4789 },
      },
    },
  },
  {
    command: "ip link add m0 link v0 type macvlan mode bridge",
    wire: `00000000 00000000 00000000 00000000 08000500 03000000 07000300 6d300000 1c001200 0b000100 6d616376 6c616e00
           0c000200 08000100 04000000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      link: 3,
      ifName: "m0",
      linkInfo: { kind: "macvlan", data: { mode: MACVLAN_MODE_BRIDGE } },
    },
  },
  {
    command: "ip link add m0 link v0 mtu 1400 type macvlan mode passthru nopromisc bcqueuelen 1000",
    wire: `00000000 00000000 00000000 00000000 08000400 78050000 08000500 03000000 07000300 6d300000 2c001200 0b000100
           6d616376 6c616e00 1c000200 08000700 e8030000 08000100 08000000 06000200 01000000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      mtu: 1400,
      link: 3,
      ifName: "m0",
      linkInfo: {
        kind: "macvlan",
        data: { broadcastQueueLength: 1000, mode: MACVLAN_MODE_PASSTHRU, flags: MACVLAN_FLAG_NOPROMISC },
      },
    },
  },
  {
    command: "ip link add m0 link v0 type macvlan mode source",
    wire: `00000000 00000000 00000000 00000000 08000500 03000000 07000300 6d300000 1c001200 0b000100 6d616376 6c616e00
           0c000200 08000100 10000000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      link: 3,
      ifName: "m0",
      linkInfo: { kind: "macvlan", data: { mode: MACVLAN_MODE_SOURCE } },
    },
  },
  {
    command: "ip link set m0 type macvlan macaddr set 02:00:00:00:00:01 02:00:00:00:00:02",
    wire: `00000000 04000000 00000000 00000000 38001200 0b000100 6d616376 6c616e00 28000200 08000300 03000000 1c000500
           0a000400 02000000 00010000 0a000400 02000000 00020000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 4,
      flags: 0,
      change: 0,
      linkInfo: { kind: "macvlan", data: { macMode: 3, macs: [mac("02:00:00:00:00:01"), mac("02:00:00:00:00:02")] } },
    },
  },
  {
    command: "ip link add t0 link v0 type macvtap mode vepa",
    wire: `00000000 00000000 00000000 00000000 08000500 03000000 07000300 74300000 1c001200 0b000100 6d616376 74617000
           0c000200 08000100 02000000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      link: 3,
      ifName: "t0",
      linkInfo: { kind: "macvtap", data: { mode: MACVLAN_MODE_VEPA } },
    },
  },
  {
    command: "ip link add i0 link v0 type ipvlan mode l2",
    wire: `00000000 00000000 00000000 00000000 08000500 03000000 07000300 69300000 24001200 0a000100 6970766c 616e0000
           14000200 06000100 00000000 06000200 00000000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      link: 3,
      ifName: "i0",
      linkInfo: { kind: "ipvlan", data: { mode: IPVLAN_MODE_L2, flags: 0 } },
    },
  },
  {
    command: "ip link add i0 link v0 type ipvlan mode l3s private",
    wire: `00000000 00000000 00000000 00000000 08000500 03000000 07000300 69300000 24001200 0a000100 6970766c 616e0000
           14000200 06000100 02000000 06000200 01000000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      link: 3,
      ifName: "i0",
      linkInfo: { kind: "ipvlan", data: { mode: IPVLAN_MODE_L3S, flags: IPVLAN_F_PRIVATE } },
    },
  },
  {
    command: "ip link add v0.100 link v0 type vlan id 100",
    wire: `00000000 00000000 00000000 00000000 08000500 03000000 0b000300 76302e31 30300000 18001200 08000100 766c616e
           0c000200 06000100 64000000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      link: 3,
      ifName: "v0.100",
      linkInfo: { kind: "vlan", data: { id: 100 } },
    },
  },
  {
    command:
      "ip link add v0.7 link v0 type vlan protocol 802.1ad id 7 reorder_hdr off gvrp on ingress-qos-map 1:2 egress-qos-map 3:4 5:6",
    wire: `00000000 00000000 00000000 00000000 08000500 03000000 09000300 76302e37 00000000 58001200 08000100 766c616e
           4c000200 06000500 88a80000 06000100 07000000 10000400 0c000100 01000000 02000000 1c000300 0c000100 03000000
           04000000 0c000100 05000000 06000000 0c000200 02000000 03000000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      link: 3,
      ifName: "v0.7",
      linkInfo: {
        kind: "vlan",
        data: {
          protocol: 0x88a8,
          id: 7,
          ingressPriorities: [{ from: 1, to: 2 }],
          egressPriorities: [
            { from: 3, to: 4 },
            { from: 5, to: 6 },
          ],
          flags: { flags: VLAN_FLAG_GVRP, mask: VLAN_FLAG_REORDER_HDR | VLAN_FLAG_GVRP },
        },
      },
    },
  },
  {
    command: "ip link add d0 type dummy",
    wire: `00000000 00000000 00000000 00000000 07000300 64300000 10001200 09000100 64756d6d 79000000`,
    value: { family: AF_UNSPEC, type: 0, index: 0, flags: 0, change: 0, ifName: "d0", linkInfo: { kind: "dummy" } },
  },
  {
    command: "ip link add ifb0 numtxqueues 2 numrxqueues 2 type ifb",
    wire: `00000000 00000000 00000000 00000000 08001f00 02000000 08002000 02000000 09000300 69666230 00000000 0c001200
           07000100 69666200`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      txQueues: 2,
      rxQueues: 2,
      ifName: "ifb0",
      linkInfo: { kind: "ifb" },
    },
  },
  {
    command: "ip link add vrf0 type vrf table 1000",
    wire: `00000000 00000000 00000000 00000000 09000300 76726630 00000000 18001200 07000100 76726600 0c000200 08000100
           e8030000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      ifName: "vrf0",
      linkInfo: { kind: "vrf", data: { table: 1000 } },
    },
  },
  {
    command: "ip link show dev v0 (a veth on a bridge)",
    from: "kernel",
    wire: `00000100 04000000 02100000 00000000 07000300 76300000 08000d00 e8030000 05001000 02000000 05001100 00000000
           05004300 00000000 08000400 dc050000 08003200 44000000 08003300 ffff0000 08001b00 00000000 08001e00 01000000
           08003d00 01000000 08001f00 02000000 08002800 ffff0000 08002900 00000100 08003a00 00000100 08003f00 00000100
           08004000 00000100 08003b00 f8ff0700 08003c00 ffff0000 08004200 00000000 08002000 02000000 08000a00 02000000
           05002100 00000000 08002300 01000000 08002f00 00000000 08003000 01000000 06004400 00000000 06004500 00000000
           05002700 00000000 0a000100 5e011378 17840000 0a000200 ffffffff ffff0000 cc001700 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 64000700
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           0c002b00 05000200 00000000 6c011200 09000100 76657468 00000000 0b000400 62726964 67650000 50010500 05000100
           00000000 06000200 20000000 08000300 02000000 05000400 00000000 05000500 00000000 05000600 00000000 05000700
           00000000 05001c00 00000000 05000800 01000000 05000900 01000000 05001b00 01000000 05001e00 01000000 05000a00
           00000000 05000c00 00000000 0c000d00 80005e01 13781784 0c000e00 80005e01 13781784 06000f00 01800000 06001000
           00000000 06001100 01800000 06001200 01000000 05001300 00000000 05001400 00000000 05001d00 00000000 06001f00
           00000000 05002000 00000000 05002300 00000000 05002400 00000000 05002100 00000000 05002700 00000000 05002800
           00000000 05002b00 00000000 0c001500 00000000 00000000 0c001600 00000000 00000000 0c001700 00000000 00000000
           05001900 01000000 08002500 00020000 08002600 00000000 08002900 00000000 08002a00 00000000 08000500 03000000
           09000600 6e6f6f70 00000000 c0011a00 8c000200 88000100 00000000 00000000 00000000 01000000 01000000 01000000
           01000000 00000000 01000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 10270000 e8030000 00000000 00000000
           00000000 00000000 01000000 30010a00 08000100 00000000 14000500 ffff0000 76660500 f88a0000 e8030000 f4000200
           00000000 40000000 dc050000 01000000 01000000 01000000 01000000 ffffffff a00f0000 e8030000 00000000 803a0900
           80510100 03000000 58020000 10000000 00000000 01000000 01000000 01000000 60ea0000 00000000 00000000 00000000
           00000000 00000000 00000000 01000000 00000000 00000000 10270000 e8030000 01000000 00000000 00000000 01000000
           00000000 00000000 01000000 00000000 00000000 00000000 00000000 80ee3600 00000000 00000000 01000000 00000000
           00000000 00000000 00000000 00000000 00040000 00000000 ffff0000 ffffffff 01000000 00000000 00000000 00000000
           14000700 00000000 00000000 00000000 00000000 05000800 00000000 24000e00 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 04003e80 04004180`,
    part: { index: 4, ifName: "v0", mtu: 1500, master: 2, link: 3, operState: 2, qdisc: "noop", carrier: 0 },
    differs: "the kernel ends the kind with a NUL",
  },
  {
    command: "ip link show dev v0 (with two more names)",
    from: "kernel",
    wire: `00000100 03000000 43100100 00000000 07000300 76300000 08000d00 e8030000 05001000 06000000 05001100 00000000
           05004300 00000000 08000400 dc050000 08003200 44000000 08003300 ffff0000 08001b00 00000000 08001e00 00000000
           08003d00 00000000 08001f00 02000000 08002800 ffff0000 08002900 00000100 08003a00 00000100 08003f00 00000100
           08004000 00000100 08003b00 f8ff0700 08003c00 ffff0000 08004200 00000000 08002000 02000000 05002100 01000000
           08002300 02000000 08002f00 01000000 08003000 01000000 06004400 00000000 06004500 00000000 05002700 00000000
           0a000100 eae52445 28e00000 0a000200 ffffffff ffff0000 cc001700 01000000 00000000 01000000 00000000 5a000000
           00000000 5a000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 64000700 01000000 01000000
           5a000000 5a000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 0c002b00 05000200
           00000000 10001200 09000100 76657468 00000000 08000500 02000000 0c000600 6e6f7175 65756500 c0011a00 8c000200
           88000100 00000000 00000000 00000000 01000000 01000000 01000000 01000000 00000000 01000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 10270000 e8030000 00000000 00000000 00000000 00000000 01000000 30010a00 08000100
           00000080 14000500 ffff0000 94660500 48870000 e8030000 f4000200 00000000 40000000 dc050000 01000000 01000000
           01000000 01000000 ffffffff a00f0000 e8030000 00000000 803a0900 80510100 03000000 58020000 10000000 00000000
           01000000 01000000 01000000 60ea0000 00000000 00000000 00000000 00000000 00000000 00000000 01000000 00000000
           00000000 10270000 e8030000 01000000 00000000 00000000 01000000 00000000 00000000 01000000 00000000 00000000
           00000000 00000000 80ee3600 00000000 00000000 01000000 00000000 00000000 00000000 00000000 00000000 00040000
           00000000 ffff0000 ffffffff 01000000 00000000 00000000 00000000 14000700 00000000 00000000 00000000 00000000
           05000800 00000000 24000e00 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 1c003480
           0a003500 6f746865 72000000 0a003500 74686972 64000000 04003e80 04004180`,
    part: { index: 3, ifName: "v0", altIfNames: ["other", "third"] },
    differs: "the kernel ends the kind with a NUL",
  },
  {
    command: "ip link set v0 netns /proc/self/ns/net",
    wire: `00000000 03000000 00000000 00000000 08001c00 04000000`,
    value: { family: AF_UNSPEC, type: 0, index: 3, flags: 0, change: 0, netnsFd: 4 },
  },
  {
    command: "ip link show dev v0 (its peer in another namespace)",
    from: "kernel",
    wire: `00000100 02000000 02100000 00000000 07000300 76300000 08000d00 e8030000 05001000 02000000 05001100 00000000
           05004300 00000000 08000400 dc050000 08003200 44000000 08003300 ffff0000 08001b00 00000000 08001e00 00000000
           08003d00 00000000 08001f00 02000000 08002800 ffff0000 08002900 00000100 08003a00 00000100 08003f00 00000100
           08004000 00000100 08003b00 f8ff0700 08003c00 ffff0000 08004200 00000000 08002000 02000000 05002100 00000000
           08002300 01000000 08002f00 00000000 08003000 01000000 06004400 00000000 06004500 00000000 05002700 00000000
           0a000100 92ef7317 6ad50000 0a000200 ffffffff ffff0000 cc001700 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 64000700 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 0c002b00 05000200
           00000000 10001200 09000100 76657468 00000000 08002500 00000000 08000500 02000000 09000600 6e6f6f70 00000000
           c0011a00 8c000200 88000100 00000000 00000000 00000000 01000000 01000000 01000000 01000000 00000000 01000000
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 00000000 00000000 00000000 00000000 10270000 e8030000 00000000 00000000 00000000 00000000 01000000
           30010a00 08000100 00000000 14000500 ffff0000 5dc70600 b8750000 e8030000 f4000200 00000000 40000000 dc050000
           01000000 01000000 01000000 01000000 ffffffff a00f0000 e8030000 00000000 803a0900 80510100 03000000 58020000
           10000000 00000000 01000000 01000000 01000000 60ea0000 00000000 00000000 00000000 00000000 00000000 00000000
           01000000 00000000 00000000 10270000 e8030000 01000000 00000000 00000000 01000000 00000000 00000000 01000000
           00000000 00000000 00000000 00000000 80ee3600 00000000 00000000 01000000 00000000 00000000 00000000 00000000
           00000000 00040000 00000000 ffff0000 ffffffff 01000000 00000000 00000000 00000000 14000700 00000000 00000000
           00000000 00000000 05000800 00000000 24000e00 00000000 00000000 00000000 00000000 00000000 00000000 00000000
           00000000 04003e80 04004180`,
    part: { ifName: "v0", linkNetnsId: 0 },
    differs: "the kernel ends the kind with a NUL",
  },
  {
    command: "ip link add br9 type bridge vlan_protocol 802.1ad vlan_stats_enabled 1 vlan_stats_per_port 1 fdb_flush",
    wire: `00000000 00000000 00000000 00000000 08000300 62723900 30001200 0a000100 62726964 67650000 20000200 06000800
           88a80000 05002900 01000000 05002d00 01000000 04001500`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      ifName: "br9",
      linkInfo: {
        kind: "bridge",
        data: { vlanProtocol: 0x88a8, vlanStatsEnabled: true, vlanStatsPerPort: true, fdbFlush: true },
      },
    },
  },
  {
    command: "ip link add vx9 type vxlan dstport 4789 gpe external vnifilter",
    wire: `00000000 00000000 00000000 00000000 08000300 76783900 38001200 09000100 76786c61 6e000000 28000200 04001b00
           05001900 01000000 05001e00 01000000 05000700 00000000 06000f00 12b50000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 0,
      flags: 0,
      change: 0,
      ifName: "vx9",
      linkInfo: {
        kind: "vxlan",
        data: { gpe: true, collectMetadata: true, vniFilter: true, learning: false, port: 4789 },
      },
    },
  },
  {
    command: "ip link set m0 type macvlan macaddr add 02:00:00:00:00:01",
    wire: `00000000 04000000 00000000 00000000 28001200 0b000100 6d616376 6c616e00 18000200 08000300 00000000 0a000400
           02000000 00010000`,
    value: {
      family: AF_UNSPEC,
      type: 0,
      index: 4,
      flags: 0,
      change: 0,
      linkInfo: { kind: "macvlan", data: { macMode: 0, mac: mac("02:00:00:00:00:01") } },
    },
  },
]);

golden(bridgePort, [
  {
    command: "ip link set v0 type bridge_slave hairpin on isolated on learning off (its IFLA_INFO_SLAVE_DATA)",
    wire: `05000400 01000000 05002100 01000000 05000800 00000000`,
    value: { hairpin: true, isolated: true, learning: false },
  },
  {
    command:
      "ip link set v0 type bridge_slave state 3 priority 8 cost 100 guard on fastleave on flood off mcast_flood off bcast_flood off neigh_suppress on locked on group_fwd_mask 8 (its IFLA_INFO_SLAVE_DATA)",
    wire: `05000100 03000000 06000200 08000000 08000300 64000000 05000500 01000000 05000700 01000000 05000900 00000000
           05001b00 00000000 05001e00 00000000 05002000 01000000 05002700 01000000 06001f00 08000000`,
    value: {
      state: BR_STATE_FORWARDING,
      priority: 8,
      cost: 100,
      bpduGuard: true,
      fastLeave: true,
      flood: false,
      multicastFlood: false,
      broadcastFlood: false,
      neighbourSuppress: true,
      locked: true,
      groupForwardMask: 8,
    },
  },
  {
    command: "ip link set v0 type bridge_slave backup_port v1 fdb_flush mcast_router 2 (its IFLA_INFO_SLAVE_DATA)",
    wire: `08002200 03000000 04001800 05001900 02000000`,
    value: { backupPort: 3, flush: true, multicastRouter: 2 },
  },
]);

golden(linkInfo, [
  {
    command: "ip link show dev cni0 (its IFLA_LINKINFO)",
    from: "kernel",
    wire: `0b000100 62726964 67650000 8c010200 0c001000 00000000 00000000 0c001100 00000000 00000000 0c001200 00000000
           00000000 0c001300 00000000 00000000 08000100 dc050000 08000200 c8000000 08000300 d0070000 08000400 30750000
           08000500 00000000 06000600 00800000 05000700 00000000 06000900 00000000 0c000b00 80000200 00000001 0c000a00
           80000200 00000001 06000c00 00000000 08000d00 00000000 05000e00 00000000 05000f00 00000000 0a001400 0180c200
           00000000 0c002e00 00000000 1f000000 08003000 00000000 08003100 00000000 05001600 01000000 05001700 01000000
           05001800 00000000 05001900 00000000 05002a00 00000000 08001a00 10000000 08001b00 00100000 08001c00 02000000
           08001d00 02000000 05002b00 02000000 05002c00 01000000 0c001e00 64000000 00000000 0c001f00 90650000 00000000
           0c002000 9c630000 00000000 0c002100 d4300000 00000000 0c002200 e8030000 00000000 0c002300 340c0000 00000000
           05002400 00000000 05002500 00000000 05002600 00000000`,
    value: {
      kind: "bridge",
      data: {
        helloTimer: 0n,
        tcnTimer: 0n,
        topologyChangeTimer: 0n,
        gcTimer: 0n,
        forwardDelay: 1500,
        helloTime: 200,
        maxAge: 2000,
        ageingTime: 30000,
        stpState: 0,
        priority: 32768,
        vlanFiltering: false,
        groupForwardMask: 0,
        bridgeId: hex("8000020000000001"),
        rootId: hex("8000020000000001"),
        rootPort: 0,
        rootPathCost: 0,
        topologyChange: 0,
        topologyChangeDetected: 0,
        groupAddress: mac("01:80:c2:00:00:00"),
        options: { values: 0, mask: 31 },
        fdbLearned: 0,
        fdbMaxLearned: 0,
        multicastRouter: 1,
        multicastSnooping: true,
        multicastQueryUseAddress: false,
        multicastQuerier: false,
        multicastStatsEnabled: false,
        multicastHashElasticity: 16,
        multicastHashMax: 4096,
        multicastLastMemberCount: 2,
        multicastStartupQueryCount: 2,
        multicastIgmpVersion: 2,
        multicastMldVersion: 1,
        multicastLastMemberInterval: 100n,
        multicastMembershipInterval: 26000n,
        multicastQuerierInterval: 25500n,
        multicastQueryInterval: 12500n,
        multicastQueryResponseInterval: 1000n,
        multicastStartupQueryInterval: 3124n,
        callIptables: false,
        callIp6tables: false,
        callArptables: false,
      },
    },
    differs: "the kernel ends the kind with a NUL",
  },
  {
    command: "ip link show dev v0 (its IFLA_LINKINFO)",
    from: "kernel",
    wire: `09000100 76657468 00000000 0b000400 62726964 67650000 50010500 05000100 00000000 06000200 20000000 08000300
           02000000 05000400 00000000 05000500 00000000 05000600 00000000 05000700 00000000 05001c00 00000000 05000800
           01000000 05000900 01000000 05001b00 01000000 05001e00 01000000 05000a00 00000000 05000c00 00000000 0c000d00
           80000200 00000001 0c000e00 80000200 00000001 06000f00 01800000 06001000 00000000 06001100 01800000 06001200
           01000000 05001300 00000000 05001400 00000000 05001d00 00000000 06001f00 00000000 05002000 00000000 05002300
           00000000 05002400 00000000 05002100 00000000 05002700 00000000 05002800 00000000 05002b00 00000000 0c001500
           00000000 00000000 0c001600 00000000 00000000 0c001700 00000000 00000000 05001900 01000000 08002500 00020000
           08002600 00000000 08002900 00000000 08002a00 00000000`,
    value: {
      kind: "veth",
      slaveKind: "bridge",
      slaveData: {
        state: 0,
        priority: 32,
        cost: 2,
        hairpin: false,
        bpduGuard: false,
        rootBlock: false,
        fastLeave: false,
        multicastToUnicast: false,
        learning: true,
        flood: true,
        multicastFlood: true,
        broadcastFlood: true,
        proxyArp: false,
        proxyArpWifi: false,
        rootId: hex("8000020000000001"),
        bridgeId: hex("8000020000000001"),
        designatedPort: 32769,
        designatedCost: 0,
        id: 32769,
        number: 1,
        topologyChangeAck: 0,
        configPending: 0,
        vlanTunnel: false,
        groupForwardMask: 0,
        neighbourSuppress: false,
        mrpRingOpen: false,
        mrpInOpen: false,
        isolated: false,
        locked: false,
        macAuthBypass: false,
        neighbourVlanSuppress: false,
        messageAgeTimer: 0n,
        forwardDelayTimer: 0n,
        holdTimer: 0n,
        multicastRouter: 1,
        multicastEhtHostsLimit: 512,
        multicastEhtHostsCount: 0,
        multicastGroups: 0,
        multicastMaxGroups: 0,
      },
    },
    differs: "the kernel ends the kind with a NUL",
  },
  {
    command: "ip link show dev vx0 (its IFLA_LINKINFO)",
    from: "kernel",
    wire: `0a000100 76786c61 6e000000 d8000200 08000100 01000000 08000300 03000000 08000400 0a000001 05000500 00000000
           05001c00 00000000 05000600 00000000 05001d00 00000000 08001a00 00000000 08002000 00000000 05000700 00000000
           05000b00 00000000 05000c00 00000000 05000d00 00000000 05000e00 00000000 05001900 00000000 08000800 2c010000
           08000900 00000000 06000f00 21180000 05001200 01000000 05001300 00000000 05001400 00000000 05001500 00000000
           05001600 00000000 05001f00 01000000 08000a00 00000000 0c002100 f7ffffff 000000ff`,
    value: {
      kind: "vxlan",
      data: {
        id: 1,
        link: 3,
        local: ip("10.0.0.1"),
        ttl: 0,
        ttlInherit: false,
        tos: 0,
        dontFragment: 0,
        label: 0,
        labelPolicy: 0,
        learning: false,
        proxy: false,
        routeShortCircuit: false,
        l2Miss: false,
        l3Miss: false,
        collectMetadata: false,
        ageingSeconds: 300,
        limit: 0,
        port: 8472,
        udpChecksum: true,
        udpZeroChecksum6Tx: false,
        udpZeroChecksum6Rx: false,
        remoteChecksumTx: false,
        remoteChecksumRx: false,
        localBypass: true,
        sourcePorts: { low: 0, high: 0 },
        reservedBits: hex("f7ffffff000000ff"),
      },
    },
    oneWay: "the kernel tells in a byte that a flag is not set, and takes any byte for a set one",
  },
  {
    command: "ip link show dev vxi (its IFLA_LINKINFO)",
    from: "kernel",
    wire: `0a000100 76786c61 6e000000 d8000200 08000100 05000000 08000200 ef010101 08000300 03000000 05000500 00000000
           05001c00 01000000 05000600 00000000 05001d00 00000000 08001a00 00000000 08002000 00000000 05000700 01000000
           05000b00 00000000 05000c00 00000000 05000d00 00000000 05000e00 00000000 05001900 00000000 08000800 2c010000
           08000900 00000000 06000f00 12b50000 05001200 01000000 05001300 00000000 05001400 00000000 05001500 00000000
           05001600 00000000 05001f00 01000000 08000a00 00000000 0c002100 f7ffffff 000000ff`,
    value: {
      kind: "vxlan",
      data: {
        id: 5,
        group: ip("239.1.1.1"),
        link: 3,
        ttl: 0,
        ttlInherit: true,
        tos: 0,
        dontFragment: 0,
        label: 0,
        labelPolicy: 0,
        learning: true,
        proxy: false,
        routeShortCircuit: false,
        l2Miss: false,
        l3Miss: false,
        collectMetadata: false,
        ageingSeconds: 300,
        limit: 0,
        port: 4789,
        udpChecksum: true,
        udpZeroChecksum6Tx: false,
        udpZeroChecksum6Rx: false,
        remoteChecksumTx: false,
        remoteChecksumRx: false,
        localBypass: true,
        sourcePorts: { low: 0, high: 0 },
        reservedBits: hex("f7ffffff000000ff"),
      },
    },
    differs: "the kernel ends the kind with a NUL and tells flags as bytes",
  },
  {
    command: "ip link show dev m0 (its IFLA_LINKINFO)",
    from: "kernel",
    wire: `0c000100 6d616376 6c616e00 2c000200 08000100 04000000 06000200 00000000 08000600 00000000 08000700 e8030000
           08000800 e8030000`,
    value: {
      kind: "macvlan",
      data: {
        mode: MACVLAN_MODE_BRIDGE,
        flags: 0,
        macCount: 0,
        broadcastQueueLength: 1000,
        broadcastQueueLengthUsed: 1000,
      },
    },
    differs: "the kernel ends the kind with a NUL",
  },
  {
    command: "ip link show dev tap0 (its IFLA_LINKINFO)",
    from: "kernel",
    wire: `08000100 74756e00 44000200 05000300 02000000 08000100 e8030000 05000400 00000000 05000500 01000000 05000600
           01000000 05000700 01000000 08000800 00000000 08000900 00000000`,
    value: {
      kind: "tun",
      data: {
        type: IFF_TAP,
        owner: 1000,
        packetInformation: false,
        vnetHeader: true,
        persist: true,
        multiQueue: true,
        queues: 0,
        disabledQueues: 0,
      },
    },
    differs: "the kernel ends the kind with a NUL",
  },
]);
