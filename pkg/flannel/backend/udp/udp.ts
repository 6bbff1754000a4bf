/**
 * The udp backend: packets go through a TUN device to a data path process, which sends them in UDP datagrams, one in each, as flannel
 * does. The kernel has one route, for the whole network; the process has the table of the peers.
 *
 * Beyond flannel: the process outlives the daemon, which takes it over when it starts again, so that a restart loses no packet. It ends
 * with the host's lease if the daemon was killed, a minute after a daemon that was stopped, and at once if another backend is configured.
 * The process accepts datagrams from peers only, with packets of their own subnets.
 */

import { setTimeout } from "node:timers/promises";
import type { LeaseChanges } from "../../../cluster/lease/manager.ts";
import { InvalidNetworkConfig, type NetworkConfig } from "../../../cluster/lease/network-config.ts";
import { type Address, contains, formatAddress, formatPrefix, type Prefix } from "../../../ip/address.ts";
import { lookupRoute } from "../../../link/route.ts";
import { RTM_DELLINK } from "../../../netlink/rtnetlink/link.ts";
import { bootMs, nowMs } from "../../../sys/clock.ts";
import { OUTER_HEADERS } from "../../udp-data-path/packet.ts";
import type { PeerSubnet, Settings } from "../../udp-data-path/protocol.ts";
import type { ApplyResult, Backend, BackendContext, BackendType, ExternalInterface, OwnLease } from "../backend.ts";
import { type LinkName, routeEntry } from "../entry.ts";
import type { Domain } from "../entry-requests.ts";
import { isAboutLink } from "../link-message.ts";
import { InvalidPeerLease, type Peer } from "../peer.ts";
import { createPeerLeases } from "../peer-leases.ts";
import { connectDataPath, type DataPath, type ProcessInfo, programVersion, startDataPath } from "./data-path.ts";
import { configureDevice, type DeviceSettings, findDevice, isRight } from "./device.ts";
import { innerMtu, socketOf, udpKeys, udpPort } from "./settings.ts";
import { createTableSender } from "./table-sender.ts";

export const udp: BackendType = { keys: udpKeys, create, endLeftovers };

/** As flannel writes it: peers with the backend udp have none. */
const BACKEND_TYPE = "";
/** As flannel has it: the kernel chooses the number, usually 0. */
const DEVICE = "flannel%d";
/** How long a look at the counters waits for a process that hangs: less than whoever asks for the daemon's status waits. */
const COUNTERS_MS = 2000;
/** How long the data path goes on after a daemon that was stopped: a restart or an upgrade takes seconds. */
const DETACHED_MS = 60_000;

