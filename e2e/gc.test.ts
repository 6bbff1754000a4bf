// `twill gc`: what dead containers left is removed, and nothing of those that may be alive.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Host, newHost, type Ran } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { ourBin, ourTools, projectRoot } from "./lab/project.ts";

const environment = { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d" };

const gc = (node: Host, ...args: string[]): Ran =>
  node.runInside([join(ourTools, "twill"), "gc", ...args], environment);

/** bridge with masquerade, portmap and firewall: a network of its own subnet for each number. */
function configure(
  node: Host,
  name: string,
  number: number,
  options: { cniVersion?: string; bridge?: object } = {},
): void {
  const list = {
    cniVersion: options.cniVersion ?? "1.1.0",
    name,
    plugins: [
      {
        type: "bridge",
        bridge: `${name}0`,
        isDefaultGateway: true,
        ipMasq: true,
        ipMasqBackend: "nftables",
        ...options.bridge,
        ipam: { type: "host-local", ranges: [[{ subnet: `10.${number}.0.0/24` }]] },
      },
      { type: "portmap", backend: "nftables", capabilities: { portMappings: true } },
      { type: "firewall", backend: "nftables" },
    ],
  };
  node.write(`/var/lib/net.d/${number}-${name}.conflist`, JSON.stringify(list));
}

function attach(node: Host, name: string, container: number): void {
  const portMappings = [{ hostPort: 8080 + container, containerPort: 80, protocol: "tcp" }];
  const { status, stderr } = node.runInside(
    [join(ourTools, "cnitool"), "add", name, node.containers[container]?.path ?? ""],
    { ...environment, CAP_ARGS: JSON.stringify({ portMappings }) },
  );
  if (status !== 0) throw new Error(stderr);
}

/** Waits for the kernel, which takes the links of a namespace away some time after the namespace. */
const kill = (node: Host, container: number): string =>
  node.sh(`
    count() { ip -o link show type veth | wc -l; }
    before=$(count)
    ip netns del ${node.containers[container]?.name}
    while [ $(count) -ge $before ]; do sleep 0.01; done`);

/** Rules, links and files, without what changes at each look. */
const traces = (node: Host): string =>
  node.sh(`
    nft -s list ruleset
    ip -o link show | sed 's/@.*//'
    find /var/lib/cni -type f ! -name 'last_reserved_ip*' ! -path '*/.twill/*' | sort`);

function twoNetworks(t: Test): Host {
  const node = newHost(t, { containers: 4 });
  configure(node, "one", 1);
  configure(node, "two", 2, { cniVersion: "1.0.0" });
  return node;
}

t.test("twill gc deletes dead containers of all networks, and leaves the living as they were", needsRoot, async (t) => {
  const node = twoNetworks(t);
  attach(node, "one", 0);
  attach(node, "two", 3);
  const alone = traces(node);
  attach(node, "one", 1);
  attach(node, "two", 2);
  t.strictSame(gc(node), { status: 0, signal: null, stdout: "", stderr: "" }, "all are alive");
  kill(node, 1);
  kill(node, 2);
  const before = traces(node);
  t.match(gc(node, "--dry-run"), { status: 0, stdout: /^(one|two) cnitool-\w+ eth0: to be deleted\n(one|two) .*\n$/ });
  t.equal(traces(node), before, "--dry-run changes nothing");
  t.match(gc(node), {
    status: 0,
    stdout: /^(one|two) cnitool-\w+ eth0: deleted\n(one|two) .*: deleted\n$/,
    stderr: "",
  });
  t.equal(traces(node), alone);
});

t.test("twill gc knows networks whose file is gone by what the runtimes remember", needsRoot, async (t) => {
  const node = twoNetworks(t);
  attach(node, "one", 0);
  const alone = traces(node);
  attach(node, "one", 1);
  kill(node, 1);
  node.sh("rm /var/lib/net.d/1-one.conflist");
  t.match(gc(node), { status: 0, stdout: /^one cnitool-\w+ eth0: deleted\n$/ });
  t.equal(traces(node), alone);
});

t.test("twill gc after the cache is lost deletes nothing of containers that run", needsRoot, async (t) => {
  const node = twoNetworks(t);
  attach(node, "one", 0);
  attach(node, "two", 1);
  attach(node, "one", 2);
  node.sh("rm -r /var/lib/cni/results");
  const before = traces(node);
  t.match(gc(node), { status: 0, stdout: "", stderr: "" });
  t.equal(traces(node), before, "all of it lost");
  attach(node, "two", 3);
  kill(node, 3);
  const dead = traces(node);
  t.match(gc(node), { status: 0, stdout: /^two cnitool-\w+ eth0: deleted\n$/ });
  t.not(traces(node), dead);
  const ports = node.sh("nft list ruleset");
  t.match(ports, /8080/);
  t.match(ports, /8081/);
  t.match(
    node.sh("ls /var/lib/cni/networks/one"),
    /10\.1\.0\.2[\s\S]*10\.1\.0\.3/,
    "who is not remembered may be alive",
  );
});

t.test("twill gc: an address in the usual directory counts after the network got its own", needsRoot, async (t) => {
  const node = newHost(t);
  const network = (ipam: object = {}) =>
    JSON.stringify({
      cniVersion: "1.1.0",
      name: "taps",
      plugins: [
        { type: "tap", ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]], ...ipam } },
        { type: "portmap", backend: "nftables", capabilities: { portMappings: true } },
      ],
    });
  node.write("/var/lib/net.d/1-taps.conflist", network());
  attach(node, "taps", 0);
  node.sh("rm -r /var/lib/cni/results");
  node.write("/var/lib/net.d/1-taps.conflist", network({ dataDir: "/var/lib/other" }));
  const before = traces(node);
  t.match(gc(node), { status: 0, stdout: "", stderr: "" });
  t.equal(traces(node), before);
});

