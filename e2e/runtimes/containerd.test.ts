// Debian's containerd with our plugins: pods of its CRI service, as kubelet asks for them, and containers of `ctr`.
import t, { type Test } from "tap";
import { until } from "../cluster/until.ts";
import { inLongRunOnly, needsRoot } from "../lab/needs.ts";
import { IMAGE, type Node, newNode } from "./node.ts";

const list = {
  cniVersion: "1.0.0",
  name: "pods",
  plugins: [
    {
      type: "bridge",
      bridge: "pods0",
      isGateway: true,
      ipMasq: true,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.10.1.0/24" }]], routes: [{ dst: "0.0.0.0/0" }] },
    },
    { type: "portmap", capabilities: { portMappings: true } },
    { type: "firewall" },
  ],
};

/** A pod's first process tells its host name on port 80. */
const image = {
  architecture: "amd64",
  os: "linux",
  config: { Entrypoint: ["/bin/nc", "-ll", "-p", "80", "-e", "/bin/hostname"] },
};

const prepare = `
  echo '${JSON.stringify(list)}' > /etc/cni/net.d/10-pods.conflist
  cat > /run/containerd.toml <<end
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pod:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
end
  cd /run && mkdir archive && cp ${IMAGE}.tar archive/layer.tar
  sum=$(sha256sum archive/layer.tar | cut -d ' ' -f 1)
  echo '${JSON.stringify({ ...image, rootfs: { type: "layers", diff_ids: ["sha256:SUM"] } })}' | sed "s/SUM/$sum/" > archive/config.json
  echo '[{"Config":"config.json","RepoTags":["localhost/pod:1"],"Layers":["layer.tar"]}]' > archive/manifest.json
  tar -C archive -cf pod.tar manifest.json config.json layer.tar`;

interface Containerd extends Node {
  /** Kills the daemon and starts it again. */
  restart(): Promise<void>;
  /** Starts a pod. @returns its ID */
  start(name: string, hostPort: number): Promise<string>;
  cri(command: "stop" | "remove", id: string): Promise<string>;
  /** Who answers on a port, or "" for nobody. */
  ask(port: number): Promise<string>;
}

async function newContainerd(t: Test): Promise<Containerd> {
  const node = await newNode(t, "containerd");
  const { done } = node;
  await done(prepare);
  const run = async () => {
    await done("setsid containerd -c /run/containerd.toml > /run/containerd.log 2>&1 < /dev/null &");
    await until("containerd", () => done("ctr version").then(() => true));
  };
  await run();
  await done("ctr -n k8s.io images import /run/pod.tar");
  return {
    ...node,
    restart: async () => {
      await done("kill -9 $(pidof containerd)");
      await run();
    },
    start: (name, port) => done(`node e2e/runtimes/cri.mjs run ${name} ${port} /$(basename $(cat /run/cgroup))`),
    cri: (command, id) => done(`node e2e/runtimes/cri.mjs ${command} ${id}`),
    ask: (port) => done(`socat -T 5 - TCP:10.10.1.1:${port},connect-timeout=5 < /dev/null 2> /dev/null || true`),
  };
}

t.test("containerd: pods keep port and rules while they live, and no longer", inLongRunOnly(needsRoot), async (t) => {
  const { done, type, start, cri, ask, traces } = await newContainerd(t);
  const attachments = () => done("dist/bin/cnitool list pods --json").then(JSON.parse);
  const a = await start("a", 8080);
  const b = await start("b", 8081);
  t.equal(await ask(8080), "a");
  t.equal(await ask(8081), "b");
  t.match(await type("node e2e/runtimes/cri.mjs run c 8080 /$(basename $(cat /run/cgroup))"), {
    status: 1,
    stderr: new RegExp(`port 8080/tcp is held by container ${a} of network pods`),
  });
  t.equal(await ask(8080), "a");
  t.match(await done("dist/bin/twill reload"), /^4 attachments, nothing is missing$/, "with the loopback of each");
  await cri("stop", b);
  await cri("remove", b);
  t.equal(await ask(8081), "");

  const dead = await start("d", 8081);
  const [, alive] = [dead, a].map((containerId) => ({ containerId, namespace: "alive" }));
  const { netns } = (await attachments()).find(({ containerId }: { containerId: string }) => containerId === dead);
  await done(
    `kill -9 $(ctr -n k8s.io tasks list | awk '$1 == "${dead}" { print $2 }'); umount ${netns}; rm -f ${netns}`,
  );
  t.match(
    (await attachments()).find(({ containerId }: { containerId: string }) => containerId === dead),
    { namespace: "dead" },
  );
  await done("nft flush ruleset");
  t.match(await done("dist/bin/twill reload"), new RegExp(`^pods ${a} eth0: \\d+ changes made\n2 attachments, `));
  t.equal(await ask(8080), "a");
  t.notMatch(await done("nft list ruleset"), /8081/);
  t.equal(await done("CNI_PATH=/opt/cni/bin dist/bin/cnitool gc --dead pods"), `pods ${dead} eth0: deleted`);
  t.match(await attachments(), [alive]);
  t.equal(await ask(8080), "a");
  await cri("remove", dead);
  await cri("remove", a);
  t.equal(await traces(), "");
});

t.test("containerd: ten pods at once outlive it and their plugins", inLongRunOnly(needsRoot), async (t) => {
  const { restart, start, cri, ask, traces, usePlugins } = await newContainerd(t);
  const numbers = Array.from({ length: 10 }, (_, i) => i);
  const ids = await Promise.all(numbers.map((i) => start(`p${i}`, 8080 + i)));
  await restart();
  await usePlugins("go");
  for (const i of numbers) t.equal(await ask(8080 + i), `p${i}`);
  for (const id of ids.slice(0, 3)) await cri("stop", id);
  ids.push(await start("of-go", 9000));
  await usePlugins("ours");
  t.equal(await ask(9000), "of-go");
  for (const i of numbers.slice(3)) t.equal(await ask(8080 + i), `p${i}`);
  await Promise.all(ids.map((id) => cri("remove", id)));
  t.equal(await traces(), "");
});

t.test("containerd: what ctr has attached is known to be dead by its process", inLongRunOnly(needsRoot), async (t) => {
  const { done, traces } = await newContainerd(t);
  const cgroup = "--cgroup /$(basename $(cat /run/cgroup))";
  for (const id of ["one", "two"]) await done(`ctr -n k8s.io run -d --cni ${cgroup}/${id} localhost/pod:1 ${id}`);
  const states = async () =>
    (await done("dist/bin/cnitool list pods --json | jq -r '.[] | .containerId + \" \" + .namespace'")).split("\n");
  t.strictSame(await states(), ["k8s.io-one alive", "k8s.io-two alive"]);
  await done("kill -9 $(ctr -n k8s.io tasks list | awk '$1 == \"two\" { print $2 }')");
  await until("the end of the process", async () => (await states()).includes("k8s.io-two dead"));
  t.equal(await done("CNI_PATH=/opt/cni/bin dist/bin/cnitool gc --dead pods"), "pods k8s.io-two eth0: deleted");
  t.strictSame(await states(), ["k8s.io-one alive"]);
  await done("ctr -n k8s.io tasks kill -s KILL one");
  await until("the end of the process", async () => (await states()).includes("k8s.io-one dead"));
  await done("CNI_PATH=/opt/cni/bin dist/bin/cnitool gc --dead pods");
  t.equal(await traces(), "");
});
