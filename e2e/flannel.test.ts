// The flannel plugin with a subnet file that the test writes, as flanneld would; the delegates are bridge and host-local, or
// shell scripts where they have to misbehave.
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { withoutRoundRobin } from "./faults/faults.ts";
import { type Call, type Host, newHost, type Outcome, type Verb } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { ourBin } from "./lab/project.ts";

const subnetFile = "/var/lib/flannel/subnet.env";
const ipv4 = ["FLANNEL_NETWORK=10.1.0.0/16", "FLANNEL_SUBNET=10.1.17.1/24"];
const ipv6 = ["FLANNEL_IPV6_NETWORK=fc00::/48", "FLANNEL_IPV6_SUBNET=fc00:0:0:1::1/64"];
const rest = ["FLANNEL_MTU=1472", "FLANNEL_IPMASQ=true"];

const conf = { cniVersion: "1.1.0", name: "cbr0", type: "flannel", subnetFile };

/** A host on which flanneld has written its file. */
function flannelHost(t: Test, lines: readonly string[] = [...ipv4, ...rest], containers = 1): Host {
  const node = newHost(t, { containers });
  writeSubnetFile(node, lines);
  return node;
}

const writeSubnetFile = (node: Host, lines: readonly string[]) => node.write(subnetFile, `${lines.join("\n")}\n`);
const removeSubnetFile = (node: Host) => unlinkSync(join(node.varLib, "flannel/subnet.env"));

/** What flanneld says of itself beside its file. */
const writeState = (node: Host, state: object) => node.write("/var/lib/flannel/subnet.state", JSON.stringify(state));

const stateFolder = (node: Host): string => join(node.varLib, "cni/flannel");
const stateFiles = (node: Host): string[] =>
  existsSync(stateFolder(node)) ? readdirSync(stateFolder(node)).sort() : [];
const stateFile = (node: Host, name: string): string => readFileSync(join(stateFolder(node), name), "utf8");

function succeed(t: Test, node: Host, verb: Verb, call: Call = {}, more: object = {}): Outcome {
  const outcome = node.cni("flannel", verb, { ...conf, ...more }, call);
  t.equal(outcome.status, 0, `${verb} ${JSON.stringify([call.ifName ?? "eth0", outcome.stdout])}`);
  return outcome;
}

const seen = (node: Host) => withoutRoundRobin(node.snapshot());

/** The node after one container came and went: the bridge stays. */
function settled(t: Test, node: Host): unknown {
  for (const verb of ["ADD", "DEL"] as const) succeed(t, node, verb);
  return seen(node);
}

interface Life {
  what: string;
  lines: readonly string[];
  more?: object;
  /** As the reference plugin writes it: keys in alphabetical order. */
  state: string;
  ips: object[];
  routes: object[];
}