/** @throws InvalidNetworkConfig the network has IPv6, or the interface's MTU is too small */
function create({ rtnl, network, log, remedies, statePath, ...context }: BackendContext): Backend {
  if (network.ipv6 !== undefined) throw new InvalidNetworkConfig([onlyIPv4]);
  const port = udpPort(network.backend.settings);
  let external = context.external;
  let mtu = innerMtu(external);
  let path: DataPath | undefined;
  let device: LinkName | undefined;
  let own: OwnLease | undefined;
  /** Whether the process has the table of the peers, or had one when it was taken over. */
  let isInUse = false;
  const table = createTableSender();
  let ask = () => {};

  const needDevice = (): LinkName => {
    if (device === undefined) throw new Error("the device of the backend udp is used before it is made");
    return device;
  };
  const needNetwork = (): Prefix => networkOf(network);
  const domain = (): Domain => ({
    devices: [{ link: needDevice(), family: "ipv4" }],
    external,
    networks: [needNetwork()],
  });
  const deviceSettings = (): DeviceSettings => ({
    mtu,
    place: own?.ipv4 && { address: own.ipv4.address, network: needNetwork() },
  });
  const peers = createPeerLeases({
    rtnl,
    log,
    remedies,
    domain,
    viewpoints: () => [{ family: "ipv4", network: needNetwork(), backendType: BACKEND_TYPE, external }],
    entriesOf(peer) {
      checkWay(peer);
      return [];
    },
    commonEntries: () => [routeEntry({ destination: needNetwork(), link: needDevice(), isOnLink: false })],
  });

  /** Refuses a host that only the tunnel itself would lead to. @throws InvalidPeerLease */
  function checkWay({ publicIP }: Peer): void {
    if (!contains(needNetwork(), publicIP) || lookupRoute(rtnl, publicIP)?.outputIndex !== needDevice().index) return;
    throw new InvalidPeerLease(
      `its public address ${formatAddress(publicIP)} is in the cluster network, and no other route than the one into the tunnel leads there`,
      `choose another "Network", without the hosts' own addresses; or: ip route add ${formatAddress(publicIP)} dev ${external.name}`,
    );
  }

  /** That of this daemon's start: files that are replaced while it runs are for the next one. */
  let version: string | undefined;
  const settings = (): Settings => {
    version ??= programVersion();
    return {
      socket: socketOf(statePath),
      device: DEVICE,
      address: formatAddress(needAddress(external)),
      port,
      version,
    };
  };

  /** @returns whether another process had to be started */
  async function ensureProcess(): Promise<boolean> {
    const wanted = settings();
    const now = path?.isOpen() ? findDevice(rtnl, path.info.device.index) : undefined;
    if (path !== undefined && now !== undefined && fits(path.info, wanted)) {
      device = now;
      return false;
    }
    const before = device;
    const former = path;
    path = undefined; // its end is no fault
    await former?.end();
    const next = await takeOver(wanted);
    isInUse = next !== undefined;
    path = next ?? (await startDataPath(wanted, log));
    if (next === undefined) log.info("started the data path process", shown(path.info));
    watch(path);
    device = path.info.device;
    if (before !== undefined) peers.forget(before.index);
    return true;
  }

  /** Has a pass repair what the kernel does not tell of: a process that has closed the connection, or does not answer. */
  function watch(one: DataPath): void {
    void one.lost.then(() => {
      if (path === one) ask();
    });
  }

  /** @returns undefined: none runs, or none that fits, which has been ended */
  async function takeOver(wanted: Settings): Promise<DataPath | undefined> {
    const found = await connectDataPath(wanted.socket, log);
    if (found === undefined) return undefined;
    if (fits(found.info, wanted) && findDevice(rtnl, found.info.device.index) !== undefined) {
      log.info("took over the data path process", shown(found.info));
      return found;
    }
    log.info("replacing the data path process: it has another build, address or port", shown(found.info));
    const next = await succeed(found, wanted);
    await found.end();
    return next;
  }

  /** Starts a process that carries on with device and socket of that one, if only the build differs. @returns undefined: not so */
  async function succeed({ info }: DataPath, wanted: Settings): Promise<DataPath | undefined> {
    if (!fits({ ...info, version: wanted.version }, wanted)) return undefined;
    try {
      const next = await startDataPath({ ...wanted, takeover: true }, log);
      log.info("the new data path process carries on with device and socket of the former one", shown(next.info));
      return next;
    } catch (error) {
      log.warn("packets are lost while the data path process is replaced", { error: (error as Error).message });
      return undefined;
    }
  }

  const needPath = (): DataPath => {
    if (path?.isOpen()) return path;
    throw new Error("the data path process does not run: flanneld starts it again");
  };
  const until = (): number => untilOf(own?.expiresMs);
  const rowsOf = (ids: Iterable<string>): PeerSubnet[] =>
    [...ids].flatMap((id) => peers.peersOf(id).map((peer) => rowOf(peer, port)));

  /** Sends what the process lacks of the table. */
  async function sendTable(): Promise<void> {
    const subnet = own?.ipv4;
    if (subnet === undefined) throw new Error(remedies.ownFamily);
    const rows = rowsOf(Array.from(peers.leases(), ({ id }) => id));
    await table.send(needPath(), { peers: rows, own: formatPrefix(subnet), until: until() });
    isInUse = true;
  }

  async function repair(): Promise<ApplyResult> {
    const isNew = await ensureProcess();
    const isChanged = configureDevice(rtnl, needDevice(), deviceSettings());
    const done = peers.repair();
    await sendTable();
    return { ...done, added: done.added + (isNew || isChanged ? 1 : 0) };
  }

  return {
    get mtu() {
      return mtu;
    },
    overheadBytes: OUTER_HEADERS,
    get devices() {
      return [{ family: "ipv4" as const, name: needDevice().name, mtu }];
    },
    canReadBack: true,
    async attributes() {
      await ensureProcess();
      return { backendType: BACKEND_TYPE };
    },
    async setOwnLease(next) {
      own = next;
      peers.setOwnLease(next);
      configureDevice(rtnl, needDevice(), deviceSettings());
      peers.repair(); // the network's route, before it is looked which peers it would lead astray
      if (isInUse) await needPath().tell({ until: until() });
    },
    async setPeers(all) {
      await ensureProcess();
      const done = peers.set(all);
      await sendTable();
      return done;
    },
    async changePeers(changes) {
      const before = rowsOf(idsOf(changes));
      const done = peers.change(changes);
      const set = rowsOf(idsOf(changes));
      const stay = new Set(set.map(({ subnet }) => subnet));
      const remove = before.map(({ subnet }) => subnet).filter((subnet) => !stay.has(subnet));
      await table.change(needPath(), set, remove);
      return done;
    },
    concerns(message) {
      if (device === undefined) return false;
      if (isAboutLink(message, device.index))
        return message.type === RTM_DELLINK || !isRight(rtnl, device, deviceSettings());
      return peers.concerns(message);
    },
    onFault(repairLater) {
      ask = repairLater;
    },
    repair,
    async follow(next) {
      mtu = innerMtu(next);
      external = next;
      await repair();
    },
    async counters() {
      if (!path?.isOpen()) return undefined;
      return Promise.race([path.counters().catch(() => undefined), setTimeout(COUNTERS_MS, undefined, { ref: false })]);
    },
    missing: () => [
      ...(path?.isOpen() ? [] : ["the data path process does not run, or does not answer"]),
      ...peers.missing(),
    ],
    obstacles: peers.obstacles,
    underlayPorts: [{ family: "ipv4", port }],
    probeAddress: (peer, family) => (family === "ipv4" ? peer.ipv4?.address : undefined), // that of its device
    adviceWhenSilent: `check that flanneld runs there, and that firewalls between the hosts let UDP port ${port} pass in both directions`,
    async close() {
      if (!path?.isOpen()) return;
      if (!isInUse) return path.end(); // nobody needs it: this host has not joined
      await path.tell({ detach: { forMs: DETACHED_MS } });
      log.info(
        `the data path process goes on for ${DETACHED_MS / 1000} s, until the next daemon takes it over; to end it now: ip link delete ${path.info.device.name}`,
        shown(path.info),
      );
      path.release();
    },
  };
}

