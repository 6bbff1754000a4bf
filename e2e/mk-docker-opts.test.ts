// The five calls of flannel's own test of its script, and what else the script does.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Host, newHost, type Ran } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { ourTools } from "./lab/project.ts";

const subnetFile = [
  "FLANNEL_NETWORK=10.1.0.0/16",
  "FLANNEL_SUBNET=10.1.74.1/24",
  "FLANNEL_MTU=1472",
  "FLANNEL_IPMASQ=false",
];

interface Files {
  node: Host;
  input: string;
  output: string;
}

function files(t: Test, lines: readonly string[] = subnetFile): Files {
  const folder = mkdtempSync(join(tmpdir(), `twill-${process.pid}-docker-opts-`));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "subnet.env"), `${lines.join("\n")}\n`);
  return { node: newHost(t), input: join(folder, "subnet.env"), output: join(folder, "docker_opts.env") };
}

function run(
  { node, input, output }: Files,
  args: readonly string[] = [],
  environment: Record<string, string> = {},
): Ran {
  return node.runInside([join(ourTools, "mk-docker-opts"), "-f", input, "-d", output, ...args], environment);
}

const each = [
  'DOCKER_OPT_BIP="--bip=10.1.74.1/24"',
  'DOCKER_OPT_IPMASQ="--ip-masq=true"',
  'DOCKER_OPT_MTU="--mtu=1472"',
];
const all = '" --bip=10.1.74.1/24 --ip-masq=true --mtu=1472"';

const cases: { args: string[]; lines: string[] }[] = [
  { args: [], lines: [...each, `DOCKER_OPTS=${all}`] },
  { args: ["-i"], lines: each },
  { args: ["-c"], lines: [`DOCKER_OPTS=${all}`] },
  { args: ["-k", "CUSTOM_KEY"], lines: [...each, `CUSTOM_KEY=${all}`] },
  {
    args: ["-m"],
    lines: [
      'DOCKER_OPT_BIP="--bip=10.1.74.1/24"',
      'DOCKER_OPT_MTU="--mtu=1472"',
      'DOCKER_OPTS=" --bip=10.1.74.1/24 --mtu=1472"',
    ],
  },
];
for (const { args, lines } of cases) {
  t.test(`mk-docker-opts ${args.join(" ")}`, needsRoot, async (t) => {
    const place = files(t);
    writeFileSync(place.output, "what was there before\n".repeat(100));
    t.strictSame(run(place, args), { status: 0, signal: null, stdout: "", stderr: "" });
    t.equal(readFileSync(place.output, "utf8"), lines.map((line) => `${line}\n`).join(""));
  });
}

t.test("what is in the environment counts where the file says nothing", needsRoot, async (t) => {
  const place = files(t, ["export FLANNEL_MTU='1400' # as measured"]);
  const environment = {
    FLANNEL_MTU: "9000",
    FLANNEL_SUBNET: "10.9.9.1/24",
    DOCKER_OPTS: "--debug",
    DOCKER_OPT_X: "--x",
  };
  t.match(run(place, ["-c"], environment), { status: 0 });
  t.equal(readFileSync(place.output, "utf8"), 'DOCKER_OPTS="--debug  --bip=10.9.9.1/24 --mtu=1400 --x"\n');
});

t.test("the old name will do, and a subnet file need not be there", needsRoot, async (t) => {
  const place = files(t);
  rmSync(place.input);
  const { node, input, output } = place;
  t.match(node.runInside([join(ourTools, "mk-docker-opts.sh"), "-f", input, "-d", output]), { status: 0, stderr: "" });
  t.equal(readFileSync(output, "utf8"), 'DOCKER_OPTS=""\n');
});

t.test("a subnet that is already routed elsewhere is told", needsRoot, async (t) => {
  const place = files(t);
  place.node.sh("ip link add d0 type veth && ip address add 192.0.2.1/24 dev d0 && ip link set d0 up");
  place.node.sh("ip route add 10.1.75.0/24 via 192.0.2.9");
  t.match(run(place), { status: 0, stderr: "" }, "another subnet's route is nothing");
  place.node.sh("ip route add 10.1.74.0/24 via 192.0.2.9");
  t.strictSame(run(place), {
    status: 1,
    signal: null,
    stdout: "",
    stderr:
      "mk-docker-opts: Your routing table already contains the subnet: 10.1.74.0/24 via 192.0.2.9\n" +
      "  To fix: find out what needs it, or remove it: ip route del 10.1.74.0/24 via 192.0.2.9\n",
  });
});

const failures: { what: string; lines?: string[]; args?: string[]; stderr: RegExp }[] = [
  {
    what: "a masquerade that is neither on nor off",
    lines: ["FLANNEL_IPMASQ=maybe"],
    stderr: /^mk-docker-opts: Invalid value of FLANNEL_IPMASQ: maybe\n {2}To fix: must be true or false/,
  },
  {
    what: "an unknown option",
    args: ["-z"],
    stderr: /^mk-docker-opts: illegal option -- z\nUsage: mk-docker-opts \[-f FILE]/,
  },
  { what: "a question", args: ["-h"], stderr: /^Usage: / },
  {
    what: "an output file that cannot be written",
    args: ["-d", "/proc/none"],
    stderr: /^mk-docker-opts: openat \/proc\/none: ENOENT\n/,
  },
];
for (const { what, lines, args, stderr } of failures) {
  t.test(`exit status 1: ${what}`, needsRoot, async (t) => {
    t.match(run(files(t, lines), args), { status: 1, stdout: "", stderr });
  });
}
