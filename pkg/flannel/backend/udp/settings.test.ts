import t from "tap";
import { innerMtu, segmentsPerSend, socketOf, udpPort } from "./settings.ts";

t.test("the port is flannel's unless another is given; 0 is none that peers could send to", async (t) => {
  t.strictSame([udpPort({}), udpPort({ Type: "udp", Port: 9000 })], [8285, 9000]);
  t.throws(() => udpPort({ Port: 0 }), {
    message:
      'the network configuration cannot be used: "Backend.Port" is 0, must be from 1 to 65535 with udp: all hosts send to the same port; remove it for 8285, or choose one for all hosts',
  });
});

t.test("where the daemon's own socket has room, so has that of the data path", async (t) => {
  t.ok(socketOf("/run/flannel/subnet").length <= "/run/flannel/subnet.sock".length);
});

t.test("containers have 28 bytes less than the interface, and at least the 576 of RFC 791", async (t) => {
  t.strictSame(
    [1500, 9000, 604].map((mtu) => innerMtu({ name: "eth0", mtu })),
    [1472, 8972, 576],
  );
  t.throws(() => innerMtu({ name: "eth0", mtu: 603 }), {
    message:
      "the network configuration cannot be used: an MTU of 603 (eth0) leaves 575 bytes for packets in UDP, at least 576 are needed; raise it to 604 or more: ip link set eth0 mtu 604",
  });
});

t.test("what the kernel hands over at once fits into one send: 64 segments, 65507 bytes", async (t) => {
  t.strictSame([1472, 8972, 576].map(segmentsPerSend), [44, 7, 64]);
});