const plainBridge = `"isGateway":true,"mtu":1472,"name":"cbr0","type":"bridge"}`;
const lives: Life[] = [
  {
    what: "IPv4",
    lines: [...ipv4, ...rest],
    state: `{"cniVersion":"1.1.0","ipMasq":false,"ipam":{"ranges":[[{"subnet":"10.1.17.0/24"}]],"routes":[{"dst":"10.1.0.0/16"}],"type":"host-local"},${plainBridge}`,
    ips: [{ address: "10.1.17.2/24", gateway: "10.1.17.1" }],
    routes: [{ dst: "10.1.0.0/16" }],
  },
  {
    what: "IPv4 with two networks, and a route of its own",
    lines: ["FLANNEL_NETWORK=10.1.0.0/16,10.9.0.0/16,10.1.0.0/16", "FLANNEL_SUBNET=10.1.17.1/24", ...rest],
    more: { ipam: { routes: [{ dst: "192.0.2.0/24", gw: "10.1.17.1" }] } },
    state: `{"cniVersion":"1.1.0","ipMasq":false,"ipam":{"ranges":[[{"subnet":"10.1.17.0/24"}]],"routes":[{"dst":"192.0.2.0/24","gw":"10.1.17.1"},{"dst":"10.1.0.0/16"},{"dst":"10.9.0.0/16"}],"type":"host-local"},${plainBridge}`,
    ips: [{ address: "10.1.17.2/24", gateway: "10.1.17.1" }],
    routes: [{ dst: "192.0.2.0/24", gw: "10.1.17.1" }, { dst: "10.1.0.0/16" }, { dst: "10.9.0.0/16" }],
  },
  {
    what: "IPv6",
    lines: [...ipv6, ...rest],
    state: `{"cniVersion":"1.1.0","ipMasq":false,"ipam":{"ranges":[[{"subnet":"fc00:0:0:1::/64"}]],"routes":[{"dst":"fc00::/48"}],"type":"host-local"},${plainBridge}`,
    ips: [{ address: "fc00:0:0:1::2/64", gateway: "fc00:0:0:1::1" }],
    routes: [{ dst: "fc00::/48" }],
  },
  {
    what: "dual stack, a bridge of its own, masquerade left to it",
    lines: [...ipv4, ...ipv6, "FLANNEL_MTU=1400", "FLANNEL_IPMASQ=false"],
    more: { delegate: { bridge: "pods0", hairpinMode: true }, runtimeConfig: { mac: "02:00:00:00:00:07" } },
    state: `{"bridge":"pods0","cniVersion":"1.1.0","hairpinMode":true,"ipMasq":true,"ipam":{"ranges":[[{"subnet":"10.1.17.0/24"}],[{"subnet":"fc00:0:0:1::/64"}]],"routes":[{"dst":"10.1.0.0/16"},{"dst":"fc00::/48"}],"type":"host-local"},"isGateway":true,"mtu":1400,"name":"cbr0","runtimeConfig":{"mac":"02:00:00:00:00:07"},"type":"bridge"}`,
    ips: [
      { address: "10.1.17.2/24", gateway: "10.1.17.1" },
      { address: "fc00:0:0:1::2/64", gateway: "fc00:0:0:1::1" },
    ],
    routes: [{ dst: "10.1.0.0/16" }, { dst: "fc00::/48" }],
  },
];

for (const { what, lines, more = {}, state, ips, routes } of lives) {
  t.test(`an attachment comes, is checked and goes: ${what}`, needsRoot, async (t) => {
    const node = flannelHost(t, lines);
    const { stdout } = succeed(t, node, "ADD", {}, more);
    t.match(stdout, { cniVersion: "1.1.0", ips, routes });
    t.equal(stateFile(node, "container-0"), state, "kept for DEL as the reference plugin keeps it");
    t.equal(statSync(join(stateFolder(node), "container-0")).mode % 0o1000, 0o600);
    t.equal(statSync(stateFolder(node)).mode % 0o1000, 0o700);
    const mtu = /"mtu":(\d+)/.exec(state)?.[1];
    t.match(node.containers[0]?.sh("ip link show eth0"), `mtu ${mtu}`);

    removeSubnetFile(node);
    succeed(t, node, "CHECK", {}, { ...more, prevResult: stdout });
    succeed(t, node, "DEL", {}, { ...more, prevResult: stdout });
    t.strictSame(stateFiles(node), []);
    t.strictSame(reservations(node), [], "the addresses are given back");
    t.notMatch(
      JSON.stringify(node.snapshot().namespaces),
      "container-0",
      "no link and no rule of the container is left",
    );
    const after = node.snapshot();
    succeed(t, node, "DEL", {}, more);
    t.strictSame(node.snapshot(), after, "DEL again");
  });
}

function reservations(node: Host): string[] {
  const folder = join(node.varLib, "cni/networks/cbr0");
  return readdirSync(folder).filter((name) => !/^last_|^lock$/.test(name));
}

t.test("two containers of the host reach each other, and the host", needsRoot, async (t) => {
  const node = flannelHost(t, [...ipv4, ...ipv6, ...rest], 2);
  for (const container of [0, 1]) succeed(t, node, "ADD", { container });
  for (const address of ["10.1.17.1", "10.1.17.3", "fc00:0:0:1::1", "fc00:0:0:1::3"])
    t.equal(node.containers[0]?.run("ping", "-c1", "-W5", address).status, 0, address);
});

