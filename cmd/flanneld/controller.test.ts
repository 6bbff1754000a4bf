// The controller over lease managers that have as little in common as those of etcd and of Kubernetes: what holds, holds with each.
import { setTimeout as pause } from "node:timers/promises";
import t, { type Test } from "tap";
import { FakeClock, flushPromises } from "../../pkg/cluster/event-loop/clock.testing.ts";
import type { NetlinkHandler } from "../../pkg/cluster/event-loop/netlink-watch.ts";
import { attributesOf, FakeStore, ip, linesOf, network, subnets } from "../../pkg/cluster/lease/fake.testing.ts";
import { createNodeManager, FakeNodes, nodeOf } from "../../pkg/cluster/lease/fake-nodes.testing.ts";
import { formatSubnets, type LeaseAttributes, type LeaseId, printAttributes } from "../../pkg/cluster/lease/lease.ts";
import type { LeaseManager } from "../../pkg/cluster/lease/manager.ts";
import { createStoreManager } from "../../pkg/cluster/lease/store-manager.ts";
import type { Backend, ExternalInterface } from "../../pkg/flannel/backend/backend.ts";
import { RTM_NEWADDR } from "../../pkg/netlink/rtnetlink/address.ts";
import { startController } from "./controller.ts";
import { createMetrics } from "./metrics.ts";

const HOUR_MS = 3_600_000;
const config = network("10.3.0.0/16 24 10.3.1.0 10.3.255.0");

/** A cluster of hosts by number; we are the first one. */
interface Cluster {
  name: string;
  manager: LeaseManager;
  /** The identity and the subnet of host `n`. */
  id(n: number): LeaseId;
  subnet(n: number): string;
  /** Writes the lease of host `n`, with this last byte of its public address. */
  write(n: number, address?: number): void;
  remove(n: number): void;
  trouble(why: Error | undefined): void;
  /** Writes a lease that overlaps ours. */
  overlap(): void;
  /** Does what makes us lose our lease. */
  takeOurs(): void;
  /** What has been published of us. */
  published(): LeaseAttributes | undefined;
}

const clusters: (() => Cluster)[] = [
  function store() {
    const clock = new FakeClock();
    const store = new FakeStore(clock);
    const id = (n: number) => `10.3.${n}.0-24`;
    const write = (n: number, address = n) =>
      void store.write(subnets(id(n)), attributesOf(`192.0.2.${address}`), 24 * HOUR_MS);
    write(1);
    return {
      name: "a store",
      manager: createStoreManager(store, { renewMarginMs: HOUR_MS, log: linesOf([]), clock }),
      id,
      subnet: (n) => `10.3.${n}.0/24`,
      write,
      remove: (n) => store.remove(id(n)),
      trouble: (why) => store.trouble(why),
      overlap: () => void store.write(subnets("10.3.0.0-22"), attributesOf("192.0.2.8"), 24 * HOUR_MS),
      takeOurs: () => write(1, 9),
      published: () => store.leases.get(id(1))?.attributes,
    };
  },
  function nodes() {
    const nodes = new FakeNodes();
    const id = (n: number) => `node-${n}`;
    const write = (n: number, address = n) =>
      nodes.set(id(n), { ...nodeOf(n), annotations: attributesOf(`192.0.2.${address}`) });
    nodes.set(id(1), { podCIDR: "10.3.1.0/26" });
    return {
      name: "nodes",
      manager: createNodeManager(nodes, id(1)),
      id,
      subnet: (n) => `10.3.${n}.0/26`,
      write,
      remove: (n) => nodes.delete(id(n)),
      trouble: (why) => nodes.trouble(why),
      overlap: () => nodes.set(id(8), nodeOf(8, "10.3.0.0/22")),
      takeOurs: () => nodes.delete(id(1)),
      published: () => nodes.find(id(1))?.annotations,
    };
  },
];

const external: ExternalInterface = {
  index: 2,
  name: "eth0",
  mtu: 1500,
  ipv4: ip("192.0.2.1"),
  publicIP: ip("192.0.2.1"),
};
const nothing = { added: 0, removed: 0, refused: [] };

/** A daemon that has joined the cluster, with a backend that says what it was asked, over a kernel that says what the test has it say. */
async function run(t: Test, cluster: Cluster) {
  const [calls, states, lines]: [string[], string[], string[]] = [[], [], []];
  const kernel: { handlers: NetlinkHandler[]; external: ExternalInterface } = { handlers: [], external };
  let mtu = external.mtu;
  const backend: Backend = {
    get mtu() {
      return mtu;
    },
    overheadBytes: 50,
    devices: [],
    canReadBack: true,
    attributes: async () => ({ backendType: "vxlan", backendData: { VNI: 1, VtepMAC: "aa:00:00:00:00:01" } }),
    async setOwnLease() {},
    async setPeers(peers) {
      calls.push(`all ${peers.map((peer) => `${peer.id} ${formatSubnets(peer)}`).sort()}`);
      return nothing;
    },
    async changePeers({ changed, gone }) {
      calls.push(
        ...changed.map((lease) => `+${lease.id} ${lease.attributes.publicIP?.join(".")}`),
        ...gone.map((id) => `-${id}`),
      );
      return nothing;
    },
    concerns: () => false,
    repair: async () => nothing,
    async follow(next) {
      if (next.mtu < 604) throw new Error(`an MTU of ${next.mtu} is too small`);
      mtu = next.mtu;
    },
    missing: () => [],
    obstacles: () => [],
    probeAddress: () => undefined,
    adviceWhenSilent: "",
    async close() {},
  };
  let writes = (_mtu: number) => {};
  const written = new Promise<number>((resolve) => {
    writes = resolve;
  });
  const lease = await cluster.manager.acquire(config, { attributes: attributesOf("192.0.2.1") });
  const controller = startController({
    manager: cluster.manager,
    ...{ lease, backend, external, attributes: attributesOf("192.0.2.1") },
    findExternal: () => kernel.external,
    writeSubnetFile: () => writes(backend.mtu),
    watchKernel(handler) {
      kernel.handlers.push(handler);
      return { read() {}, stop() {} };
    },
    reporter: {
      leaseHeld: () => void states.push("held"),
      leaseLost: (reason) => void states.push(`lost: ${reason}`),
      repeat() {},
      storeTrouble: (why) => void states.push(`trouble ${why?.message}`),
    },
    metrics: createMetrics("0"),
    log: linesOf(lines),
  });
  t.teardown(controller.stop);
  const { peers: peersAtFirst } = controller.facts();
  await controller.programmed;
  return { controller, peersAtFirst, calls, states, lines, kernel, written };
}

