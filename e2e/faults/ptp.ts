// ptp with host-local and masquerade, as the fault tests call it.
import { newHost } from "../host.ts";
import type { Subject } from "./faults.ts";

const conf = {
  cniVersion: "1.1.0",
  name: "net",
  type: "ptp",
  ipMasq: true,
  ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] },
};

export const ptp = (t: Parameters<typeof newHost>[0]): Subject => ({ node: newHost(t), plugin: "ptp", conf });