const gcWithFewDescriptors = (node: Host): Ran =>
  node.runInside(["sh", "-c", 'ulimit -n 24; exec "$0" gc', join(ourTools, "twill")], environment);

t.test("twill gc has descriptors enough for any number of networks", needsRoot, async (t) => {
  const node = newHost(t, { containers: 0 });
  for (let number = 1; number <= 20; number++)
    configure(node, `net${number}`, number, { bridge: { macspoofchk: true } });
  const { status, stderr } = gcWithFewDescriptors(node);
  t.strictSame({ status, stderr }, { status: 0, stderr: "" });
});

t.test("twill gc has descriptors enough for any number of dead containers", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, "one", 1, { bridge: { macspoofchk: true } });
  const count = 20;
  node.runInside(
    [
      "sh",
      "-c",
      `for i in $(seq ${count}); do CAP_ARGS='{"portMappings":[{"hostPort":'$((8000 + i))',"containerPort":80,"protocol":"udp"}]}' \
        "$0" add --ifname eth$i one "$1"; done`,
      join(ourTools, "cnitool"),
      node.containers[0]?.path ?? "",
    ],
    environment,
  );
  node.sh(`ip netns del ${node.containers[0]?.name}; while ip -o link show type veth | grep -q .; do sleep 0.01; done`);
  const { status, stdout, stderr } = gcWithFewDescriptors(node);
  t.strictSame({ status, stderr }, { status: 0, stderr: "" });
  t.equal(stdout.match(/: deleted$/gm)?.length, count);
  t.notMatch(traces(node), /10\.1\.0\.\d+( |$)|cnitool-/m);
});

t.test("twill gc has plugins remove rules of nobody", needsRoot, async (t) => {
  const node = twoNetworks(t);
  attach(node, "one", 0);
  const alone = traces(node);
  attach(node, "one", 1);
  kill(node, 1);
  node.sh("cd /var/lib/cni && rm networks/one/10.1.0.3 && rm $(ls -t results/* | head -1)");
  t.not(traces(node), alone, "rules are left");
  t.match(gc(node), { status: 0, stdout: "" });
  t.equal(traces(node), alone);
});

t.test("twill gc keeps a container that comes while it deletes others", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  configure(node, "one", 1);
  attach(node, "one", 0);
  kill(node, 0);
  const { plugins, ...list } = JSON.parse(node.sh("cat /var/lib/net.d/1-one.conflist"));
  node.sh("mkdir /var/lib/bin && mv /var/lib/net.d /var/lib/before");
  node.write(
    "/var/lib/net.d/1-one.conflist",
    JSON.stringify({ ...list, plugins: [...plugins, { type: "attaching" }] }),
  );
  const add = `env -i NETCONFPATH=/var/lib/before CNI_PATH=${ourBin} CAP_ARGS='{"portMappings":[{"hostPort":8081,"containerPort":80,"protocol":"tcp"}]}' ${join(ourTools, "cnitool")} add one ${node.containers[1]?.path} > /var/lib/added`;
  node.write("/var/lib/bin/attaching", `#!/bin/sh\n[ $CNI_COMMAND != DEL ] || ${add}\n`);
  node.sh("chmod +x /var/lib/bin/attaching");
  const path = { ...environment, CNI_PATH: `${ourBin}:/var/lib/bin` };
  t.match(node.runInside([join(ourTools, "twill"), "gc"], path), { status: 0, stderr: "", stdout: /: deleted\n$/ });
  t.match(node.sh("ls /var/lib/cni/networks/one"), "10.1.0.3", "its address");
  t.match(node.sh("nft list ruleset"), "8081", "its host port");
  t.equal(node.sh("ip -o link show type veth | wc -l").trim(), "1", "its link");
  t.match(node.sh("nft list ruleset"), /10\.1\.0\.3[\s\S]*masquerade/, "its masquerade");
});

t.test("twill gc: what cannot be read is told and kept, the rest is done", needsRoot, async (t) => {
  const node = twoNetworks(t);
  attach(node, "one", 0);
  attach(node, "one", 1);
  attach(node, "two", 2);
  const [first = ""] = node.sh("ls -tr /var/lib/cni/results").split("\n");
  node.sh(`: > /var/lib/cni/results/${first}`);
  node.write("/var/lib/net.d/0-broken.conflist", "{");
  kill(node, 2);
  const { status, stdout, stderr } = gc(node);
  t.equal(status, 1);
  t.match(stdout, /^two cnitool-\w+ eth0: deleted\n$/);
  t.match(stderr, /0-broken\.conflist: line 1/);
  t.match(stderr, new RegExp(`network one: damaged /var/lib/cni/results/${first}: it is empty; kept`));
  t.match(node.sh("nft list ruleset"), /8080[\s\S]*8081|8081[\s\S]*8080/);
});

t.test("twill-gc.service runs the command that there is", async (t) => {
  const unit = readFileSync(join(projectRoot, "conf/twill-gc.service"), "utf8");
  t.match(unit, /^ExecStart=\/usr\/local\/bin\/twill gc$/m);
  t.match(readFileSync(join(projectRoot, "conf/twill-gc.timer"), "utf8"), /^OnUnitActiveSec=1h$/m);
});
