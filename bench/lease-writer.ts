// Writes leases of made-up hosts into etcd, from inside the namespace that reaches it.   node lease-writer.ts ENDPOINT PREFIX
//
// Reads "put N", "delete N" and "fill COUNT", a line each; answers "began N MS" before it asks etcd, on the machine's monotonic clock, and "filled".
import { createInterface } from "node:readline";
import type { Subnets } from "../pkg/cluster/lease/lease.ts";
import { logOf } from "../pkg/cluster/log/log.ts";
import { openEtcdStore } from "../pkg/cluster/store/etcd/etcd.ts";
import { parsePrefix } from "../pkg/ip/address.ts";
import { monotonicMs } from "../pkg/sys/clock.ts";

const LEASE_MS = 3600_000;
const AT_ONCE = 100;

const [endpoint = "", prefix = ""] = process.argv.slice(2);
const store = openEtcdStore({ endpoints: [endpoint], prefix, log: logOf(() => {}) });
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, number] = line.split(" ");
  if (verb === "put") {
    console.log(`began ${number} ${monotonicMs()}`);
    await put(Number(number));
  } else if (verb === "delete") {
    await store.delete(subnetsOf(Number(number)));
  } else {
    await fill(Number(number));
    console.log("filled");
  }
}

async function fill(count: number): Promise<void> {
  for (let first = 0; first < count; first += AT_ONCE) {
    const size = Math.min(AT_ONCE, count - first);
    await Promise.all(Array.from({ length: size }, (_, i) => put(first + i)));
  }
}

async function put(number: number): Promise<void> {
  const [high, low] = [number >> 8, number & 0xff];
  const VtepMAC = [2, 0, 0, 0, high, low].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
  const publicIP = new Uint8Array([172, 16, high, low]);
  await store.put(subnetsOf(number), { publicIP, backendType: "vxlan", backendData: { VNI: 1, VtepMAC } }, LEASE_MS);
}

/** Above 10.1.0.0: the network gives out what is below. */
function subnetsOf(number: number): Subnets {
  const ipv4 = parsePrefix(`10.${1 + (number >> 8)}.${number & 0xff}.0/24`);
  if (ipv4 === undefined) throw new RangeError(`no subnet for host ${number}`);
  return { ipv4 };
}
