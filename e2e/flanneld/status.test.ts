// `flanneld --status` and what it is told, over a real socket and a real peer; the daemon itself is in the cluster's tests.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { printStatus, requestStatus } from "../../cmd/flanneld/status/client.ts";
import type { StatusReport } from "../../cmd/flanneld/status/format.ts";
import { type DaemonInfo, type NetworkInfo, reportStatus } from "../../cmd/flanneld/status/report.ts";
import type { Lease } from "../../pkg/cluster/lease/lease.ts";
import { storeRemedies } from "../../pkg/cluster/lease/store-manager.ts";
import { openRtnetlink } from "../../pkg/link/link.ts";
import { socketOf, writeDaemonState } from "../../pkg/subnet-env/daemon-state.ts";
import { closeNamespace, openNamespace, within } from "../../pkg/sys/namespace.ts";
import { newHost } from "../lab/host.ts";
import { needsRoot } from "../lab/needs.ts";

interface Test {
  teardown(work: () => unknown): unknown;
}

function newSubnetFile(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), `twill-status-${process.pid}-`));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return join(folder, "subnet.env");
}

const state = { pid: 42, since: "2026-01-31T12:00:00.000Z", state: "ready", reason: "subnet 10.5.1.0/24" } as const;

const report: StatusReport = {
  version: "1.2.3",
  ...state,
  store: { description: "etcd http://10.0.0.1:2379", connected: true, trouble: null },
  own: {
    subnets: ["10.5.1.0/24"],
    publicIPs: ["192.0.2.1"],
    backend: "vxlan",
    vtepMac: "0e:00:00:00:00:01",
    expires: "2026-02-01T12:00:00.000Z",
    device: "flannel.1",
    devices: [{ name: "flannel.1", mtu: 1400 }],
    dataPath: null,
    mtu: 1450,
    interface: "eth0",
    interfaceMtu: 1500,
  },
  peers: [
    {
      subnets: ["10.5.2.0/24"],
      publicIPs: ["192.0.2.2"],
      backend: "vxlan",
      vtepMac: "0e:00:00:00:00:02",
      expires: "unknown",
      reach: "yes",
    },
  ],
  problems: [],
};

t.test("a healthy daemon is told in a page", async (t) => {
  t.equal(
    printStatus(report),
    `flanneld 1.2.3 (pid 42), ready since 2026-01-31T12:00:00.000Z: subnet 10.5.1.0/24

subnet      10.5.1.0/24
public IP   192.0.2.1
backend     vxlan over eth0 (MTU 1500)
device      flannel.1 (MTU 1400), MAC 0e:00:00:00:00:01
containers  MTU 1450
lease ends  2026-02-01T12:00:00.000Z
store       etcd http://10.0.0.1:2379, connected

PEER         PUBLIC IP  BACKEND  VTEP MAC           LEASE ENDS  ANSWERS
10.5.2.0/24  192.0.2.2  vxlan    0e:00:00:00:00:02  unknown     yes

no problems
`,
  );
});

t.test("one that waits is told with its problems, and cannot steer the terminal", async (t) => {
  const waiting: StatusReport = {
    ...report,
    state: "waiting",
    reason: "no network configuration",
    store: { ...report.store, connected: false, trouble: "refused" },
    own: null,
    peers: null,
    problems: [{ text: "this host has no subnet yet: \u001b[2J", remedy: "write one" }],
  };
  t.equal(
    printStatus(waiting),
    `flanneld 1.2.3 (pid 42), waiting since 2026-01-31T12:00:00.000Z

store  etcd http://10.0.0.1:2379, does not answer

the leases of the other hosts are not known yet

problem: this host has no subnet yet: ?[2J
  to fix: write one
`,
  );
});

/** A daemon that answers with this. */
async function answering(t: Test, code: number, body: string): Promise<string> {
  const subnetFile = newSubnetFile(t);
  const server = createServer((_, response) => response.writeHead(code).end(body));
  await new Promise<void>((resolve) => server.listen(socketOf(subnetFile), resolve));
  t.teardown(() => server.close());
  return subnetFile;
}

t.test("the exit status says whether there are problems", async (t) => {
  const healthy = await answering(t, 200, JSON.stringify(report));
  t.strictSame(await requestStatus({ subnetFile: healthy, asJson: false }), {
    exitCode: 0,
    stdout: printStatus(report),
    stderr: "",
  });
  const ill = { ...report, problems: [{ text: "something", remedy: "mend it" }] };
  const told = await requestStatus({ subnetFile: await answering(t, 200, JSON.stringify(ill)), asJson: true });
  t.equal(told.exitCode, 1);
  t.strictSame(JSON.parse(told.stdout), ill);
});

t.test("a daemon that cannot tell its status is no healthy one", async (t) => {
  const subnetFile = await answering(t, 500, "flanneld: out of memory\n");
  t.strictSame(await requestStatus({ subnetFile, asJson: false }), {
    exitCode: 2,
    stdout: "",
    stderr: `flanneld: the daemon at ${socketOf(subnetFile)} did not return its status: flanneld: out of memory. To fix: see its log\n`,
  });
});

