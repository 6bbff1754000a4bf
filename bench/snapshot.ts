// How long flanneld takes to bring the kernel a whole cluster, as when it starts: three entries per peer on a VXLAN device, beside a C program that
// sends the same messages and does nothing else.
import { spawnSync } from "node:child_process";
import { type Host, newHost } from "../e2e/lab/host.ts";
import type { Lease } from "../pkg/cluster/lease/lease.ts";
import type { NetworkConfig } from "../pkg/cluster/lease/network-config.ts";
import { storeRemedies } from "../pkg/cluster/lease/store-manager.ts";
import { logOf } from "../pkg/cluster/log/log.ts";
import type { Backend, ExternalInterface } from "../pkg/flannel/backend/backend.ts";
import { createBackend } from "../pkg/flannel/backend/create-backend.ts";
import { type Address, type Prefix, parseAddress, parsePrefix } from "../pkg/ip/address.ts";
import { openRtnetlink } from "../pkg/link/link.ts";
import { closeNamespace, openNamespace, within } from "../pkg/sys/namespace.ts";
import { type Row, Samples, withGoals } from "./figures.ts";
import { compile } from "./launcher.ts";

const peers = 5000;
const AT_MOST = { ms: 300, ofFloor: 1.5 };
const silent = logOf(() => {});

const address = (text: string): Address => parseAddress(text) ?? new Uint8Array(4);
const prefix = (text: string): Prefix => parsePrefix(text) ?? { address: new Uint8Array(4), length: 0 };

const overlay = prefix("10.128.0.0/9");
const network: NetworkConfig = {
  ipv4: { network: overlay },
  nftables: false,
  backend: { type: "vxlan", settings: {} },
  noMasquerade: [],
};

/** As the store gives them: read from JSON, each with bytes of its own. */
const leases: Lease[] = Array.from({ length: peers }, (_, i) => {
  const [high, low] = [i >> 8, i & 0xff];
  const mac = [2, 0, 0, 0, high, low].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
  return {
    id: `10.${128 + high}.${low}.0-24`,
    ipv4: prefix(`10.${128 + high}.${low}.0/24`),
    attributes: {
      publicIP: address(`172.16.${high}.${low}`),
      backendType: "vxlan",
      backendData: { VNI: 1, VtepMAC: mac },
    },
  };
});

export async function snapshotRows({ rounds }: { rounds: number }): Promise<Row[]> {
  const floor = compile("snapshot-floor.c", "snapshot-floor");
  const samples = new Samples();
  for (let round = 0; round < rounds; round++) {
    samples.add("C all", await measureFloor(floor));
    await measureOurs(samples);
  }
  const row = (name: string, key: string) => ({
    section: "flanneld",
    name,
    unit: "ms" as const,
    figures: samples.figures(key),
  });
  const all = withGoals(row(`${peers} peers to the kernel (${3 * peers} entries)`, "all"), { C: AT_MOST.ofFloor });
  const median = all.figures.twill?.median ?? 0;
  return [
    { ...all, goals: [{ of: "ms", value: median, limit: AT_MOST.ms }, ...all.goals] },
    withGoals(row(`comparing ${peers} peers with the kernel, all right`, "repair"), {}),
    withGoals(row(`one of ${peers} peers changed`, "change"), {}),
  ];
}

async function withHost<T>(work: (host: Host) => T | Promise<T>): Promise<T> {
  const removals: (() => void)[] = [];
  const host = newHost({ teardown: (remove) => removals.push(remove) }, { containers: 0 });
  try {
    host.sh(
      "ip link add eth0 type veth peer name eth1; ip addr add 172.31.0.1/12 dev eth0; ip link set eth0 up; ip link set eth1 up",
    );
    return await work(host);
  } finally {
    for (const remove of removals) remove();
  }
}

function indexOf(host: Host, name: string): number {
  const [link] = host.json("ip", "-j", "link", "show", name) as { ifindex: number }[];
  return link?.ifindex ?? 0;
}

function measureFloor(floor: string): Promise<number> {
  return withHost((host) => {
    host.sh(
      "ip link add flannel.1 type vxlan id 1 dev eth0 local 172.31.0.1 dstport 8472 nolearning; ip addr add 10.255.0.0/32 dev flannel.1; ip link set flannel.1 up",
    );
    const printed = spawnSync(
      "ip",
      ["netns", "exec", host.name, floor, String(peers), String(indexOf(host, "flannel.1"))],
      {
        encoding: "utf8",
      },
    );
    if (printed.status !== 0) throw new Error(printed.stderr);
    return Number(printed.stdout);
  });
}

function measureOurs(into: Samples): Promise<void> {
  return withHost(async (host) => {
    const namespace = openNamespace(host.path);
    const rtnl = openRtnetlink(namespace);
    const ownAddress = address("172.31.0.1");
    const external: ExternalInterface = {
      index: indexOf(host, "eth0"),
      name: "eth0",
      mtu: 1500,
      ipv4: ownAddress,
      publicIP: ownAddress,
    };
    const backend = createBackend({
      statePath: "/run/flannel/subnet",
      rtnl,
      external,
      network,
      published: undefined,
      remedies: storeRemedies,
      log: silent,
    });
    try {
      await within(namespace, () => backend.attributes());
      await timed(backend, host, into);
    } finally {
      rtnl.close();
      closeNamespace(namespace);
    }
  });
}

async function timed(backend: Backend, host: Host, into: Samples): Promise<void> {
  await backend.setOwnLease({ ipv4: prefix("10.255.0.0/24") });
  const time = async (name: string, work: () => Promise<void>) => {
    const started = performance.now();
    await work();
    into.add(`twill ${name}`, performance.now() - started);
  };
  await time("all", async () => expect(await backend.setPeers(leases), 3 * peers));
  await time("repair", async () => expect(await backend.repair(), 0));
  const [first] = leases;
  const changed = first && { ...first, attributes: { ...first.attributes, publicIP: address("172.20.0.1") } };
  await time("change", async () =>
    expect(await backend.changePeers({ changed: changed ? [changed] : [], gone: [] }), 1),
  );
  const routes = host.sh("ip route show proto 143 | wc -l").trim();
  if (routes !== String(peers)) throw new Error(`the kernel has ${routes} routes, expected ${peers}`);
}

function expect({ added, refused }: { added: number; refused: readonly string[] }, wanted: number): void {
  if (added !== wanted || refused.length > 0) throw new Error(`${added} of ${wanted} entries: ${refused[0]}`);
}
