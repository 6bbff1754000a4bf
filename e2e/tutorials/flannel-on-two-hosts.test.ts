// What tutorials for flannel set up: two hosts, etcd of two members, `{"Network":"172.21.0.0/16"}` below /atomic.io/network, the
// command lines of distributions' units; and docs/tutorials/flannel-on-two-hosts.md, word for word, with Debian's Docker.
//
//   ```sh one      is run on host one         ```text    is what the command before it prints
//   ```sh two      on host two
//   ```sh both     on both at once
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { unpackedProgram } from "../../dev/unpacked.mjs";

import { executable, newCluster } from "../cluster/lab.ts";
import { startProgram } from "../cluster/program.ts";
import { until } from "../cluster/until.ts";
import { newHost } from "../lab/host.ts";
import { inFullRunOnly, type Need, needsRoot } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";
import { type Machine, newMachine } from "./machine.ts";

const page = readFileSync(join(projectRoot, "docs/tutorials/flannel-on-two-hosts.md"), "utf8");

const needsDocker: Need =
  spawnSync("sh", ["-c", "command -v dockerd"]).status === 0
    ? inFullRunOnly(needsRoot)
    : { skip: "runs in npm run test:all" };

interface Fence {
  line: number;
  language: string;
  use: string;
  text: string;
}

const fences: Fence[] = [...page.matchAll(/^```(\w*) ?([^\n]*)\n(.*?)^```$/gms)].map((match) => ({
  line: page.slice(0, match.index).split("\n").length,
  language: match[1] ?? "",
  use: match[2] ?? "",
  text: match[3] ?? "",
}));

/** The subnets that the page shows, in the place of those that the hosts get. */
const shown = { one: "172.21.57.", two: "172.21.31." };

t.test("every command of the page stands in a fence that is run", async (t) => {
  const commands = fences.filter(({ language }) => language === "sh");
  t.ok(commands.length >= 15, `sees them: ${commands.length}`);
  for (const { line, use } of commands) t.match(use, /^(one|two|both)$/, `line ${line}`);
});

t.test("command lines of distributions' units, with a network in etcd's v2 keys", needsRoot, async (t) => {
  const cluster = await newCluster(t, { etcd: { members: 2, v2: true } });
  const { etcd, underlay } = cluster;
  const key = "/atomic.io/network/config";
  etcd.etcdctlV2("mk", key, '{"Network":"172.21.0.0/16"}');

  const hosts = [cluster.addHost(), cluster.addHost()] as const;
  const files = hosts.map(({ subnetFile }) => `--subnet-file=${subnetFile}`);
  const variables = { FLANNEL_ETCD_ENDPOINTS: etcd.endpoints.join(","), FLANNEL_ETCD_PREFIX: "/atomic.io/network" };
  const old = ["-iface=eth0", "--logtostderr=false", "--log_dir=/var/log/flannel", "-v", "10"];
  const daemons = [
    startProgram(t, hosts[0].name, [executable, ...flagsOf(variables), ...old, files[0] ?? ""]), // CentOS
    startProgram(t, hosts[1].name, [executable, ...old, files[1] ?? ""], variables), // ours
  ] as const;
  const [, command = ""] = await daemons[0].says(/v2 keys only.*To copy it: (ETCDCTL_API=3 etcdctl .*)$/m);
  t.equal(
    command,
    `ETCDCTL_API=3 etcdctl --endpoints=${etcd.endpoints.join(",")} put ${key} '{"Network":"172.21.0.0/16"}'`,
  );
  underlay.sh(command);

  for (const [i, host] of hosts.entries()) {
    await daemons[i]?.says(/ready/);
    const lease = Object.entries(etcd.get("/atomic.io/network/subnets/")).find(([, value]) =>
      value.includes(host.ipv4),
    );
    const subnet = lease?.[0].replace(/^.*\/(.*)0-24$/, "$11/24");
    const written = `FLANNEL_NETWORK=172.21.0.0/16\nFLANNEL_SUBNET=${subnet}\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n`;
    t.equal(readFileSync(host.subnetFile, "utf8"), written, "flannel's file, byte for byte");
  }
  const pods = [await hosts[0].addPod(), await hosts[1].addPod()] as const;
  await until("an answer of the other host's container", () => pods[0].reaches(pods[1].ipv4));
  t.ok(pods[1].reaches(pods[0].ipv4));
});

/** As flannel's packages for Fedora and CentOS pass them on. */
const flagsOf = (variables: { FLANNEL_ETCD_ENDPOINTS: string; FLANNEL_ETCD_PREFIX: string }): string[] => [
  `-etcd-endpoints=${variables.FLANNEL_ETCD_ENDPOINTS}`,
  `-etcd-prefix=${variables.FLANNEL_ETCD_PREFIX}`,
];