t.test("without containers the bridge follows a new subnet", needsRoot, async (t) => {
  const node = flannelHost(t);
  settled(t, node);
  writeSubnetFile(node, ["FLANNEL_NETWORK=10.1.0.0/16", "FLANNEL_SUBNET=10.1.99.1/24", ...rest]);
  t.match(succeed(t, node, "ADD").stdout, { ips: [{ address: "10.1.99.2/24", gateway: "10.1.99.1" }] });
  t.notMatch(node.sh("ip address show cni0"), "10.1.17.1");
});

const since = "2026-01-31T12:00:00.000Z";
const logs = "journalctl -u flanneld; in Kubernetes: kubectl -n kube-flannel logs -l app=flannel";
const noFile = `open ${subnetFile}: no such file or directory`;
const says = `/var/lib/flannel/subnet.state was written at ${since} by process`;
const gone = 4_194_305; // above PID_MAX_LIMIT

const missing: { what: string; state?: object; msg: string; details: string }[] = [
  {
    what: "nothing says why",
    msg: `flanneld has not written ${subnetFile}: it does not run on this host, or has not reported its state`,
    details: `${noFile}. To fix: start flanneld; its log says why it ended (${logs})`,
  },
  {
    what: "the daemon waits",
    state: { pid: 1, since, state: "waiting", reason: "etcd http://10.0.0.1:2379 has no network configuration" },
    msg: `flanneld has not written ${subnetFile}: etcd http://10.0.0.1:2379 has no network configuration`,
    details: `${noFile}; ${says} 1. To fix: see flanneld --status, or its log (${logs})`,
  },
  {
    what: "the daemon ended while it waited",
    state: { pid: gone, since, state: "waiting", reason: "no subnet of 10.1.0.0/16 is free" },
    msg: `flanneld has not written ${subnetFile}: no subnet of 10.1.0.0/16 is free`,
    details: `${noFile}; ${says} ${gone}, which has ended or is in another PID namespace. To fix: start flanneld; its log says why it ended (${logs})`,
  },
  {
    what: "an error ended the daemon",
    state: { pid: gone, since, state: "ended", reason: "no external interface found" },
    msg: `flanneld has not written ${subnetFile}: it has ended: no external interface found`,
    details: `${noFile}; ${says} ${gone}, which has ended or is in another PID namespace. To fix: start flanneld; its log says why it ended (${logs})`,
  },
  {
    what: "somebody removed it",
    state: { pid: 1, since, state: "ready", reason: "it has 10.1.17.0/24" },
    msg: `flanneld has written ${subnetFile}, but another process has removed it`,
    details: `${noFile}; ${says} 1. To fix: see flanneld --status, or its log (${logs})`,
  },
];
for (const { what, state, msg, details } of missing) {
  t.test(`without a subnet file ADD says why, and STATUS that it would: ${what}`, needsRoot, async (t) => {
    const node = newHost(t);
    if (state !== undefined) writeState(node, state);
    const before = node.snapshot();
    const told = { status: 1, stdout: { msg, details } };
    t.match(node.cni("flannel", "ADD", conf), { ...told, stdout: { ...told.stdout, code: 11 } });
    t.match(node.cni("flannel", "STATUS", conf), { ...told, stdout: { ...told.stdout, code: 50 } });
    t.strictSame(node.snapshot(), before);
  });
}

const damaged: { lines: string[]; msg: string }[] = [
  {
    lines: ["FLANNEL_MTU=1472"],
    msg: `${subnetFile} is missing FLANNEL_NETWORK, FLANNEL_IPV6_NETWORK, FLANNEL_SUBNET, FLANNEL_IPV6_SUBNET, FLANNEL_IPMASQ`,
  },
  {
    lines: ["FLANNEL_NETWORK", ...rest],
    msg: `${subnetFile}: FLANNEL_NETWORK has no "=", must be a prefix, as "10.1.0.0/16" or "fd00::/48", or several with commas between`,
  },
  {
    lines: ["FLANNEL_SUBNET=10.1.17.1/33", ...rest],
    msg: `${subnetFile}: FLANNEL_SUBNET is "10.1.17.1/33", must be a prefix, as "10.1.0.0/16" or "fd00::/48"`,
  },
];
for (const { lines, msg } of damaged) {
  t.test(`a damaged subnet file is refused: ${lines[0]}`, needsRoot, async (t) => {
    const node = flannelHost(t, lines);
    const details = "To fix: restart flanneld, which writes it again, and check that nothing else writes the file";
    t.match(node.cni("flannel", "ADD", conf), { status: 1, stdout: { code: 6, msg, details } });
    t.match(node.cni("flannel", "STATUS", conf), { status: 1, stdout: { code: 50, msg, details } });
    t.strictSame(stateFiles(node), []);
  });
}

