// A host as a member of the cluster, in this process, on sockets of a throw-away namespace: what it does when its interface changes.
import t, { type Test } from "tap";
import { startController, watchRoutes } from "../../cmd/flanneld/controller.ts";
import { leaseAttributes } from "../../cmd/flanneld/interface-follower.ts";
import { createMetrics } from "../../cmd/flanneld/metrics.ts";
import { FakeClock } from "../../pkg/cluster/event-loop/clock.testing.ts";
import { attributesOf, FakeStore, network, silent, subnets } from "../../pkg/cluster/lease/fake.testing.ts";
import { leaseOf } from "../../pkg/cluster/lease/lease.ts";
import { createStoreManager, storeRemedies } from "../../pkg/cluster/lease/store-manager.ts";
import type { Backend, ExternalInterface } from "../../pkg/flannel/backend/backend.ts";
import { createBackend } from "../../pkg/flannel/backend/create-backend.ts";
import { selectExternalInterface } from "../../pkg/flannel/backend/interface/external-interface.ts";
import { openRtnetlink } from "../../pkg/link/link.ts";
import { NetlinkError } from "../../pkg/netlink/connection.ts";
import { Errno } from "../../pkg/sys/errno.ts";
import { openNamespace, within } from "../../pkg/sys/namespace.ts";
import { until } from "../cluster/until.ts";
import { type Host, newHost } from "../lab/host.ts";
import { needsKernel } from "../lab/needs.ts";

/** One of our own: settings under /proc/sys would be those of this machine's device of that name. */
const VNI = process.pid;
const device = `flannel.${VNI}`;

/** As the host's network interface comes and goes. */
const addEth0 = (mtu: number) => `ip link add eth0 mtu ${mtu} type veth peer name eth1; ip link set eth1 up
                                  ip address add 192.0.2.1/24 dev eth0; ip link set eth0 up`;

interface Joined {
  host: Host;
  backend: Backend;
  /** MTUs that were to be written into the subnet file. */
  resized: number[];
}

async function join(
  t: Test,
  { write = () => {}, asked = (backend) => backend }: Partial<Altered> = {},
): Promise<Joined> {
  const host = newHost(t);
  host.sh(addEth0(1500));
  const namespace = openNamespace(host.path);
  const rtnl = openRtnetlink(namespace);
  const settings = {
    ...network("10.5.0.0/16 24 10.5.1.0 10.5.255.0"),
    backend: { type: "vxlan", settings: { Type: "vxlan", VNI } },
  };
  const selector = {
    ifaces: ["eth0"],
    ifaceRegexes: [],
    canReach: undefined,
    publicIP: undefined,
    publicIPv6: undefined,
  };
  const findExternal = (current?: ExternalInterface) =>
    selectExternalInterface(rtnl, selector, { ipv4: true, ipv6: false }, current && { current });
  const external = findExternal();
  const made = createBackend({
    rtnl,
    external,
    network: settings,
    published: undefined,
    statePath: `${host.varLib}/subnet`,
    remedies: storeRemedies,
    log: silent,
  });
  const attributes = leaseAttributes(await within(namespace, () => made.attributes()), external);
  const backend = asked(made);
  const lease = leaseOf(subnets("10.5.1.0-24"), attributesOf("192.0.2.1"), undefined);
  await backend.setOwnLease(lease);
  const clock = new FakeClock();
  clock.setWall(Date.now() - clock.wallMs()); // the member lives by the machine's
  const resized: number[] = [];
  const parts = {
    ...{ external, findExternal, backend, attributes, lease, log: silent },
    manager: createStoreManager(new FakeStore(clock), { renewMarginMs: 3600_000, log: silent }),
    metrics: createMetrics("0.0.0"),
    watchKernel: watchRoutes,
    writeSubnetFile() {
      resized.push(backend.mtu);
      write(resized.length);
    },
    reporter: { leaseLost() {}, leaseHeld() {}, repeat() {}, storeTrouble() {} },
  };
  const member = within(namespace, () => startController(parts));
  t.teardown(() => member.stop());
  return { host, backend, resized };
}

interface Altered {
  /** @param count How often it was asked, this time included. */
  write(count: number): void;
  asked(backend: Backend): Backend;
}

const needsVxlan = needsKernel("vxlan");
const mtuOf = (host: Host): number | undefined => {
  const links = host.json("ip", "-j", "link", "show") as { ifname: string; mtu: number }[];
  return links.find(({ ifname }) => ifname === device)?.mtu;
};

t.test("an interface that is made again is followed, though the device went with it", needsVxlan, async (t) => {
  const { host, resized } = await join(t);
  host.sh(`ip link delete eth0; ${addEth0(1400)}`);
  await until("the device is there again", () => mtuOf(host) === 1350);
  await until("the subnet file has its MTU", () => resized.length > 0);
  t.strictSame(resized, [1350]);
});

t.test("an MTU that could not be written is written later", needsVxlan, async (t) => {
  const full = (count: number) => {
    if (count === 1) throw new Error("no space left on device");
  };
  const { host, resized } = await join(t, { write: full });
  host.sh("ip link set eth0 mtu 1400");
  await until("it was to be written", () => resized.length === 1);
  host.sh("ip address add 192.0.2.77/24 dev eth0"); // sooner than after five seconds
  await until("it was again", () => resized.length === 2);
  t.strictSame(resized, [1350, 1350]);
});

t.test("a kernel that cannot say what changed has everything looked at", needsVxlan, async (t) => {
  let repairs = 0;
  const asked = (backend: Backend): Backend => ({
    ...backend,
    mtu: 1450,
    concerns() {
      throw new NetlinkError("RTM_GETADDR", { errno: Errno.EAGAIN });
    },
    repair() {
      repairs++;
      return backend.repair();
    },
  });
  const { host } = await join(t, { asked });
  host.sh("ip link add other type veth");
  await until("it was looked", () => repairs > 0);
  t.ok(repairs > 0);
});