for (const newCluster of clusters) {
  t.test(`over ${newCluster.name}`, async (t) => {
    await t.test(
      "the peers are those that have a lease, each with the name and the subnet that it has there",
      async (t) => {
        const cluster = newCluster();
        cluster.write(2);
        cluster.write(3);
        const { calls, controller, peersAtFirst } = await run(t, cluster);
        t.equal(peersAtFirst, undefined, "not known before the first list");
        const named = (n: number) => `${cluster.id(n)} ${cluster.subnet(n)}`;
        t.strictSame(calls, [`all ${named(2)},${named(3)}`]);
        const { lease, peers } = controller.facts();
        t.strictSame([lease.id, formatSubnets(lease)], [cluster.id(1), cluster.subnet(1)]);
        t.strictSame(peers?.map(({ id }) => id).sort(), [cluster.id(2), cluster.id(3)]);
      },
    );

    await t.test("a peer comes, changes, and goes, of which its name is left", async (t) => {
      const cluster = newCluster();
      const { calls } = await run(t, cluster);
      calls.length = 0;
      for (const change of [
        () => cluster.write(2),
        () => cluster.write(2, 22),
        () => cluster.write(2, 22),
        () => cluster.remove(2),
      ]) {
        change();
        await flushPromises();
      }
      t.strictSame(calls, [`+${cluster.id(2)} 192.0.2.2`, `+${cluster.id(2)} 192.0.2.22`, `-${cluster.id(2)}`]);
    });

    await t.test("a lease over ours is skipped, with the remedy of the store", async (t) => {
      const cluster = newCluster();
      const { calls, controller } = await run(t, cluster);
      calls.length = 0;
      cluster.overlap();
      await flushPromises();
      t.strictSame(calls, []);
      t.match([...controller.facts().malformed.values()], [new RegExp(`To fix: ${cluster.manager.remedies.overlap}$`)]);
    });

    await t.test("a lost lease and a lost store are reported", async (t) => {
      const cluster = newCluster();
      const { states, lines } = await run(t, cluster);
      cluster.trouble(new Error("no route"));
      cluster.trouble(undefined);
      t.strictSame(states.splice(0), ["trouble no route", "trouble undefined"]);
      t.match(lines.slice(-2), [/^warn the store does not answer/, /^info the store answers again/]);
      cluster.takeOurs();
      await flushPromises();
      t.match(states, [/^lost: .*To fix: /]);
    });

    await t.test("an interface with another address and MTU is published, and written down", async (t) => {
      const cluster = newCluster();
      const { kernel, written, controller } = await run(t, cluster);
      kernel.external = { ...external, mtu: 1400, publicIP: ip("192.0.2.11") };
      const message = { type: RTM_NEWADDR, flags: 0, sequence: 0, port: 0, body: new Uint8Array() };
      for (const { messages } of kernel.handlers) messages([message]);
      t.equal(await written, 1400);
      await flushPromises();
      t.equal(controller.facts().external, kernel.external);
      const published = cluster.published();
      t.match(published && printAttributes(published), '"PublicIP":"192.0.2.11"');
    });

    await t.test("an interface that the backend cannot use is a problem until it can", async (t) => {
      const { kernel, controller } = await run(t, newCluster());
      const becomes = async (mtu: number, problem: boolean) => {
        kernel.external = { ...external, mtu };
        const message = { type: RTM_NEWADDR, flags: 0, sequence: 0, port: 0, body: new Uint8Array() };
        for (const { messages } of kernel.handlers) messages([message]);
        while ((controller.facts().interfaceProblem !== undefined) !== problem) await pause(5);
      };
      await becomes(600, true);
      t.match(controller.facts().interfaceProblem, { text: /external interface: an MTU of 600 is too small$/ });
      await becomes(1400, false);
      t.equal(controller.facts().external.mtu, 1400);
    });
  });
}

t.test("a node that is made again under its name, with another podCIDR, is a peer that has changed", async (t) => {
  const nodes = new FakeNodes();
  nodes.set("a", { podCIDR: "10.3.1.0/26" });
  nodes.set("b", nodeOf(2, "10.3.2.0/26"));
  const changes: string[] = [];
  const manager = createNodeManager(nodes, "a");
  const membership = manager.follow(await manager.acquire(config, { attributes: attributesOf("192.0.2.1") }), {
    peers: (all) => void changes.push(...all.map(formatSubnets)),
    changed: ({ changed, gone }) => void changes.push(...changed.map(formatSubnets), ...gone),
    malformed() {},
    trouble() {},
    leaseHeld() {},
    leaseLost() {},
  });
  t.teardown(membership.stop);
  await flushPromises();
  nodes.delete("b");
  nodes.set("b", nodeOf(2, "10.3.7.0/26"));
  await flushPromises();
  t.strictSame(changes, ["10.3.2.0/26", "10.3.7.0/26"]);
});