for (const key of ["name", "ipam"]) {
  t.test(`a delegate's "${key}" is refused, but not in the way of DEL`, needsRoot, async (t) => {
    const node = flannelHost(t);
    const wrong = { ...conf, delegate: { [key]: key === "name" ? "other" : {} } };
    const msg = `'delegate' dictionary must not have '${key}' field, it'll be set by flannel`;
    t.match(node.cni("flannel", "ADD", wrong), { status: 1, stdout: { code: 7, msg } });
    succeed(t, node, "ADD");
    t.match(node.cni("flannel", "DEL", wrong), { status: 0 });
    t.strictSame(stateFiles(node), []);
  });
}

t.test("keys that nobody knows are told, flannel's own and the delegate's", needsRoot, async (t) => {
  const node = flannelHost(t);
  const { stderr } = succeed(t, node, "ADD", {}, { subnetfiel: "x", delegate: { isDefaultGatway: true } });
  t.equal(
    stderr,
    'flannel: network "cbr0": unknown key "subnetfiel" is ignored; did you mean "subnetFile"?\n' +
      'bridge: network "cbr0": unknown key "isDefaultGatway" is ignored; did you mean "isDefaultGateway"?\n',
  );
});

t.test("ready: STATUS asks the delegate, and says when the lease is lost", needsRoot, async (t) => {
  const node = flannelHost(t);
  succeed(t, node, "STATUS");
  t.match(node.cni("flannel", "STATUS", { ...conf, ipam: { type: "host-locla" } }), {
    status: 1,
    stdout: { msg: `failed to find plugin "host-locla" in path [${ourBin}]` },
  });
  const reason = "10.1.17.0/24 is 192.0.2.9's since 12:00";
  writeState(node, { pid: 1, since, state: "lost", reason });
  t.match(node.cni("flannel", "STATUS", conf), {
    status: 1,
    stdout: {
      code: 51,
      msg: `flanneld has lost the lease of the subnet in ${subnetFile}: ${reason}`,
      details: `${says} 1. To fix: see flanneld --status, or its log (${logs})`,
    },
  });
  succeed(t, node, "ADD");

  const later = new Date(Date.now() + 1000);
  utimesSync(join(node.varLib, "flannel/subnet.env"), later, later);
  succeed(t, node, "STATUS"); // another daemon, as flannel's own, has a lease since
});

t.test("a failed ADD leaves nothing", needsRoot, async (t) => {
  const node = flannelHost(t);
  const before = settled(t, node);
  node.containers[0]?.sh("ip link add eth0 type bridge");
  const refused = node.cni("flannel", "ADD", conf);
  t.match(refused, { status: 1, stdout: { code: 999 } });
  t.match(node.containers[0]?.sh("ip -d link show eth0"), "bridge", "what was there before is not taken away");
  node.containers[0]?.sh("ip link del eth0");
  t.strictSame(seen(node), before);
});

t.test("a delegate that cannot be started leaves no record, so that DEL succeeds", needsRoot, async (t) => {
  const node = flannelHost(t);
  const folder = mkdtempSync(join(tmpdir(), `twill-${process.pid}-flannel-`));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "noprogram"), "not a program", { mode: 0o755 });
  writeFileSync(join(folder, "noright"), "#!/bin/sh", { mode: 0o644 });
  const before = settled(t, node);
  for (const type of ["brigde", "noprogram", "noright", "a/b", ""]) {
    const given = { ...conf, delegate: { type } };
    const path = `${ourBin}:${folder}`;
    const { status, stderr } = node.cni("flannel", "ADD", given, { path });
    t.strictSame({ status, stderr }, { status: 1, stderr: "" }, `ADD with delegate "${type}"`);
    t.match(node.cni("flannel", "DEL", given, { path }), { status: 0, stdout: "" }, `DEL with delegate "${type}"`);
  }
  t.strictSame(seen(node), before);
});

