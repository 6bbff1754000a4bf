import { golden, hex, mac } from "../golden.testing.ts";
import {
  BRIDGE_FLAGS_MASTER,
  BRIDGE_FLAGS_SELF,
  BRIDGE_VLAN_INFO_PVID,
  BRIDGE_VLAN_INFO_RANGE_BEGIN,
  BRIDGE_VLAN_INFO_RANGE_END,
  BRIDGE_VLAN_INFO_UNTAGGED,
  bridgeLinkMessage,
} from "./bridge-link.ts";
import { AF_BRIDGE } from "./family.ts";
import { BR_STATE_FORWARDING } from "./link/bridge-port.ts";
import { RTEXT_FILTER_BRVLAN } from "./link.ts";

golden(bridgeLinkMessage, [
  {
    command: "bridge link set dev v0 hairpin on",
    wire: `07000000 04000000 00000000 00000000 0c000c80 05000400 01000000`,
    value: { family: AF_BRIDGE, type: 0, index: 4, flags: 0, change: 0, port: { hairpin: true } },
  },
  {
    command:
      "bridge link set dev v0 isolated on learning off flood off mcast_flood off neigh_suppress on state 3 cost 9 priority 3",
    wire: `07000000 04000000 00000000 00000000 44000c80 05000900 00000000 05001b00 00000000 05000800 00000000 08000300
           09000000 06000200 03000000 05000100 03000000 05002000 01000000 05002100 01000000`,
    value: {
      family: AF_BRIDGE,
      type: 0,
      index: 4,
      flags: 0,
      change: 0,
      port: {
        flood: false,
        multicastFlood: false,
        learning: false,
        cost: 9,
        priority: 3,
        state: BR_STATE_FORWARDING,
        neighbourSuppress: true,
        isolated: true,
      },
    },
  },
  {
    command: "bridge link set dev v0 master guard on",
    wire: `07000000 04000000 00000000 00000000 0c000c80 05000500 01000000 0c001a00 06000000 01000000`,
    value: {
      family: AF_BRIDGE,
      type: 0,
      index: 4,
      flags: 0,
      change: 0,
      port: { bpduGuard: true },
      bridge: { flags: BRIDGE_FLAGS_MASTER },
    },
  },
  {
    command: "bridge link set dev v0 self hairpin off",
    wire: `07000000 04000000 00000000 00000000 0c000c80 05000400 00000000 0c001a00 06000000 02000000`,
    value: {
      family: AF_BRIDGE,
      type: 0,
      index: 4,
      flags: 0,
      change: 0,
      port: { hairpin: false },
      bridge: { flags: BRIDGE_FLAGS_SELF },
    },
  },
  {
    command: "bridge vlan add dev v0 vid 10 pvid untagged",
    wire: `07000000 04000000 00000000 00000000 0c001a00 08000200 06000a00`,
    value: {
      family: AF_BRIDGE,
      type: 0,
      index: 4,
      flags: 0,
      change: 0,
      bridge: { vlans: [{ flags: BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED, id: 10 }] },
    },
  },
  {
    command: "bridge vlan add dev v0 vid 100-200",
    wire: `07000000 04000000 00000000 00000000 14001a00 08000200 08006400 08000200 1000c800`,
    value: {
      family: AF_BRIDGE,
      type: 0,
      index: 4,
      flags: 0,
      change: 0,
      bridge: {
        vlans: [
          { flags: BRIDGE_VLAN_INFO_RANGE_BEGIN, id: 100 },
          { flags: BRIDGE_VLAN_INFO_RANGE_END, id: 200 },
        ],
      },
    },
  },
  {
    command: "bridge vlan add dev cni0 vid 10 self",
    wire: `07000000 02000000 00000000 00000000 14001a00 06000000 02000000 08000200 00000a00`,
    value: {
      family: AF_BRIDGE,
      type: 0,
      index: 2,
      flags: 0,
      change: 0,
      bridge: { flags: BRIDGE_FLAGS_SELF, vlans: [{ flags: 0, id: 10 }] },
    },
  },
  {
    command: "bridge vlan del dev v0 vid 1",
    wire: `07000000 04000000 00000000 00000000 0c001a00 08000200 00000100`,
    value: { family: AF_BRIDGE, type: 0, index: 4, flags: 0, change: 0, bridge: { vlans: [{ flags: 0, id: 1 }] } },
  },
  {
    command: "bridge link show dev v0",
    from: "kernel",
    wire: `07000100 04000000 02100000 00000000 07000300 76300000 08000a00 02000000 08000400 dc050000 05001000 02000000
           0a000100 a2328047 2d300000 08000500 03000000 50010c80 05000100 00000000 06000200 20000000 08000300 02000000
           05000400 00000000 05000500 00000000 05000600 00000000 05000700 00000000 05001c00 00000000 05000800 01000000
           05000900 01000000 05001b00 01000000 05001e00 01000000 05000a00 00000000 05000c00 00000000 0c000d00 8000a232
           80472d30 0c000e00 8000a232 80472d30 06000f00 01800000 06001000 00000000 06001100 01800000 06001200 01000000
           05001300 00000000 05001400 00000000 05001d00 00000000 06001f00 00000000 05002000 00000000 05002300 00000000
           05002400 00000000 05002100 00000000 05002700 00000000 05002800 00000000 05002b00 00000000 0c001500 00000000
           00000000 0c001600 00000000 00000000 0c001700 00000000 00000000 05001900 01000000 08002500 00020000 08002600
           00000000 08002900 00000000 08002a00 00000000`,
    value: {
      family: AF_BRIDGE,
      type: 1,
      index: 4,
      flags: 4098,
      change: 0,
      ifName: "v0",
      master: 2,
      mtu: 1500,
      operState: 2,
      address: mac("a2:32:80:47:2d:30"),
      link: 3,
      port: {
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
        rootId: hex("8000a23280472d30"),
        bridgeId: hex("8000a23280472d30"),
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
  },
  {
    command: "bridge vlan show",
    wire: `07000000 00000000 00000000 00000000 08001d00 02000000`,
    value: { family: AF_BRIDGE, type: 0, index: 0, flags: 0, change: 0, extMask: RTEXT_FILTER_BRVLAN },
  },
]);