t.test("without a daemon its last words are quoted", async (t) => {
  const subnetFile = newSubnetFile(t);
  const remedy = "To fix: start it, or pass the --subnet-file that it was started with\n";
  t.strictSame(await requestStatus({ subnetFile, asJson: true }), {
    exitCode: 2,
    stdout: "",
    stderr: `flanneld: no flanneld runs for subnet file ${subnetFile}. ${remedy}`,
  });
  writeDaemonState(subnetFile, { ...state, state: "waiting", reason: "no network configuration" });
  t.equal(
    (await requestStatus({ subnetFile, asJson: true })).stderr,
    `flanneld: no flanneld runs for subnet file ${subnetFile}; the last one (pid 42) reported at 2026-01-31T12:00:00.000Z: waiting, no network configuration. ${remedy}`,
  );
  writeDaemonState(subnetFile, { ...state, state: "ended", reason: "its port is taken. To fix: free it" });
  t.match(
    (await requestStatus({ subnetFile, asJson: true })).stderr,
    "ended, its port is taken. To fix: free it; then start it again\n",
  );
});

/** Host `n` at 10.64.0.n has 10.65.n.0/24. */
const lease = (n: number): Lease => ({
  id: `10.65.${n}.0-24`,
  ipv4: { address: Uint8Array.of(10, 65, n, 0), length: 24 },
  attributes: {
    publicIP: Uint8Array.of(10, 64, 0, n),
    backendType: "vxlan",
    backendData: { VNI: 1, VtepMAC: `0e:00:00:00:00:0${n}` },
  },
  expiresMs: Date.now() + 24 * 3600_000,
});

t.test("the report sees the device, the file, and who answers", needsRoot, async (t) => {
  const host = newHost(t);
  const subnetFile = newSubnetFile(t);
  writeFileSync(subnetFile, "FLANNEL_MTU=1450\n");
  host.sh(`
    ip link add flannel.1 mtu 1400 type veth peer name eth0 netns ${host.containers[0]?.name}
    ip address add 10.65.1.0/32 dev flannel.1
    ip link set flannel.1 up
    ip route add 10.65.0.0/16 dev flannel.1
    iptables -A INPUT -i eth0 -p udp -j DROP`);
  host.containers[0]?.sh(`
    ip address add 10.65.2.0/32 dev eth0
    ip link set eth0 up
    ip route add 10.65.1.0/32 dev eth0`);
  const namespace = openNamespace(host.path);
  t.teardown(() => closeNamespace(namespace));
  const member: NetworkInfo = {
    lease: lease(1),
    external: { index: 2, name: "eth0", mtu: 1500, ipv4: Uint8Array.of(10, 64, 0, 1) },
    backend: {
      underlayPorts: [
        { family: "ipv4", port: 8472 },
        { family: "ipv6", port: 8472 }, // without an address of its own
      ],
      mtu: 1450,
      overheadBytes: 50,
      adviceWhenSilent: "see that it runs",
      probeAddress: ({ ipv4 }) => ipv4?.address,
      devices: [{ family: "ipv4", name: "flannel.1", mtu: 1450 }],
      missing: () => ["route 10.65.3.0/24 via 10.65.3.0 is missing"],
      obstacles: () => [],
    },
    network: { backend: { type: "vxlan", settings: {} } },
    rtnl: openRtnetlink(namespace),
    peers: [lease(2), lease(3)],
    malformed: new Map(),
    configProblem: undefined,
    interfaceProblem: undefined,
    renewMarginMs: 3600_000,
  };
  const running: DaemonInfo = {
    version: "1",
    subnetFile,
    state,
    store: { description: "a folder", remedies: storeRemedies, trouble: undefined },
    member,
  };
  const { own, peers, problems } = await within(namespace, () => reportStatus(running));
  t.match(own, {
    subnets: ["10.65.1.0/24"],
    device: "flannel.1",
    devices: [{ name: "flannel.1", mtu: 1400 }],
    mtu: 1450,
  });
  t.strictSame(
    peers?.map(({ subnets, reach }) => [...subnets, reach]),
    [
      ["10.65.2.0/24", "small packets"],
      ["10.65.3.0/24", "no"],
    ],
  );
  t.strictSame(
    problems.map(({ text }) => text),
    [
      "device flannel.1 has MTU 1400, must have 1450",
      "route 10.65.3.0/24 via 10.65.3.0 is missing",
      "iptables (chain INPUT) drops what other hosts send to UDP port 8472: containers of other hosts do not reach those of this one",
      "10.65.2.0/24 (10.64.0.2) answers small packets, but none of 1450 bytes",
      "10.65.3.0/24 (10.64.0.3) does not answer (ping 10.65.3.0)",
    ],
  );
});
