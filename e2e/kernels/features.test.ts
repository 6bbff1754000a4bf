// The kernel lab itself: what the machine's kernel lacks is there, and a node can be made and looked at.
import { spawnSync } from "node:child_process";
import t from "tap";
import { unsupportedKind } from "../../pkg/link/create.ts";
import { newHost } from "../lab/host.ts";
import { needsKernel } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";

t.test("the complete kernel filters VLANs on a bridge", needsKernel("vlan_filtering"), async (t) => {
  const node = newHost(t);

  node.sh(`ip link add br0 type bridge vlan_filtering 1
    ip link add port type veth peer name other
    ip link set port master br0
    bridge vlan add dev port vid 100-105`);

  const links = node.snapshot().namespaces[node.name]?.links;
  t.ok(links?.["br0"]?.settings.includes("vlan_filtering 1"));
  t.strictSame(links?.["port"]?.vlans, ["1 PVID Egress Untagged", "100-105"]);
});

t.test("the complete kernel has dummy links", needsKernel("dummy"), async (t) => {
  const node = newHost(t);

  node.sh("ip link add d0 type dummy");

  t.equal(node.snapshot().namespaces[node.name]?.links["d0"]?.kind, "dummy");
});

t.test(
  "the complete kernel has every feature that a test may ask for",
  needsKernel("vlan", "macvlan", "ipvlan", "vrf", "vxlan", "ifb", "ipip", "geneve", "wireguard", "netem", "tbf"),
  async (t) => {
    t.pass("needsKernel throws there for a feature that is missing");
  },
);

const kinds = ["bridge", "dummy", "ifb", "ipvlan", "macvlan", "tun", "veth", "vlan", "vrf"];

/** Names with an underscore, and those of kinds of links. */
const MODULE = "(?:[a-z0-9]+_\\w+|bridge|dummy|ifb|ipvlan|macvlan|tun|veth|vrf|vxlan|8021q)";

t.test("the kernel options in errors exist", needsKernel("vlan"), async (t) => {
  const grep = spawnSync(
    "grep",
    ["-rhoE", "--include=*.ts", "--exclude=*.test.ts", "\\bCONFIG_[A-Z0-9_]*[A-Z0-9]", "pkg", "cmd"],
    {
      cwd: projectRoot,
      encoding: "utf8",
    },
  );
  const texts = [...kinds.map((kind) => unsupportedKind(kind, new Error("")).details), grep.stdout].join("\n");
  const named = new Set(texts.match(/\bCONFIG_\w+/g));
  t.ok(named.size >= kinds.length + 5, [...named].join(" "));
  const show = "cat node_modules/.cache/twill/kernel/root/boot/config-$(uname -r)";
  const known = new Set(
    spawnSync("sh", ["-c", show], { cwd: projectRoot, encoding: "utf8", maxBuffer: 1 << 24 }).stdout.match(
      /\bCONFIG_\w+/g,
    ),
  ); // "is not set", too
  for (const option of named) t.ok(known.has(option), option);
});

t.test("the commands in errors that load modules work", needsKernel("vlan"), async (t) => {
  const grep = spawnSync("grep", ["-rh", "--include=*.ts", "modprobe", "pkg", "cmd"], {
    cwd: projectRoot,
    encoding: "utf8",
  });
  const texts = [...kinds.map((kind) => unsupportedKind(kind, new Error("")).message), grep.stdout].join("\n");
  const commands = new Set(
    Array.from(texts.matchAll(new RegExp(`modprobe(?: -a)?(?: ${MODULE})+`, "g")), ([all]) => all),
  );
  t.ok(commands.size >= kinds.length + 5, [...commands].join("; "));
  for (const command of commands) {
    const [first, ...others] = command.split(" ").slice(1);
    t.ok(first === "-a" || others.length === 0, `${command}: without -a, modprobe takes further names for parameters`);
    const looked = command.replace("modprobe", "modprobe -n"); // some of them change how later tests see the network
    const { status, stderr } = spawnSync("sh", ["-c", looked], { encoding: "utf8" });
    t.equal(status, 0, `${command}: ${stderr}`);
  }
});
