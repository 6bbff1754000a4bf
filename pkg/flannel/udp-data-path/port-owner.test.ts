import t from "tap";
import { inodeOf } from "./port-owner.ts";

// cat /proc/net/udp, with flannel on 192.168.77.1:8285
const table = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  103: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 16262 2 0000000000000000 0
 8216: 014DA8C0:205D 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 20485 2 0000000000000000 0
`;

t.test("the socket of a port is found by its inode", async (t) => {
  t.equal(inodeOf(table, 8285), "20485");
  t.equal(inodeOf(table, 68), "16262");
  t.equal(inodeOf(table, 2), undefined);
});