/** Ends a data path process that an earlier daemon has left; its device goes with it. */
async function endLeftovers({ statePath, log }: Pick<BackendContext, "statePath" | "log">): Promise<void> {
  const found = await connectDataPath(socketOf(statePath), log);
  if (found === undefined) return;
  log.info("ending the data path process of the backend udp: another backend is configured", shown(found.info));
  await found.end();
}

const onlyIPv4 =
  'the backend udp carries IPv4 only, as flannel\'s does, but the network has IPv6: use "Backend": {"Type": "vxlan"}, or remove "EnableIPv6"';

function networkOf({ ipv4 }: NetworkConfig): Prefix {
  if (ipv4 !== undefined) return ipv4.network;
  throw new InvalidNetworkConfig([onlyIPv4]);
}

function needAddress({ ipv4, name }: ExternalInterface): Address {
  if (ipv4 !== undefined) return ipv4;
  throw new Error(
    `"${name}" has no IPv4 address, which the backend udp sends from; give it one, or name another interface (--iface)`,
  );
}

const fits = (info: ProcessInfo, { address, port, version }: Settings): boolean =>
  info.address === address && info.port === port && info.version === version;

const shown = ({ pid, device, address, port }: ProcessInfo) => ({ pid, device: device.name, address, port });

/** Returns CLOCK_BOOTTIME at the end of a lease. */
const untilOf = (expiresMs: number | undefined): number =>
  expiresMs === undefined ? Number.MAX_SAFE_INTEGER : Math.round(bootMs() + expiresMs - nowMs());

const rowOf = ({ subnet, publicIP }: Peer, port: number): PeerSubnet => ({
  subnet: formatPrefix(subnet),
  address: formatAddress(publicIP),
  port, // as in flannel, the leases have none
});

const idsOf = ({ changed, gone }: LeaseChanges): string[] => [...changed.map(({ id }) => id), ...gone];
