// A node with Debian's podman and its CNI back end, that calls the plugins in /opt/cni/bin.

import { join } from "node:path";
import { unpackedFolder } from "../../dev/unpacked.mjs";
import type { Test } from "../cluster/program.ts";
import { IMAGE, type Node, newNode, type Whose } from "./node.ts";

export interface Podman extends Node {
  /** Starts a container of the image, with its web server. @returns its ID */
  start(name: string, flags: string): Promise<string>;
  /** Who answers on a port: the beginning of the container's ID, or "" for nobody. podman itself listens on ports that lead nowhere. */
  ask(address: string, longestS?: number): Promise<string>;
}

const helpers = join(unpackedFolder(".", "podman"), "usr/lib/podman");
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

/** Above those of people, below those that systemd gives out. */
export const USER = 60_500;
/**
 * A user of the node without rights, who has user IDs to give to containers. podman hides /run from plugins, and /var/lib/cni or, where there
 * is none, /var/lib. Only here /dev/net/tun is everybody's, as udev has it.
 */
const user = `
  echo user:x:${USER}:${USER}::/var/lib/home:/bin/sh >> /etc/passwd && echo user:x:${USER}: >> /etc/group
  echo user:100000:65536 | tee /etc/subuid > /etc/subgid
  mkdir -p /run/user/${USER} /var/lib/cni /var/lib/home && chown ${USER}:${USER} /run/user/${USER} /var/lib/home && chmod 1777 /var/tmp
  mkdir -p /usr/local/lib && cp -r ${helpers} /usr/local/lib/podman
  mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200
  mount --make-rshared /`;

/** The same for a user without rights: plugins run in a network and mount namespace of podman's own, which slirp4netns joins to the node's. */
export async function newRootlessPodman(t: Test, plugins: Whose): Promise<Podman> {
  const podman = await newPodman(t, plugins);
  await podman.done(user);
  const type = (script: string) =>
    podman.type(`
      file=$(mktemp /var/lib/home/script.XXXXXX) && chmod 644 $file
      cat > $file <<'end of the script'\ncd\n${script}\nend of the script
      HOME=/var/lib/home XDG_RUNTIME_DIR=/run/user/${USER} exec setpriv --reuid=${USER} --regid=${USER} --init-groups sh -e $file`);
  return { ...podman, type };
}
