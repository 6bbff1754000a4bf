// What a kernel refuses that lacks something, from a fake one: there is no link yet, and to make one is refused.
import t from "tap";
import { logOf } from "../../../cluster/log/log.ts";
import { Connection } from "../../../netlink/connection.ts";
import { decodeNlmsgs, encodeNlmsg, NLMSG_ERROR, type Nlmsg } from "../../../netlink/nlmsg.ts";
import { RTM_GETLINK } from "../../../netlink/rtnetlink/link.ts";
import { Errno, type ErrnoName } from "../../../sys/errno.ts";
import { type DeviceSettings, ensureDevice } from "./device.ts";

function kernelThatRefuses(errno: number): Connection {
  const waiting: Uint8Array[] = [];
  return new Connection({
    fd: -1,
    send(datagram) {
      for (const one of decodeNlmsgs(datagram))
        waiting.push(refusal(one, one.type === RTM_GETLINK ? Errno.ENODEV : errno));
    },
    receive: () => waiting.shift() ?? new Uint8Array(),
    receiveArrived: () => waiting.shift(),
    close: () => {},
  });
}

function refusal({ sequence }: Nlmsg, errno: number): Uint8Array {
  const body = new DataView(new ArrayBuffer(20));
  body.setInt32(0, -errno, true);
  body.setUint32(4, 16, true);
  return encodeNlmsg({ type: NLMSG_ERROR, flags: 0x100, sequence }, new Uint8Array(body.buffer));
}

const settings: DeviceSettings = {
  name: "flannel.1",
  vni: 1,
  parent: 2,
  local: Uint8Array.of(192, 0, 2, 1),
  port: 0,
  learning: false,
  gbp: false,
  mtu: 1450,
  mac: undefined,
  publishedMac: undefined,
};

const reasons: [ErrnoName, string][] = [
  [
    "EOPNOTSUPP",
    "this kernel lacks vxlan (CONFIG_VXLAN); load the module: modprobe vxlan (Ubuntu on a Raspberry Pi: apt install linux-modules-extra-raspi)",
  ],
  ["EPERM", "not permitted; flanneld needs CAP_NET_ADMIN in the host's network namespace"],
  ["ENODEV", "the external interface (index 2) is gone; flanneld retries until it is back"],
  ["EIO", "RTM_NEWLINK: EIO"],
];
for (const [name, reason] of reasons) {
  t.test(`${name} is said in words`, async (t) => {
    t.throws(
      () =>
        ensureDevice(
          kernelThatRefuses(Errno[name]),
          settings,
          logOf(() => {}),
        ),
      {
        message: `cannot create the device "flannel.1": ${reason}`,
      },
    );
  });
}
