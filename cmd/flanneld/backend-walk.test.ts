// A random walk through states of the peers and of the kernel, with another process, refusals and lost messages: in the end the kernel has what
// the peers need, without a check that is due to time alone.
import t, { type Test } from "tap";
import { FakeClock } from "../../pkg/cluster/event-loop/clock.testing.ts";
import type { NetlinkHandler, Watching } from "../../pkg/cluster/event-loop/netlink-watch.ts";
import { cidr, ip, silent } from "../../pkg/cluster/lease/fake.testing.ts";
import type { Lease } from "../../pkg/cluster/lease/lease.ts";
import { storeRemedies } from "../../pkg/cluster/lease/store-manager.ts";
import type { Backend, ExternalInterface } from "../../pkg/flannel/backend/backend.ts";
import {
  type Entry,
  forwardingEntry,
  neighbourEntry,
  type RouteEntry,
  routeEntry,
} from "../../pkg/flannel/backend/entry.ts";
import { removeRequest, setRequest } from "../../pkg/flannel/backend/entry-requests.ts";
import type { Peer } from "../../pkg/flannel/backend/peer.ts";
import { createPeerLeases } from "../../pkg/flannel/backend/peer-leases.ts";
import { addAddress } from "../../pkg/link/address.ts";
import { setUp } from "../../pkg/link/link.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { type FakeNamespace, FakeNetwork } from "../../pkg/netlink/fake/rtnetlink.testing.ts";
import { randomFrom, testSeed } from "../../pkg/sys/random.testing.ts";
import { startBackendLoop } from "./backend-loop.ts";

const STEPS = 100;
/** Longer than any pause between passes, and shorter than the interval of checks that nothing asked for. */
const QUIET_MS = 150_000;

const external: ExternalInterface = {
  index: 2,
  name: "eth0",
  mtu: 1500,
  ipv4: ip("192.0.2.1"),
  publicIP: ip("192.0.2.1"),
};
const tunnel = { index: 7, name: "flannel.1" };
const network = cidr("10.5.0.0/16");

/** A peer's host (the last byte of its address) and the last byte of its device's MAC. Hosts with odd numbers are reached without a tunnel. */
interface PeerState {
  host: number;
  mac: number;
}

const lease = (n: number, { host, mac }: PeerState): Lease => ({
  id: `10.5.${n}.0-24`,
  ipv4: cidr(`10.5.${n}.0/24`),
  attributes: { publicIP: ip(`192.0.2.${host}`), backendType: "test", backendData: mac },
});

const macOf = (last: number): Uint8Array => Uint8Array.of(2, 0, 0, 0, 0, last);

function entriesOf({ subnet, publicIP, attributes }: Peer): Entry[] {
  const mac = macOf(Number(attributes.backendData));
  if ((publicIP[3] ?? 0) % 2 === 1)
    return [routeEntry({ destination: subnet, gateway: publicIP, link: external, isOnLink: false })];
  return [
    neighbourEntry({ address: subnet.address, mac, link: tunnel }),
    forwardingEntry({ address: publicIP, mac, link: tunnel }),
    routeEntry({ destination: subnet, gateway: subnet.address, link: tunnel, isOnLink: true }),
  ];
}

/** Makes a kernel with the external interface and the tunnel. */
function createKernel(): FakeNamespace {
  const kernel = new FakeNetwork().addNamespace("/host");
  for (const { name, index, kind } of [
    { ...external, kind: "dummy" },
    { ...tunnel, kind: "vxlan" },
  ])
    kernel.addLink({ name, index, kind, mtu: 1500, mac: macOf(index) });
  const rtnl = kernel.connect();
  for (const { index } of [external, tunnel]) rtnl.request(setUp(index));
  rtnl.request(addAddress(external.index, cidr("192.0.2.1/24")));
  return kernel;
}

/** Returns a line for each route, neighbour and forwarding entry, sorted. */
function entriesIn(kernel: FakeNamespace): string[] {
  let device = "";
  const lines = kernel.text().split("\n");
  const entries = lines.flatMap((line) => {
    device = /^\d+: (\S+)/.exec(line)?.[1] ?? device;
    if (/^ +(neighbour|fdb)/.test(line)) return `${line.trim()} dev ${device}`;
    return line.startsWith("route ") && !line.includes("scope link") ? line : [];
  });
  return entries.toSorted();
}

/** What the kernel should have for a peer, as `entriesIn` prints it. */
function expectedOf(n: number, { host, mac }: PeerState, isBlocked: boolean): string[] {
  const lladdr = `02:00:00:00:00:${mac.toString(16).padStart(2, "0")}`;
  const direct = `route 10.5.${n}.0/24 via 192.0.2.${host} dev eth0 proto 143`;
  const tunnelled = `route 10.5.${n}.0/24 via 10.5.${n}.0 dev flannel.1 proto 143 onlink`;
  const route = isBlocked ? [] : [host % 2 === 1 ? direct : tunnelled];
  if (host % 2 === 1) return route;
  return [...route, `neighbour 10.5.${n}.0 ${lladdr} dev flannel.1`, `fdb 192.0.2.${host} ${lladdr} dev flannel.1`];
}