t.test(
  "a delegate that makes no interface is refused before anything is made, but not by DEL",
  needsRoot,
  async (t) => {
    const node = flannelHost(t);
    const before = seen(node);
    for (const type of ["host-local", "static", "dhcp", "flannel"]) {
      const own = { ...conf, delegate: { type }, "cni.dev/valid-attachments": [] };
      for (const verb of ["ADD", "GC", "STATUS"] as const)
        t.match(
          node.cni("flannel", verb, own),
          {
            status: 1,
            stdout: { code: 7, msg: `"delegate.type" is "${type}", which makes no interface`, details: /ipam.type/ },
          },
          `${type}: ${verb}`,
        );
      t.match(node.cni("flannel", "DEL", own), { status: 0, stdout: "", stderr: "" });
    }
    t.strictSame(seen(node), before);
  },
);

t.test("an ADD that comes twice fails, and the first one's container keeps everything", needsRoot, async (t) => {
  const node = flannelHost(t);
  const { stdout } = succeed(t, node, "ADD");
  const before = seen(node);
  writeSubnetFile(node, [
    "FLANNEL_NETWORK=10.1.0.0/16",
    "FLANNEL_SUBNET=10.1.17.1/24",
    "FLANNEL_MTU=1400",
    "FLANNEL_IPMASQ=true",
  ]);
  t.equal(node.cni("flannel", "ADD", conf).status, 1);
  writeSubnetFile(node, [...ipv4, ...rest]);
  t.strictSame(seen(node), before);
  succeed(t, node, "CHECK", {}, { prevResult: stdout });
});

t.test("each interface of a container is remembered for itself", needsRoot, async (t) => {
  const node = flannelHost(t);
  const before = settled(t, node);
  const { stdout: first } = succeed(t, node, "ADD");
  succeed(t, node, "ADD", { ifName: "net1" });
  t.strictSame(stateFiles(node), ["container-0", "container-0:eth0", "container-0:net1"]);
  for (const again of [1, 2]) {
    succeed(t, node, "DEL", { ifName: "net1" });
    t.strictSame(stateFiles(node), ["container-0", "container-0:eth0"], `net1's DEL ${again}`);
  }
  succeed(t, node, "CHECK", {}, { prevResult: first });
  succeed(t, node, "DEL");
  t.strictSame(seen(node), before);
});

t.test("another network's interface in the same container is none of its business", needsRoot, async (t) => {
  const node = flannelHost(t);
  const other = { name: "other", delegate: { bridge: "other0" } };
  succeed(t, node, "ADD");
  succeed(t, node, "DEL", { ifName: "net1" }, other);
  t.strictSame(stateFiles(node), ["container-0", "container-0:eth0"]);
});

/** What the reference plugin would have left: its file, and what its delegate made. */
function attachedByReference(node: Host): void {
  const delegate = {
    cniVersion: "1.1.0",
    ipMasq: false,
    ipam: { ranges: [[{ subnet: "10.1.17.0/24" }]], routes: [{ dst: "10.1.0.0/16" }], type: "host-local" },
    isGateway: true,
    mtu: 1472,
    name: "cbr0",
    type: "bridge",
  };
  const { status, stdout } = node.cni("bridge", "ADD", delegate);
  if (status !== 0) throw new Error(JSON.stringify(stdout));
  node.write("/var/lib/cni/flannel/container-0", JSON.stringify(delegate));
}

t.test("what the reference plugin has attached can be deleted, whatever the subnet is now", needsRoot, async (t) => {
  const node = flannelHost(t);
  const before = settled(t, node);
  attachedByReference(node);
  writeSubnetFile(node, ["FLANNEL_NETWORK=10.7.0.0/16", "FLANNEL_SUBNET=10.7.1.1/24", ...rest]);
  succeed(t, node, "DEL");
  writeSubnetFile(node, [...ipv4, ...rest]);
  t.strictSame(seen(node), before);
});

