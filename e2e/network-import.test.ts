// `twill network import` with what Docker and podman have written (pkg/network/import/fixtures), seen with the eyes of ip, find and cnitool.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import t from "tap";
import { newHost, type Ran } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { ourBin, ourTools, projectRoot } from "./lab/project.ts";

const fixtures = join(projectRoot, "pkg/network/import/fixtures");
const path = { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d" };
const ownRun = 'mkdir -p /run/twill /var/lib/run && mount --bind /var/lib/run /run/twill && exec "$0" "$@"';

t.test(
  "the networks of Docker and podman are made with name, ID, subnets and options, and work",
  needsRoot,
  async (t) => {
    const node = newHost(t);
    const network = (args: string): Ran =>
      node.runInside(["sh", "-c", ownRun, join(ourTools, "twill"), "network", ...args.split(" ")], path);
    const database = gunzipSync(readFileSync(join(fixtures, "docker-20.10.24.db.gz")));
    writeFileSync(join(node.varLib, "local-kv.db"), database);
    node.sh("ip link add par0 type veth peer name par1");
    const args = `import --docker /var/lib/local-kv.db --podman ${join(fixtures, "podman-4.3.1")}`;
    const made = [
      "apart bridge 172.20.0.0/16",
      "back bridge 10.5.0.0/24",
      "mv macvlan 192.168.9.0/24",
      "n1 bridge 172.18.0.0/16",
      "quiet bridge 172.19.0.0/16",
      "six bridge 10.77.0.0/24 fd00:77::/64",
    ];
    const lines = ({ stdout }: Ran) => stdout.trim().split("\n").sort();

    const dry = network(`${args} --dry-run`);
    t.strictSame(lines(dry), made);
    t.equal(node.runInside(["find", "/var/lib", "-name", "*.conflist"]).stdout, "", "nothing is made by --dry-run");
    const real = network(args);
    t.strictSame(lines(real), made);
    t.equal(real.status, 1, "since something was left out");
    t.match(real.stderr, 'with space (/var/lib/local-kv.db) is not imported: invalid network name "with space"');
    t.match(real.stderr, /back \(.*back\.json\) is not imported: network with name back already exists/);
    t.match(real.stderr, "network tagged has the option vlan");

    const n1 = "2ad9bb940c6c8d132eebb1d86350915c9f5d16685e1db4be5591f9b40d171297";
    t.match(network("inspect --format {{.Id}} n1").stdout, n1, "with Docker's ID, so that the bridge has its name");
    t.match(network("ls").stdout, /^2b6893d80c88 +back +bridge +local$/m);
    t.match(network(`connect back ${node.containers[0]?.name}`), { status: 0, stderr: "" });
    const seen = node.containers[0]?.sh(
      "ip -br -4 address show eth0; ip route show default; cat /sys/class/net/eth0/mtu",
    );
    t.match(seen, /10\.5\.0\.128\/24[\s\S]*default via 10\.5\.0\.254 dev eth0[\s\S]*1400/);
    t.match(node.sh("ip -br link show br-back"), "UP");
    t.match(network(`disconnect back ${node.containers[0]?.name}`), { status: 0 });

    const again = network(args);
    t.equal(again.stdout, "");
    t.equal(again.stderr.match(/is there already/g)?.length, 6);
  },
);

t.test("files that are missing, damaged or something else are told, and nothing is made", needsRoot, async (t) => {
  const node = newHost(t, { containers: 0 });
  node.write("/var/lib/no.db", "no database".repeat(100));
  node.write("/var/lib/odd/n.json", "{}");
  node.sh("mkdir /var/lib/empty; mkfifo /var/lib/fifo");
  const rows: [args: string, stderr: string][] = [
    [
      "--docker /var/lib/no.db",
      "/var/lib/no.db cannot be read as Docker's database: it does not begin as a bolt database does",
    ],
    ["--docker /var/lib/none.db", "/var/lib/none.db cannot be read"],
    ["--docker /var/lib/fifo", "/var/lib/fifo is no plain file"],
    ["--docker /var/lib/empty", "/var/lib/empty cannot be read"],
    ["--podman /var/lib/none", "/var/lib/none does not exist"],
    ["--podman /var/lib/odd", "/var/lib/odd/n.json: it is no network of netavark"],
  ];
  for (const [args, stderr] of rows) {
    const ran = node.runInside(
      ["sh", "-c", ownRun, join(ourTools, "twill"), "network", "import", ...args.split(" ")],
      path,
    );
    t.match(ran, { status: 1, stdout: "", stderr }, args);
  }
  t.equal(node.runInside(["find", "/var/lib", "-name", "*.conflist"]).stdout, "");
});
