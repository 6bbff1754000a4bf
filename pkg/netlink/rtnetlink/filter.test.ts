import { golden, hex } from "../golden.testing.ts";
import { AF_UNSPEC } from "./family.ts";
import {
  TC_ACT_OK,
  TC_ACT_PIPE,
  TC_ACT_SHOT,
  TC_ACT_STOLEN,
  TCA_EGRESS_MIRROR,
  TCA_EGRESS_REDIR,
} from "./filter/action.ts";
import { TC_U32_TERMINAL } from "./filter/u32.ts";
import { ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, filterMessage } from "./filter.ts";

golden(filterMessage, [
  {
    command: "tc filter add dev v0 parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev v1",
    wire: `00000000 03000000 00000000 0000ffff 00030000 08000100 75333200 60000200 38000700 34000100 0b000100 6d697272
           65640000 24000280 20000200 00000000 00000000 04000000 00000000 00000000 01000000 02000000 24000500 01000100
           00000000 00000000 00000000 00000000 00000000 00000000 00000000`,
    value: {
      family: AF_UNSPEC,
      index: 3,
      handle: 0,
      parent: 0xffff0000,
      protocol: ETH_P_ALL,
      priority: 0,
      kind: "u32",
      options: {
        actions: [
          {
            kind: "mirred",
            options: {
              parameters: {
                index: 0,
                capabilities: 0,
                action: TC_ACT_STOLEN,
                references: 0,
                bindings: 0,
                direction: TCA_EGRESS_REDIR,
                outputIndex: 2,
              },
            },
          },
        ],
        selector: {
          flags: TC_U32_TERMINAL,
          offsetShift: 0,
          keyCount: 1,
          offsetMask: 0,
          offset: 0,
          offsetOffset: 0,
          hashOffset: 0,
          hashMask: hex("00000000"),
          keys: [{ mask: hex("00000000"), value: hex("00000000"), offset: 0, offsetMask: 0 }],
        },
      },
    },
  },
  {
    command: "tc filter add dev v0 ingress prio 10 protocol ip matchall action mirred egress mirror dev v1",
    wire: `00000000 03000000 00000000 f2ffffff 08000a00 0d000100 6d617463 68616c6c 00000000 3c000200 38000200 34000100
           0b000100 6d697272 65640000 24000280 20000200 00000000 00000000 03000000 00000000 00000000 02000000 02000000`,
    value: {
      family: AF_UNSPEC,
      index: 3,
      handle: 0,
      parent: 0xfffffff2,
      protocol: ETH_P_IP,
      priority: 10,
      kind: "matchall",
      options: {
        actions: [
          {
            kind: "mirred",
            options: {
              parameters: {
                index: 0,
                capabilities: 0,
                action: TC_ACT_PIPE,
                references: 0,
                bindings: 0,
                direction: TCA_EGRESS_MIRROR,
                outputIndex: 2,
              },
            },
          },
        ],
      },
    },
  },
  {
    command:
      "tc filter add dev v0 parent 1: protocol ip prio 1 u32 match ip dst 10.0.0.0/24 match ip protocol 6 0xff flowid 1:10",
    wire: `00000000 03000000 00000000 00000100 08000100 08000100 75333200 40000200 08000100 10000100 34000500 01000200
           00000000 00000000 00000000 ffffff00 0a000000 10000000 00000000 00ff0000 00060000 08000000 00000000`,
    value: {
      family: AF_UNSPEC,
      index: 3,
      handle: 0,
      parent: 0x10000,
      protocol: ETH_P_IP,
      priority: 1,
      kind: "u32",
      options: {
        classId: 0x10010,
        selector: {
          flags: TC_U32_TERMINAL,
          offsetShift: 0,
          keyCount: 2,
          offsetMask: 0,
          offset: 0,
          offsetOffset: 0,
          hashOffset: 0,
          hashMask: hex("00000000"),
          keys: [
            { mask: hex("ffffff00"), value: hex("0a000000"), offset: 16, offsetMask: 0 },
            { mask: hex("00ff0000"), value: hex("00060000"), offset: 8, offsetMask: 0 },
          ],
        },
      },
    },
  },
  {
    command: "tc filter add dev v0 ingress protocol ipv6 prio 5 u32 match u32 0 0 action drop action pass",
    wire: `00000000 03000000 00000000 f2ffffff 86dd0500 08000100 75333200 84000200 5c000700 2c000100 09000100 67616374
           00000000 1c000280 18000200 00000000 00000000 02000000 00000000 00000000 2c000200 09000100 67616374 00000000
           1c000280 18000200 00000000 00000000 00000000 00000000 00000000 24000500 01000100 00000000 00000000 00000000
           00000000 00000000 00000000 00000000`,
    value: {
      family: AF_UNSPEC,
      index: 3,
      handle: 0,
      parent: 0xfffffff2,
      protocol: ETH_P_IPV6,
      priority: 5,
      kind: "u32",
      options: {
        actions: [
          {
            kind: "gact",
            options: { parameters: { index: 0, capabilities: 0, action: TC_ACT_SHOT, references: 0, bindings: 0 } },
          },
          {
            kind: "gact",
            options: { parameters: { index: 0, capabilities: 0, action: TC_ACT_OK, references: 0, bindings: 0 } },
          },
        ],
        selector: {
          flags: TC_U32_TERMINAL,
          offsetShift: 0,
          keyCount: 1,
          offsetMask: 0,
          offset: 0,
          offsetOffset: 0,
          hashOffset: 0,
          hashMask: hex("00000000"),
          keys: [{ mask: hex("00000000"), value: hex("00000000"), offset: 0, offsetMask: 0 }],
        },
      },
    },
  },
  {
    command: "tc filter del dev v0 ingress prio 10",
    wire: `00000000 03000000 00000000 f2ffffff 00000a00`,
    value: { family: AF_UNSPEC, index: 3, handle: 0, parent: 0xfffffff2, protocol: 0, priority: 10 },
  },
  {
    command: "tc filter show dev v0 ingress",
    from: "kernel",
    wire: `00000000 03000000 00080080 0000ffff 000300c0 08000100 75333200 08000b00 00000000 e0000200 24000500 01000100
           00000000 00000000 00000000 00000000 00000000 00000000 00000000 08000200 00000080 08000b00 08000000 a8000700
           a4000100 0b000100 6d697272 65640000 44000400 14000100 08d59300 00000000 f6f10100 00000000 14000700 00000000
           00000000 00000000 00000000 18000300 00000000 00000000 00000000 00000000 00000000 08000a00 00000000 48000200
           20000200 01000000 00000000 04000000 01000000 01000000 01000000 02000000 24000100 02000000 00000000 00000000
           00000000 00000000 00000000 01000000 00000000`,
    value: {
      family: AF_UNSPEC,
      index: 3,
      handle: 0x80000800,
      parent: 0xffff0000,
      protocol: ETH_P_ALL,
      priority: 49152,
      kind: "u32",
      chain: 0,
      options: {
        selector: {
          flags: TC_U32_TERMINAL,
          offsetShift: 0,
          keyCount: 1,
          offsetMask: 0,
          offset: 0,
          offsetOffset: 0,
          hashOffset: 0,
          hashMask: hex("00000000"),
          keys: [{ mask: hex("00000000"), value: hex("00000000"), offset: 0, offsetMask: 0 }],
        },
        hash: 0x80000000,
        flags: 8,
        actions: [
          {
            kind: "mirred",
            stats: hex(
              "1400010008d5930000000000f6f10100000000001400070000000000000000000000000000000000180003000000000000000000000000000000000000000000",
            ),
            inHardwareCount: 0,
            options: {
              parameters: {
                index: 1,
                capabilities: 0,
                action: TC_ACT_STOLEN,
                references: 1,
                bindings: 1,
                direction: TCA_EGRESS_REDIR,
                outputIndex: 2,
              },
              times: hex("0200000000000000000000000000000000000000000000000100000000000000"),
            },
          },
        ],
      },
    },
    unflagged: true,
  },
  {
    command: "tc filter add dev v0 ingress prio 3 protocol all matchall skip_hw classid 1:5",
    wire: `00000000 03000000 00000000 f2ffffff 00030300 0d000100 6d617463 68616c6c 00000000 14000200 08000100 05000100
           08000300 01000000`,
    value: {
      family: AF_UNSPEC,
      index: 3,
      handle: 0,
      parent: 0xfffffff2,
      protocol: ETH_P_ALL,
      priority: 3,
      kind: "matchall",
      options: { classId: 0x10005, flags: 1 },
    },
  },
  {
    command: "tc filter add dev v0 parent 1: protocol ip prio 9 handle 2: u32 divisor 256",
    wire: `00000000 03000000 00002000 00000100 08000900 08000100 75333200 0c000200 08000400 00010000`,
    value: {
      family: AF_UNSPEC,
      index: 3,
      handle: 0x200000,
      parent: 0x10000,
      protocol: ETH_P_IP,
      priority: 9,
      kind: "u32",
      options: { divisor: 256 },
    },
  },
  {
    command:
      "tc filter add dev v0 parent 1: protocol ip prio 9 u32 ht 800:: match ip dst 10.0.0.0/24 match mark 5 0xff indev v1 link 2: hashkey mask 0x000000ff at 16",
    wire: `00000000 03000000 00000000 00000100 08000900 08000100 75333200 50000200 10000a00 05000000 ff000000 6fda3e8f
           07000800 76310000 08000300 00002000 08000200 00000080 24000500 00000100 00000000 00001000 000000ff ffffff00
           0a000000 10000000 00000000`,
    value: {
      family: AF_UNSPEC,
      index: 3,
      handle: 0,
      parent: 0x10000,
      protocol: ETH_P_IP,
      priority: 9,
      kind: "u32",
      options: {
        mark: { value: 5, mask: 255, successes: 2403261039 },
        inputName: "v1",
        link: 0x200000,
        hash: 0x80000000,
        selector: {
          flags: 0,
          offsetShift: 0,
          keyCount: 1,
          offsetMask: 0,
          offset: 0,
          offsetOffset: 0,
          hashOffset: 16,
          hashMask: hex("000000ff"),
          keys: [{ mask: hex("ffffff00"), value: hex("0a000000"), offset: 16, offsetMask: 0 }],
        },
      },
    },
  },
]);
