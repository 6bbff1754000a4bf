// host-device with a veth for a device, as `ip` sees it. Real network cards: host-device-hardware.test.ts.
import { type ChildProcess, spawn } from "node:child_process";
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { withDevices } from "./lab/sysfs.ts";

const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };
const dataDir = "/var/lib/host-device";
const network = (keys: object = {}) => ({
  cniVersion: "1.1.0",
  name: "net",
  type: "host-device",
  device: "dev0",
  dataDir,
  ipam,
  ...keys,
});
const withPci = (driver?: string) =>
  withDevices({
    path: "pci/devices/0000:00:1f.6",
    ...(driver && { driver }),
    net: driver === "vfio-pci" ? [] : ["dev0"],
  });

type Test = Parameters<typeof newHost>[0];

/** A host with a device that is up and has an alias. */
function hostWithDevice(t: Test, containers = 1): Host {
  const node = newHost(t, { containers });
  node.sh(`ip link add dev0 address 02:00:00:00:00:05 type veth peer name peer0
    ip link set dev0 up alias 'to the storage'`);
  return node;
}

const linksOf = (node: Host, where = node.name) => node.snapshot().namespaces[where]?.links ?? {};
const files = (node: Host) => Object.keys(node.snapshot().files).filter((path) => /net\/(container|\d)/.test(path));
/** Links and files, but for flags: DEL leaves the device down, and its peer follows. */
const left = (node: Host) => ({
  links: Object.entries(linksOf(node)).map(([name, { flags: _, ...link }]) => ({ name, ...link })),
  files: files(node),
});

t.test("host-device: the device goes into the container and comes back as it was, down", needsRoot, async (t) => {
  const node = hostWithDevice(t);
  const before = left(node);
  const { status, stdout, stderr } = node.cni("host-device", "ADD", network());
  t.match({ status, stderr }, { status: 0, stderr: "" });
  const container = node.containers[0];
  t.match(stdout, {
    interfaces: [{ name: "eth0", mac: "02:00:00:00:00:05", sandbox: container?.path }],
    ips: [{ address: "10.1.0.2/24", interface: 0 }],
  });
  t.match(linksOf(node, container?.name)["eth0"], { alias: "dev0", flags: /UP/ }, "as the Go plugin marks it");
  t.match(container?.sh("ip address show eth0"), "inet 10.1.0.2/24");
  t.equal(linksOf(node)["dev0"], undefined);

  const held = network({ prevResult: stdout });
  t.match(node.cni("host-device", "CHECK", held), { status: 0, stdout: "" });
  container?.sh("ip address flush dev eth0");
  t.match(node.cni("host-device", "CHECK", held), {
    status: 1,
    stdout: { code: 999, msg: 'address 10.1.0.2/24 is not on "eth0", only none' },
  });

  for (const again of ["once", "twice"])
    t.match(node.cni("host-device", "DEL", held), { status: 0, stdout: "" }, again);
  t.strictSame(left(node), before);
  t.notMatch(linksOf(node)["dev0"]?.flags, "UP");
});

t.test("host-device: without IPAM it moves the device, sets it up, and knows nothing more", needsRoot, async (t) => {
  const node = hostWithDevice(t);
  const conf = network({ ipam: {} });
  const added = node.cni("host-device", "ADD", conf);
  t.match(added, { status: 0, stdout: { interfaces: [{ name: "eth0" }], ips: undefined } });
  t.match(node.cni("host-device", "CHECK", { ...conf, prevResult: added.stdout }), { status: 0 });
  t.match(node.cni("host-device", "DEL", conf), { status: 0 });
});

t.test("host-device: the host never sees a name that is not to stay", needsRoot, async (t) => {
  const node = hostWithDevice(t);
  for (const claim of ["free in the container", "another interface's there"]) {
    const names = await namesSeen(node, () => {
      t.match(node.cni("host-device", "ADD", network()), { status: 0 });
      if (claim !== "free in the container") node.containers[0]?.sh("ip link add dev0 type veth peer name other");
      t.match(node.cni("host-device", "DEL", network()), { status: 0, stderr: "" });
    });
    t.strictSame([...names].sort(), ["dev0"], `the name on the host is ${claim}`);
    t.match(linksOf(node)["dev0"], { alias: "to the storage" });
  }
});

