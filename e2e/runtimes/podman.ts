// A node with Debian's podman and its CNI back end, that calls the plugins in /opt/cni/bin.

import { unpackedFolder } from "../../dev/unpacked.mjs";
import type { Test } from "../cluster/program.ts";
import { IMAGE, type Node, newNode, type Whose } from "./node.ts";

export interface Podman extends Node {
  /** Starts a container of the image, with its web server. @returns its ID */
  start(name: string, flags: string): Promise<string>;
  /** Who answers on a port: the beginning of the container's ID, or "" for nobody. podman itself listens on ports that lead nowhere. */
  ask(address: string, longestS?: number): Promise<string>;
}

/** podman's own plugin for names, in the place of ours. */
const dnsname = `${unpackedFolder(".", "golang-github-containernetworking-plugin-dnsname")}/usr/lib/cni/dnsname`;

const prepare = `
  mkdir -p /etc/containers
  echo '{"default":[{"type":"insecureAcceptAnything"}]}' > /etc/containers/policy.json
  cat > /etc/containers/containers.conf <<end
[containers]
log_driver = "k8s-file"
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
end
  podman import --change 'CMD ["/bin/httpd","-f","-p","80","-h","/"]' ${IMAGE}.tar localhost/image:1`;

/** Of each container, so that they end with the machine. */
export const cgroup = "--cgroup-parent=/$(basename $(cat /run/cgroup))";

export async function newPodman(t: Test, plugins: Whose = "ours"): Promise<Podman> {
  const node = await newNode(t, "podman", plugins, [dnsname]);
  await node.done(prepare);
  return {
    ...node,
    start: (name, flags) => node.done(`podman run -d ${cgroup} --name ${name} ${flags} localhost/image:1`),
    ask: (address, longestS = 5) => node.done(`curl -s --max-time ${longestS} http://${address}/etc/hostname || true`),
  };
}