function createBackend(rtnl: Connection): Backend {
  const peers = createPeerLeases({
    rtnl,
    log: silent,
    remedies: storeRemedies,
    domain: () => ({ devices: [{ link: tunnel, family: "ipv4" }], external, networks: [network] }),
    viewpoints: () => [{ family: "ipv4", network, backendType: "test", external }],
    entriesOf,
  });
  return {
    mtu: 1450,
    overheadBytes: 50,
    devices: [],
    canReadBack: true,
    attributes: async () => ({ backendType: "test" }),
    setOwnLease: async (own) => peers.setOwnLease(own),
    setPeers: async (all) => peers.set(all),
    changePeers: async (changes) => peers.change(changes),
    concerns: peers.concerns,
    repair: async () => peers.repair(),
    async follow() {},
    missing: peers.missing,
    obstacles: peers.obstacles,
    probeAddress: () => undefined,
    adviceWhenSilent: "",
    async close() {},
  };
}

const seed = testSeed();
t.test(`after any changes the kernel has what the peers need (TWILL_SEED=${seed})`, (t) => walk(t, randomFrom(seed)));

t.test("an entry that the kernel refuses is an obstacle with its error, until it is there", async (t) => {
  const kernel = createKernel();
  const backend = createBackend(kernel.connect());
  await backend.setOwnLease({ ipv4: cidr("10.5.1.0/24") });
  kernel.refuse = ({ name }) => (isAddition(name) ? "EINVAL" : undefined);
  await backend.setPeers([lease(2, { host: 3, mac: 2 })]);
  t.match(backend.obstacles(), [
    {
      text: /^route 10\.5\.2\.0\/24 via 192\.0\.2\.3 dev \S+ proto 143 is missing: the kernel refuses it \(.*EINVAL.*\)$/,
    },
  ]);
  t.strictSame(backend.missing(), [], "it is told once");
  kernel.refuse = undefined;
  await backend.repair();
  t.strictSame(backend.obstacles(), []);
});

const isAddition = (name: string): boolean => name === "RTM_NEWROUTE" || name === "RTM_NEWNEIGH";

interface Watcher extends Watching {
  /** Loses the messages that have not been read, as when the socket's buffer is full. */
  overflow(): void;
}

/** Watches as `watchNetlink`, with the clock of the test. */
function watch(kernel: FakeNamespace, clock: FakeClock, watchers: Set<Watcher>, handler: NetlinkHandler): Watching {
  const listener = kernel.listen(() => void clock.after(1, () => watcher.read()));
  const watcher: Watcher = {
    read() {
      for (let messages = listener.next(); messages !== undefined; messages = listener.next())
        handler.messages(messages);
    },
    stop() {
      listener.close();
      watchers.delete(watcher);
    },
    overflow() {
      listener.next();
      handler.overflowed();
    },
  };
  watchers.add(watcher);
  return watcher;
}

async function walk(t: Test, random: () => number): Promise<void> {
  const below = (limit: number) => Math.floor(random() * limit);
  const clock = new FakeClock();
  const kernel = createKernel();
  const watchers = new Set<Watcher>();
  const other = createOtherProcess(kernel, below);
  const metrics = { programmed() {}, repairedEntries() {}, reconciled: () => () => {} };
  const watchKernel = (handler: NetlinkHandler) => watch(kernel, clock, watchers, handler);
  const loop = startBackendLoop(createBackend(kernel.connect()), { watchKernel, metrics, log: silent, clock });
  t.teardown(loop.stop);

  let peers = new Map<number, PeerState>();
  await loop.setPeers([]);
  for (let step = 1; step <= STEPS; step++) {
    const isStubborn = below(4) === 0;
    kernel.refuse = ({ name }) => (isStubborn && isAddition(name) && below(3) === 0 ? "ENOBUFS" : undefined);
    for (let act = below(10); act >= 0; act--) {
      if (below(2) === 0) other.act([...peers.keys()]);
      else {
        const next = mutated(peers, below);
        await (below(5) === 0 ? setPeers(next) : changePeers(peers, next));
        peers = next;
      }
      if (below(8) === 0) for (const watcher of watchers) watcher.overflow();
      await clock.pass(below(2000));
    }
    kernel.refuse = undefined;
    await clock.pass(QUIET_MS);

    const expected = [...peers].flatMap(([n, state]) => expectedOf(n, state, other.blocked.has(n)));
    const wanted = [...expected, ...other.stays()].toSorted();
    const found = entriesIn(kernel).filter((entry) => !isLeftAlone(entry, peers));
    if (found.join("\n") !== wanted.join("\n")) return void t.strictSame(found, wanted, `step ${step}`);
  }
  t.pass(`${STEPS} steps`);

  function setPeers(next: ReadonlyMap<number, PeerState>): Promise<void> {
    return loop.setPeers([...next].map(([n, state]) => lease(n, state)));
  }

  function changePeers(from: ReadonlyMap<number, PeerState>, to: ReadonlyMap<number, PeerState>): Promise<void> {
    const changed = [...to].filter(([n, state]) => from.get(n) !== state).map(([n, state]) => lease(n, state));
    const gone = [...from].filter(([n]) => !to.has(n)).map(([n, state]) => lease(n, state).id);
    return loop.changePeers({ changed, gone });
  }
}