/** Between changes that a monitor that has just been started is to tell of. */
const POKE_MS = 50;

/** Of interfaces, by the kernel's notifications. */
async function namesSeen(node: Host, work: () => void): Promise<Set<string>> {
  const monitor = spawn("ip", ["-o", "-n", node.name, "monitor", "link"], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    node.sh("ip link add first type veth peer name firstpeer");
    const poke = setInterval(() => node.sh("ip link set first down; ip link set first up"), POKE_MS);
    while (!(await heard(monitor)).includes("first")); // it listens from now on
    clearInterval(poke);
    work();
    node.sh("ip link delete first; ip link add last type veth peer name lastpeer");
    const lines: string[] = [];
    while (!lines.some((line) => line.includes(" last"))) lines.push(...(await heard(monitor)).split("\n"));
    node.sh("ip link delete last");
    const names = lines.flatMap((line) => /^(?:Deleted )?\d+: ([^:@]+)/.exec(line)?.[1] ?? []);
    return new Set(names.filter((name) => !/^(first|last)/.test(name)));
  } finally {
    monitor.kill("SIGKILL");
  }
}

const heard = ({ stdout }: ChildProcess): Promise<string> =>
  new Promise((resolve) => stdout?.once("data", (chunk) => resolve(String(chunk))));

t.test("host-device: an ADD that cannot be done gives the device back, up as it was", needsRoot, async (t) => {
  const node = hostWithDevice(t);
  const before = { host: linksOf(node), files: files(node) };
  const routes = [{ dst: "192.0.2.0/24", gw: "203.0.113.1" }];
  const attempts: [string, object, object][] = [
    [
      "the kernel refuses a route",
      { ipam: { ...ipam, routes } },
      { msg: /^the kernel refuses route 192\.0\.2\.0\/24/ },
    ],
    [
      "no address is left",
      { ipam: { ...ipam, ranges: [[{ subnet: "10.1.0.0/30" }], [{ subnet: "10.1.0.0/30" }]] } },
      {},
    ],
    [
      "the result has no form",
      { cniVersion: "0.2.0", ipam: {} },
      { code: 1, msg: "cannot convert: no valid IP addresses" },
    ],
    ["there is no IPAM plugin", { ipam: { type: "none" } }, {}],
  ];
  for (const [claim, keys, says] of attempts) {
    t.match(node.cni("host-device", "ADD", network(keys)), { status: 1, stdout: says }, claim);
    const after = { host: linksOf(node), files: files(node) };
    if (claim === "the result has no form")
      node.sh("ip link set dev0 up"); // it was a DEL
    else t.strictSame(after, before, claim);
    t.strictSame(Object.keys(linksOf(node, node.containers[0]?.name)), ["lo"], claim);
  }
});

t.test("host-device: an interface of the container is left alone", needsRoot, async (t) => {
  const node = hostWithDevice(t);
  node.containers[0]?.sh("ip link add eth0 type veth peer name other");
  const before = node.snapshot().namespaces;
  t.match(node.cni("host-device", "ADD", network()), {
    status: 1,
    stdout: {
      code: 999,
      msg: `interface "eth0" already exists in ${node.containers[0]?.path}`,
      details: /^"dev0" would get that name in the container\. To fix: ./,
    },
  });
  t.match(node.cni("host-device", "DEL", network()), {
    status: 0,
    stderr:
      'host-device: network "net": failed to find original ifname for "eth0" (alias is not set): it stays in the container\n',
  });
  t.strictSame(node.snapshot().namespaces, before);
});

t.test(
  "host-device: DEL brings the device back whatever is missing, and releases the address",
  needsRoot,
  async (t) => {
    const node = hostWithDevice(t);
    const before = left(node);
    const ignored = /ignores a part of the configuration: "hwaddr" is "none", .*\(and 1 more\)\n$/;
    for (const [claim, keys, netns, stderr = ""] of [
      ["CNI_NETNS is empty", {}, ""],
      ["the path is gone", {}, "/run/netns/gone-long-ago"],
      ["the configuration names another device", { device: "dev9" }, undefined],
      ["the configuration names none", { device: "" }, undefined],
      ["a key is wrong", { device: "", kernelpath: "/tmp", hwaddr: "none", pciBusID: "none" }, undefined, ignored],
      ["the PCI device is gone", { device: "", pciBusID: "0000:ff:1f.6" }, undefined],
    ] as const) {
      t.match(node.cni("host-device", "ADD", network()), { status: 0 });
      const call = netns === undefined ? {} : { environment: { CNI_NETNS: netns } };
      for (const again of ["", ", twice"])
        t.match(node.cni("host-device", "DEL", network(keys), call), { status: 0, stdout: "", stderr }, claim + again);
      t.strictSame(left(node), before, claim);
    }
  },
);

