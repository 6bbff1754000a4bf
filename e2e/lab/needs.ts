// What a test asks of the machine: `t.test("a claim", needsKernel("vlan_filtering"), async (t) => ...)`.
//
// A test that this kernel cannot run is skipped with the reason, and runs on the complete kernel (e2e/kernels), where
// TWILL_LAB is set: there the tests that the machine's kernel can run are skipped, and a missing feature is an error.
import { spawnSync } from "node:child_process";
import { release } from "node:os";

/** Each with the commands that succeed, in an empty network namespace, where the kernel has it. */
const features = {
  dummy: "ip link add p0 type dummy",
  vlan_filtering: "ip link add p0 type bridge vlan_filtering 1",
  vlan: "ip link add p0 type veth && ip link add link p0 name p1 type vlan id 2",
  macvlan: "ip link add p0 type veth && ip link add link p0 name p1 type macvlan",
  ipvlan: "ip link add p0 type veth && ip link add link p0 name p1 type ipvlan",
  vrf: "ip link add p0 type vrf table 10",
  vxlan: "ip link add p0 type vxlan id 1 dstport 4789",
  ifb: "ip link add p0 type ifb",
  ipip: "ip link add p0 type ipip remote 192.0.2.1",
  geneve: "ip link add p0 type geneve id 1 remote 192.0.2.1",
  wireguard: "ip link add p0 type wireguard",
  netem: "ip link add p0 type veth && tc qdisc add dev p0 root netem delay 1ms",
  tbf: "ip link add p0 type veth && tc qdisc add dev p0 root tbf rate 1mbit burst 10k latency 10ms",
  nft_bridge: "nft add table bridge t && nft 'add chain bridge t c { type filter hook prerouting priority -300; }'",
  nft_inet_nat: "nft add table inet t && nft 'add chain inet t c { type nat hook postrouting priority 100; }'",
  spare_nics: 'test "$TWILL_LAB" = 1 && modprobe virtio_net', // of the guest, see kernels/run.ts: nobody else's
  yama: 'test "$TWILL_LAB" = 1 && modprobe tun && test -e /proc/sys/kernel/yama/ptrace_scope', // a setting of the whole machine: only the guest's is changed
  iptables_nat: "iptables -w -t nat -A POSTROUTING -m comment --comment x -j MASQUERADE",
} as const;
export type Feature = keyof typeof features;

/** What `t.test` takes as its options. */
export interface Need {
  skip: string | false;
}

/** Whether this is the complete kernel, where everything takes ten times as long. */
export const inLab = process.env["TWILL_LAB"] === "1";

/** Whether this is `npm run test:long`. */
export const inLongRun = process.env["TWILL_LONG"] === "1";

/** Whether this is `npm run test:all`, or one that has all of it. */
export const inFullRun = inLongRun || inLab || process.env["TWILL_ALL"] === "1";

/** For tests that show again, with other keys or in another order, what others of the same plugin have shown: `npm test` leaves them out. */
export function inFullRunOnly(need: Need): Need {
  return inFullRun || need.skip !== false ? need : { skip: "runs in npm run test:all" };
}

/** For tests that repeat what others have shown, with more of the same or for minutes: npm run test:long alone runs them. */
export function inLongRunOnly(need: Need): Need {
  return inLongRun ? need : { skip: "runs in npm run test:long" };
}

/** For tests whose claim others show on this kernel, where they are fast: on the complete one, npm run test:long alone runs them. */
export function inLongRunOnCompleteKernel(need: Need): Need {
  const isForOtherKernel = need.skip !== needsRoot.skip;
  return isForOtherKernel ? inLongRunOnly(need) : need;
}

/** For tests that make namespaces and links of kinds that every kernel has. */
export const needsRoot: Need = { skip: inLab ? "runs on the machine's own kernel" : lacksRoot() };

/** For tests that also need these features. Each is tried out once per process. */
export function needsKernel(...wanted: readonly Feature[]): Need {
  if (wanted.length === 0) return needsRoot;
  const unprivileged = lacksRoot();
  if (unprivileged) return { skip: unprivileged };
  if (inLab && !wanted.some(isForLab)) return needsRoot;
  const missing = wanted.filter((feature) => !has(feature));
  if (missing.length === 0) return { skip: false };
  if (inLab) throw new Error(`the complete kernel ${release()} lacks ${missing.join(", ")}: no kernel runs this test`);
  return { skip: `kernel ${release()} lacks ${missing.join(", ")}: runs in npm run test:kernel` };
}

/** What this kernel lacks: the complete one is told, and runs what needs one of these. */
export function lackingFeatures(): Feature[] {
  return (Object.keys(features) as Feature[]).filter((feature) => !has(feature));
}

/** The machine's kernel lacks it. Where it lacks nothing, everything that names a feature runs on both. */
function isForLab(feature: Feature): boolean {
  const lacking = (process.env["TWILL_LACKING"] ?? "").split(" ").filter(Boolean);
  return lacking.length === 0 || lacking.includes(feature);
}

function lacksRoot(): string | false {
  return process.getuid?.() === 0 ? false : "needs root, to make network namespaces";
}

const known = new Map<Feature, boolean>();

function has(feature: Feature): boolean {
  let answer = known.get(feature);
  if (answer === undefined) {
    answer = spawnSync("unshare", ["--net", "sh", "-c", features[feature]], { stdio: "ignore" }).status === 0;
    known.set(feature, answer);
  }
  return answer;
}