/** Reports whether it is another process's route to the subnet of a peer that is gone: it is replaced only while the peer is there. */
function isLeftAlone(entry: string, peers: ReadonlyMap<number, PeerState>): boolean {
  const [, n] = /^route 10\.5\.(\d+)\.0\/24 .* dev eth0$/.exec(entry) ?? [];
  return n !== undefined && !peers.has(Number(n));
}

type Below = (limit: number) => number;

/** Peers 2 to 9; MACs are of one peer each, since two with one MAC cannot both be reached. */
function mutated(peers: ReadonlyMap<number, PeerState>, below: Below): Map<number, PeerState> {
  const next = new Map(peers);
  for (let change = below(4); change >= 0; change--) {
    const n = 2 + below(8);
    if (below(3) === 0) next.delete(n);
    else next.set(n, { host: 2 + below(200), mac: n + 16 * below(3) });
  }
  return next;
}

interface OtherProcess {
  /** Does something to the kernel's entries. */
  act(peers: readonly number[]): void;
  /** Peers whose subnet has a route of a protocol that is to be left alone. */
  readonly blocked: ReadonlyMap<number, RouteEntry>;
  /** What it has added that stays. */
  stays(): string[];
}

const RTPROT_BOOT = 3;
const RTPROT_STATIC = 4;

function createOtherProcess(kernel: FakeNamespace, below: Below): OtherProcess {
  const rtnl = kernel.connect();
  const blocked = new Map<number, RouteEntry>();
  let hasForeignRoute = false;
  const subnetRoute = (n: number, protocol: number) =>
    routeEntry({
      destination: cidr(`10.5.${n}.0/24`),
      gateway: ip("192.0.2.77"),
      link: external,
      isOnLink: false,
      protocol,
    });
  const put = (entry: Entry) => void rtnl.attemptAll([setRequest(entry, { replaces: true })]);
  const remove = (entry: Entry) => void rtnl.attemptAll([removeRequest(entry)]);
  const anyPeer = (peers: readonly number[]) => peers[below(peers.length)] ?? 9;
  const acts: ((n: number) => void)[] = [
    (n) => {
      remove(routeEntry({ destination: cidr(`10.5.${n}.0/24`), link: external, isOnLink: false, protocol: 0 })); // any
      blocked.delete(n);
    },
    (n) => blocked.has(n) || put(subnetRoute(n, RTPROT_BOOT)),
    (n) => remove(neighbourEntry({ address: ip(`10.5.${n}.0`), mac: macOf(n), link: tunnel })),
    (n) => put(neighbourEntry({ address: ip(`10.5.${n}.0`), mac: macOf(255), link: tunnel })),
    (n) => remove(forwardingEntry({ address: ip("192.0.2.9"), mac: macOf(n), link: tunnel })),
    (n) => put(forwardingEntry({ address: ip("192.0.2.99"), mac: macOf(n + 16 * below(3)), link: tunnel })),
    () => put(subnetRoute(250, 143)),
    () => put(neighbourEntry({ address: ip("10.5.251.0"), mac: macOf(251), link: tunnel })),
    (n) => {
      put(subnetRoute(n, RTPROT_STATIC));
      blocked.set(n, subnetRoute(n, RTPROT_STATIC));
    },
    () => {
      for (const entry of blocked.values()) remove(entry);
      blocked.clear();
    },
    () => {
      put(
        routeEntry({ destination: cidr("10.77.0.0/24"), gateway: ip("192.0.2.77"), link: external, isOnLink: false }),
      );
      hasForeignRoute = true;
    },
  ];
  return {
    blocked,
    act(peers) {
      const refuse = kernel.refuse;
      kernel.refuse = undefined; // it is refused nothing, so that it is known what it has done
      acts[below(acts.length)]?.(anyPeer(peers));
      kernel.refuse = refuse;
    },
    stays: () => [
      ...[...blocked.keys()].map((n) => `route 10.5.${n}.0/24 via 192.0.2.77 dev eth0 proto 4`),
      ...(hasForeignRoute ? ["route 10.77.0.0/24 via 192.0.2.77 dev eth0 proto 143"] : []),
    ],
  };
}
