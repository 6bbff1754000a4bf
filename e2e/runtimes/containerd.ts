// A node with Debian's containerd, whose CRI service calls the plugins in /opt/cni/bin.
import type { Test } from "../cluster/program.ts";
import { until } from "../cluster/until.ts";
import { IMAGE, type Node, newNode, type Whose } from "./node.ts";

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
    { type: "bandwidth", capabilities: { bandwidth: true } },
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

export interface Containerd extends Node {
  /** Kills the daemon and starts it again. */
  restart(): Promise<void>;
  /** Starts a pod. @returns its ID */
  start(name: string, hostPort: number): Promise<string>;
  cri(command: "stop" | "remove", id: string): Promise<string>;
  /** Who answers on a port, or "" for nobody. */
  ask(port: number): Promise<string>;
}

export async function newContainerd(t: Test, plugins: Whose = "ours"): Promise<Containerd> {
  const node = await newNode(t, "containerd", plugins);
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