t.test("host-device: DEL says once that the device is gone for good, and is content", needsRoot, async (t) => {
  const node = hostWithDevice(t);
  const gone =
    'host-device: network "net": "dev0", which was "eth0" of the container, is neither in the container nor on the host: it was deleted, or moved to another namespace, from where it does not return with its name and its alias "to the storage"\n';
  node.cni("host-device", "ADD", network());
  node.sh("ip link delete peer0");
  for (const stderr of [gone, ""]) t.strictSame(node.cni("host-device", "DEL", network()).stderr, stderr);
  t.strictSame(files(node), []);
});

t.test("host-device: a device that the container has renamed comes back", needsRoot, async (t) => {
  const node = hostWithDevice(t);
  const before = left(node);
  const record = `${dataDir}/net/container-0:eth0`;
  const collected = { "cni.dev/valid-attachments": [] };
  for (const [claim, verb, keys, script] of [
    ["and the configuration names another device", "DEL", { device: "dev9" }, "true"],
    ["and GC is called", "GC", collected, "true"],
    ["and its alias", "DEL", {}, "ip link set renamed alias mine"],
    ["and its MAC", "DEL", {}, "ip link set renamed address 02:00:00:00:00:09"],
    ["and other interfaces have both names", "DEL", {}, "ip link add eth0 type veth peer name dev0"],
  ] as const) {
    t.match(node.cni("host-device", "ADD", network()), { status: 0 });
    node.containers[0]?.sh(`ip link set eth0 down; ip link set eth0 name renamed; ${script}`);
    t.match(node.cni("host-device", verb, network(keys)), { status: 0, stderr: "" }, claim);
    t.strictSame(left(node), before, claim);
    node.containers[0]?.sh("ip link delete eth0 2>/dev/null || true");
  }

  t.match(node.cni("host-device", "ADD", network()), { status: 0 });
  node.sh(`rm ${record}; ip -n ${node.containers[0]?.name} link set eth0 name renamed`);
  t.match(node.cni("host-device", "DEL", network()), { status: 0, stderr: "" }, "as the reference plugin leaves it");
  t.match(linksOf(node)["dev0"], { alias: "" });
});

t.test(
  "host-device: MAC, MTU, queue and flags are the host's again, also when tuning's DEL never came",
  needsRoot,
  async (t) => {
    const node = hostWithDevice(t);
    node.sh("ip link set dev0 down; ip link set dev0 mtu 1480 txqueuelen 77 allmulticast on");
    const state = () => {
      const [link] = node.json("ip", "-j", "link", "show", "dev0") as Record<string, unknown>[];
      return ["flags", "mtu", "txqlen", "address", "ifalias"].map((key) => link?.[key]);
    };
    const before = state();
    const tuned = {
      ...{ cniVersion: "1.1.0", name: "net", type: "tuning", dataDir: "/var/lib/tuning" },
      ...{ mac: "c2:11:22:33:44:55", mtu: 1400, promisc: true, allmulti: false, txQLen: 55 },
    };
    const gc = { "cni.dev/valid-attachments": [] };
    const attach = () => {
      const { stdout: prevResult } = node.cni("host-device", "ADD", network());
      t.match(node.cni("tuning", "ADD", { ...tuned, prevResult }), { status: 0 });
    };
    for (const calls of [
      ["host-device", "tuning"],
      ["tuning", "host-device"],
    ]) {
      attach();
      for (const plugin of calls) {
        const conf = plugin === "tuning" ? tuned : network();
        t.match(node.cni(plugin, "GC", { ...conf, ...gc }), { status: 0, stderr: "" });
      }
      t.strictSame(state(), before, `GC of ${calls.join(", then ")}`);
    }
    attach();
    node.containers[0]?.sh("ip link add dev0 type veth peer name other");
    t.match(node.cni("host-device", "DEL", network()), { status: 0, stderr: "" });
    t.match(node.cni("tuning", "DEL", tuned, { environment: { CNI_NETNS: "" } }), { status: 0 });
    t.strictSame(state(), before, "DEL, with the host's name in use in the container");
  },
);