t.test("an ADD over what the reference plugin has attached fails, and leaves it", needsRoot, async (t) => {
  const node = flannelHost(t);
  settled(t, node);
  attachedByReference(node);
  const before = seen(node);
  t.equal(node.cni("flannel", "ADD", conf).status, 1);
  t.strictSame(seen(node), before);
});

for (const [what, subnetLines] of [
  ["with the subnet file", [...ipv4, ...rest]],
  ["without", undefined],
  ["with a damaged subnet file", ["FLANNEL_MTU"]],
] as const) {
  t.test(`a damaged record is told, and DEL deletes by the network's configuration: ${what}`, needsRoot, async (t) => {
    const node = flannelHost(t, [...ipv4, "FLANNEL_MTU=1472", "FLANNEL_IPMASQ=false"]);
    const before = settled(t, node);
    succeed(t, node, "ADD");
    node.write("/var/lib/cni/flannel/container-0", '{"name":"cbr0","ty');
    if (subnetLines === undefined) removeSubnetFile(node);
    else writeSubnetFile(node, subnetLines);
    const { stderr } = succeed(t, node, "DEL", {}, { delegate: { mtu: "1400", name: "not mine" } });
    t.equal(
      stderr.replace(/(?<=\n)host-local: .* no IP ranges specified.*\n/, ""),
      "flannel: /var/lib/cni/flannel/container-0:eth0 is damaged: container container-0 is deleted by the network's present " +
        "configuration instead\n",
    );
    t.strictSame(stateFiles(node), []);
    writeSubnetFile(node, [...ipv4, "FLANNEL_MTU=1472", "FLANNEL_IPMASQ=false"]);
    t.strictSame(seen(node), before);
    t.match(node.cni("flannel", "CHECK", { ...conf, prevResult: {} }), {
      status: 1,
      stdout: { code: 999, msg: 'there is no record of "eth0" of container container-0' },
    });
  });
}

for (const verb of ["DEL", "GC"] as const) {
  t.test(`what a power failure has emptied is forgotten by ${verb}`, needsRoot, async (t) => {
    const node = flannelHost(t);
    for (const name of ["container-0", "container-0:eth0"]) node.write(`/var/lib/cni/flannel/${name}`, "");
    const calls = verb === "DEL" ? [1, 2] : [1]; // files that were one, as a backup restores them
    for (const _ of calls) t.equal(succeed(t, node, verb, {}, { "cni.dev/valid-attachments": [] }).stderr, "");
    t.strictSame(stateFiles(node), []);
  });
}

/** A delegate of somebody else's, which writes down what it is asked. @param answers By verb, in shell. */
function scripted(t: Test, answers: Partial<Record<Verb, string>>): { path: string; calls: () => string[] } {
  const folder = mkdtempSync(join(tmpdir(), `twill-${process.pid}-flannel-`));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const log = join(folder, "log");
  writeFileSync(log, "");
  const cases = Object.entries(answers).map(([verb, script]) => `${verb}) ${script} ;;`);
  const script = `#!/bin/sh\necho "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME" >> ${log}\ncat >> ${folder}/stdin\ncase $CNI_COMMAND in ${cases.join("\n")} esac\n`;
  writeFileSync(join(folder, "theirs"), script, { mode: 0o755 });
  return { path: `${folder}:${ourBin}`, calls: () => readFileSync(log, "utf8").trimEnd().split("\n") };
}

const theirs = { delegate: { type: "theirs", colour: { hue: 1 } } };
const ok = `echo '{"cniVersion":"1.1.0","ips":[{"address":"10.1.17.9/24"}]}'`;
const fails = `echo '{"code":123,"msg":"not now"}'; exit 1`;