t.test("the page's commands, on two hosts, end with containers that reach each other", needsDocker, async (t) => {
  const hosts = await twoMachines(t);
  let printed = "";
  for (const { line, language, use, text } of fences) {
    if (language === "text" && use === "") t.equal(asShown(hosts, printed), text, `line ${line}: output`);
    if (language !== "sh") continue;
    if (text.includes("docker run")) await pullBusybox(t, Object.values(hosts));
    const names = use === "both" ? (["one", "two"] as const) : [use as "one" | "two"];
    const script = asHere(hosts, text);
    const runs = await Promise.all(names.map((name) => hosts[name].type(script)));
    for (const [i, { status, stdout, stderr }] of runs.entries()) {
      if (status !== 0) throw new Error(`line ${line}, host ${names[i]}: exit status ${status}: ${stdout}${stderr}`);
    }
    printed = runs[0]?.stdout ?? "";
    if (text.includes("--now flanneld")) for (const name of names) hosts[name].subnet = await subnetOf(hosts[name]);
  }

  const log = (await hosts.one.type("cat /var/log/flanneld.service.log")).stdout;
  t.match(log, "--log_dir has no effect: logs go to stderr only; read them with journalctl -u flanneld");
  const { stdout } = await hosts.one.type("ip -j address show docker0");
  t.match(JSON.parse(stdout), [{ addr_info: [{ local: `${hosts.one.subnet}1`, prefixlen: 24 }] }]);
});

interface TutorialHost extends Machine {
  /** "172.21.57.", once it is known. */
  subnet: string;
}
type Hosts = Record<"one" | "two", TutorialHost>;

const asHere = ({ one, two }: Hosts, text: string): string =>
  replaced(text, { [shown.one]: one.subnet, [shown.two]: two.subnet });
const asShown = ({ one, two }: Hosts, text: string): string =>
  replaced(text, { [one.subnet]: shown.one, [two.subnet]: shown.two });

/** All at once: a host may have the subnet that the page shows for the other one. */
const replaced = (text: string, subnets: Readonly<Record<string, string>>): string =>
  text.replaceAll(/172\.21\.\d+\./g, (subnet) => subnets[subnet] || subnet);

async function subnetOf(host: Machine): Promise<string> {
  const { stdout } = await host.type("sed -n 's/^FLANNEL_SUBNET=//p' /run/flannel/subnet.env");
  return stdout.replace(/[^.]*$/, "");
}

async function twoMachines(t: Test): Promise<Hosts> {
  const cable = newHost(t, { containers: 0 });
  const made = await Promise.all(["one", "two"].map((name) => newMachine(t, name)));
  for (const [i, machine] of made.entries()) {
    cable.sh(`ip link add port${i} type veth peer name eth0 netns ${machine.name}`);
    machine.sh(`ip address add 192.0.2.1${i + 1}/24 dev eth0; ip link set eth0 up; ip route add default via 192.0.2.1`);
    await machine.type(packagedUnits);
  }
  cable.sh(`ip link add switch type bridge; ip link set switch up; ip address add 192.0.2.1/24 dev switch
            ip link set port0 master switch up; ip link set port1 master switch up`);
  const [one, two] = made.map((machine) => ({ ...machine, subnet: "" }));
  if (!one || !two) throw new Error("two machines were asked for");
  return { one, two };
}

/** Of Debian's packages; Docker's without socket activation, and with the containerd that its daemon starts by itself. */
const packagedUnits = `
  cat > /etc/systemd/system/etcd.service <<'END'
[Service]
Type=notify
EnvironmentFile=-/etc/default/etcd
ExecStart=etcd $DAEMON_ARGS
END
  cat > /etc/systemd/system/docker.service <<'END'
[Service]
Type=notify
EnvironmentFile=-/etc/default/docker
ExecStart=dockerd $DOCKER_OPTS
END`;

/** In the place of a registry. */
async function pullBusybox(t: Test, hosts: readonly Machine[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), `twill-${process.pid}-image-`));
  t.teardown(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "root/bin"), { recursive: true });
  execFileSync("cp", [unpackedProgram(projectRoot, "busybox-static"), join(folder, "root/bin/busybox")]);
  for (const name of ["sh", "sleep", "ip", "ping"]) symlinkSync("busybox", join(folder, "root/bin", name));
  execFileSync("tar", ["-C", join(folder, "root"), "-cf", join(folder, "busybox.tar"), "."]);
  for (const host of hosts) {
    const { status, stderr } = await host.type(`docker import ${folder}/busybox.tar busybox`);
    if (status !== 0) throw new Error(`docker import: ${stderr}`);
  }
}