t.test(
  "host-device: a name that is taken fails DEL, the device stays as it is, a later DEL does it",
  needsRoot,
  async (t) => {
    const node = hostWithDevice(t);
    const before = left(node);
    node.cni("host-device", "ADD", network());
    const inside = linksOf(node, node.containers[0]?.name);
    node.sh("ip link add dev0 address 02:00:00:00:00:07 type veth peer name other");
    t.match(node.cni("host-device", "DEL", network()), {
      status: 1,
      stdout: {
        code: 999,
        msg: '"eth0" cannot have its name "dev0" on the host again: another interface has it',
        details: /^that one has index \d+ and MAC 02:00:00:00:00:07\. To fix: rename or delete that interface/,
      },
    });
    t.strictSame(linksOf(node, node.containers[0]?.name), inside);
    node.sh("ip link delete dev0");
    t.match(node.cni("host-device", "DEL", network()), { status: 0 });
    t.strictSame(left(node), before);
  },
);

t.test(
  "host-device: GC brings back the devices of attachments that are not valid, and no others",
  needsRoot,
  async (t) => {
    const node = hostWithDevice(t, 2);
    node.sh("ip link add dev1 type veth peer name peer1");
    const before = left(node);
    node.cni("host-device", "ADD", network());
    node.cni("host-device", "ADD", network({ device: "dev1" }), { container: 1 });
    const gc = (...containers: number[]) =>
      node.cni("host-device", "GC", {
        ...network(),
        "cni.dev/valid-attachments": containers.map((i) => ({ containerID: `container-${i}`, ifname: "eth0" })),
      });
    t.match(gc(0, 1), { status: 0, stderr: "" });
    t.strictSame(Object.keys(linksOf(node)).sort(), ["lo", "peer0", "peer1"]);
    t.match(gc(1), { status: 0, stderr: "" });
    t.strictSame(Object.keys(linksOf(node)).sort(), ["dev0", "lo", "peer0", "peer1"]);
    t.match(gc(), { status: 0, stderr: "" });
    t.strictSame(left(node), before);
  },
);

t.test("host-device: a device that a container has is told with whose it is", needsRoot, async (t) => {
  const node = hostWithDevice(t, 2);
  node.cni("host-device", "ADD", network());
  for (const keys of [{}, { device: "", hwaddr: "02:00:00:00:00:05" }]) {
    t.match(node.cni("host-device", "ADD", network(keys), { container: 1 }), {
      status: 1,
      stdout: {
        code: 999,
        msg: /^failed to find host device: there is no interface ("dev0"|with MAC 02:00:00:00:00:05) on the host$/,
        details: /^container container-0 of network "net" has it as "eth0"\. To fix: ./,
      },
    });
  }
  t.match(node.cni("host-device", "DEL", network()), { status: 0 });
});

t.test("host-device: what the device did on the host is told before it ends", needsRoot, async (t) => {
  const node = hostWithDevice(t);
  node.sh("ip address add 192.0.2.5/24 dev dev0; ip link set peer0 up; ip route add default via 192.0.2.1");
  const says = (uses: string) =>
    `host-device: network "net": "dev0" is in use on the host (${uses}): this is lost, and is not restored when the device returns\n`;
  t.equal(node.cni("host-device", "ADD", network()).stderr, says("address 192.0.2.5/24, default route"));
  node.cni("host-device", "DEL", network());
  node.sh("ip link add br0 type bridge; ip link set dev0 master br0");
  t.equal(node.cni("host-device", "ADD", network()).stderr, says('port of "br0"'));
});

t.test("host-device: a bridge cannot leave, and stays up", needsRoot, async (t) => {
  const node = newHost(t);
  node.sh("ip link add br0 type bridge; ip link set br0 up");
  t.match(node.cni("host-device", "ADD", network({ device: "br0" })), {
    status: 1,
    stdout: {
      msg: `failed to move "br0" to ${node.containers[0]?.path} as "eth0"`,
      details: /To fix: bridges, loopback and some other devices cannot leave their namespace/,
    },
  });
  t.match(linksOf(node)["br0"], { flags: /UP/, alias: "" });
  t.strictSame(files(node), []);
});