t.test("DEL can be repeated until the delegate has done it", needsRoot, async (t) => {
  const node = flannelHost(t);
  const { path: stubborn, calls } = scripted(t, { ADD: ok, DEL: fails });
  t.match(succeed(t, node, "ADD", { path: stubborn }, theirs).stdout, { ips: [{ address: "10.1.17.9/24" }] });
  t.equal(
    stateFile(node, "container-0"),
    '{"cniVersion":"1.1.0","colour":{"hue":1},"ipMasq":false,"ipam":{"ranges":[[{"subnet":"10.1.17.0/24"}]],"routes":[{"dst":"10.1.0.0/16"}],"type":"host-local"},"mtu":1472,"name":"cbr0","type":"theirs"}',
    "isGateway is bridge's",
  );
  const failed = node.cni("flannel", "DEL", { ...conf, ...theirs }, { path: stubborn });
  t.match(failed, { status: 1, stdout: { code: 123, msg: "not now" } }, "with the delegate's own code");
  t.strictSame(stateFiles(node), ["container-0", "container-0:eth0"]);
  const { path: willing, calls: later } = scripted(t, { DEL: "exit 0" });
  succeed(t, node, "DEL", { path: willing }, theirs);
  t.strictSame(stateFiles(node), []);
  t.strictSame([...calls(), ...later()], ["ADD container-0 eth0", "DEL container-0 eth0", "DEL container-0 eth0"]);
});

t.test("a delegate of somebody else's gets a DEL when its ADD failed", needsRoot, async (t) => {
  const node = flannelHost(t);
  const { path, calls } = scripted(t, { ADD: fails });
  t.match(node.cni("flannel", "ADD", { ...conf, ...theirs }, { path }), { status: 1, stdout: { code: 123 } });
  t.strictSame(calls(), ["ADD container-0 eth0", "DEL container-0 eth0"]);
  t.strictSame(stateFiles(node), []);
});

t.test("the record is on the disk first when others keep what must not be forgotten", needsRoot, async (t) => {
  const node = flannelHost(t);
  const { path } = scripted(t, { ADD: ok });
  const trace = join(dirname(node.varLib), "trace");
  const under = ["strace", "-f", "-qq", "-e", "trace=fsync,execve", "-o", trace];
  const seen = (more: object) => {
    succeed(t, node, "ADD", { path, under }, more);
    const calls = [...readFileSync(trace, "utf8").matchAll(/ (fsync|execve)\(.* = 0$/gm)].map(([, name]) => name);
    succeed(t, node, "DEL", { path }, more);
    return calls.slice(1, 3); // after its own start
  };
  t.strictSame(seen(theirs), ["fsync", "execve"]);
  t.strictSame(seen({ ipam: { type: "theirs" } }), ["fsync", "execve"]);
  t.strictSame(seen({}), [], "bridge and host-local are ours");
});

t.test("GC deletes what is not valid, of its own network only", needsRoot, async (t) => {
  const node = flannelHost(t, [...ipv4, ...rest], 3);
  const other = { name: "other", delegate: { bridge: "other0" } };
  succeed(t, node, "ADD", { container: 0 });
  succeed(t, node, "ADD", { container: 1, ifName: "net1" });
  succeed(t, node, "ADD", { container: 2 }, other);
  const valid = [{ containerID: "container-0", ifname: "eth0" }];
  succeed(t, node, "GC", {}, { "cni.dev/valid-attachments": valid });
  t.strictSame(stateFiles(node), ["container-0", "container-0:eth0", "container-2", "container-2:eth0"]);
  t.strictSame(reservations(node), ["10.1.17.2"]);
  t.match(node.containers[0]?.sh("ip address show eth0"), "10.1.17.2/24");
  t.equal(node.containers[1]?.run("ip", "link", "show", "net1").status, 1, "its link is gone");
  t.match(node.containers[2]?.sh("ip address show eth0"), "inet 10.1.17.");
});

t.test(
  "GC after a restart of the host needs no subnet file, and takes what the reference plugin left",
  needsRoot,
  async (t) => {
    const node = flannelHost(t, [...ipv4, ...rest], 2);
    attachedByReference(node);
    succeed(t, node, "ADD", { container: 1 });
    node.sh("ip link del cni0");
    for (const { sh } of node.containers) sh("ip link del eth0");
    removeSubnetFile(node);
    const before = stateFiles(node);
    t.strictSame(before, ["container-0", "container-1", "container-1:eth0"]);
    succeed(t, node, "GC", {}, { "cni.dev/valid-attachments": [] });
    t.strictSame([stateFiles(node), reservations(node)], [[], []]);
    succeed(t, node, "GC", {}, { "cni.dev/valid-attachments": [] });
  },
);