t.test("host-device: a device on the auxiliary bus is found by its device ID", needsRoot, async (t) => {
  const node = hostWithDevice(t);
  const id = "mlx5_core.sf.4";
  const under = withDevices({ path: `auxiliary/devices/${id}`, net: ["dev0"] }, { path: "pci/devices/0000:00:1f.6" });
  const conf = network({ device: "", pciBusID: "0000:00:1f.6", runtimeConfig: { deviceID: id } });
  t.match(node.cni("host-device", "ADD", conf, { under }), { status: 0, stdout: { interfaces: [{ name: "eth0" }] } });
  t.match(node.cni("host-device", "DEL", conf, { under }), { status: 0 });
  t.match(linksOf(node)["dev0"], { alias: "to the storage" });
});

t.test("host-device: a device for programs has addresses, and is not looked for", needsRoot, async (t) => {
  const node = hostWithDevice(t);
  const before = linksOf(node);
  const conf = network({ pciBusID: "0000:00:1f.6" });
  const under = withPci("vfio-pci");
  const added = node.cni("host-device", "ADD", conf, { under });
  t.match(added, {
    status: 0,
    stdout: { interfaces: [{ name: "eth0", mac: undefined }], ips: [{ address: "10.1.0.2/24", interface: 0 }] },
  });
  t.strictSame(linksOf(node), before);
  t.match(node.cni("host-device", "CHECK", { ...conf, prevResult: added.stdout }, { under }), { status: 0 });
  for (const again of ["once", "twice"]) t.match(node.cni("host-device", "DEL", conf, { under }), { status: 0 }, again);
  t.strictSame(files(node), []);
});

const refusals: { keys: object; under?: readonly string[]; code: number; msg: string }[] = [
  { keys: { device: "" }, code: 7, msg: 'specify either "device", "hwaddr", "kernelpath" or "pciBusID"' },
  {
    keys: { kernelpath: "/sys/class/net/dev0" },
    code: 7,
    msg: 'kernel device path "/sys/class/net/dev0" must be absolute and begin with /sys/devices/',
  },
  {
    keys: { pciBusID: "00:1f.6" },
    code: 7,
    msg: '"pciBusID" is "00:1f.6", must be a PCI address with its domain, as "0000:00:1f.6" (matching ^([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\\.[0-7])?$)',
  },
  {
    keys: { runtimeConfig: { deviceID: "0000:00:02.0" } },
    under: withPci("e1000e"),
    code: 7,
    msg: "runtime config DeviceID 0000:00:02.0 not found or unsupported",
  },
  {
    keys: { pciBusID: "0000:00:02.0" },
    under: withPci("e1000e"),
    code: 7,
    msg: 'error with host device: PCI device "0000:00:02.0" does not exist',
  },
  {
    keys: { pciBusID: "0000:00:1f.6" },
    under: withPci(),
    code: 999,
    msg: 'error with host device: PCI device "0000:00:1f.6" has no driver',
  },
  {
    keys: { device: "", kernelpath: "/sys/devices/virtual/none" },
    code: 999,
    msg: "failed to find host device: there is no interface of /sys/devices/virtual/none on the host",
  },
];
t.test("host-device: what cannot be is refused before anything is done", needsRoot, async (t) => {
  const node = hostWithDevice(t);
  const before = node.snapshot();
  for (const { keys, under, code, msg } of refusals) {
    t.match(
      node.cni("host-device", "ADD", network(keys), under && { under }),
      { status: 1, stdout: { code, msg, details: /To fix: ./ } },
      msg,
    );
  }
  t.strictSame(node.snapshot(), before);
});

t.test("host-device: STATUS asks IPAM, and refuses what is wrong in any case", needsRoot, async (t) => {
  const node = newHost(t);
  t.match(node.cni("host-device", "STATUS", network({ device: "" })), { status: 0, stdout: "" }, "a call may name one");
  t.match(node.cni("host-device", "STATUS", network({ kernelpath: "/tmp" })), { status: 1, stdout: { code: 7 } });
  t.match(node.cni("host-device", "STATUS", network({ ipam: { type: "host-local" } })), { status: 1 });
});
