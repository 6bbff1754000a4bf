// Docker's own dockerd and twill on a machine each, which are given the same commands.
import type { Test } from "../cluster/program.ts";
import { type Machine, newMachine } from "../tutorials/machine.ts";

/**
 * Commands of both: `tool` is docker or twill, `start CONTAINER NETWORK` starts one, `publish CONTAINER NETWORK PORTS` one with published ports,
 * `within CONTAINER COMMAND` runs a command of busybox in it.
 */
export interface Side extends Machine {
  name: "docker" | "twill";
  /** Runs a script with these commands. @returns what it printed, with IDs, MACs and metrics replaced, since these differ from run to run */
  shows(script: string): Promise<string>;
}

const IMAGE = "/run/image";

const dockerCommands = `
  tool() { docker "$@"; }
  start() { docker run -d --name $1 --network $2 image >/dev/null; }
  publish() { docker run -d --name $1 --network $2 -p $3 image >/dev/null; }
  within() { container=$1; shift; docker exec $container busybox "$@"; }
  end() { docker rm -f $1 >/dev/null; }`;

/** A bare namespace has no root, and so no resolv.conf of its own but that of ip-netns(8). */
const twillCommands = `
  export CNI_PATH=/opt/cni/bin
  tool() { dist/bin/twill "$@"; }
  start() {
    ip netns add $1
    mkdir -p /etc/netns/$1 && echo nameserver 127.0.0.11 > /etc/netns/$1/resolv.conf
    dist/bin/twill network connect $2 $1
  }
  publish() {
    dist/bin/twill run --name $1 --network $2 -p $3 sleep 100000 </dev/null >/dev/null 2>&1 &
    until dist/bin/twill network inspect $2 | grep -q '"Name": "'$1'"'; do sleep 0.05; done
  }
  within() {
    container=$1; shift
    if [ -e /run/netns/$container ]; then ip netns exec $container busybox "$@"
    else dist/bin/twill run --network container:$container busybox "$@"; fi
  }
  end() { ip netns delete $1; }`;

const prepareDocker = `
  mkdir -p ${IMAGE}/bin ${IMAGE}/etc && cp $(command -v busybox) ${IMAGE}/bin/busybox
  echo root:x:0:0::/:/bin/sh > ${IMAGE}/etc/passwd
  dockerd --storage-driver=vfs > /run/dockerd.log 2>&1 &
  for i in $(seq 300); do docker version > /run/version 2>&1 && break; sleep 0.1; done
  docker version > /run/version || { tail -5 /run/dockerd.log; exit 1; }
  tar -C ${IMAGE} -c . | docker import --change 'CMD ["/bin/busybox","sleep","100000"]' - image`;

const prepareTwill = "mkdir -p /opt/cni/bin /run/netns && cp -a dist/plugins/. /opt/cni/bin/";

export async function newSide(t: Test, name: Side["name"]): Promise<Side> {
  const machine = await newMachine(t, `${name}-side`);
  const { status, stdout, stderr } = await machine.type(name === "docker" ? prepareDocker : prepareTwill);
  if (status !== 0) throw new Error(`${name} does not run here: ${stdout}${stderr}`);
  const commands = name === "docker" ? dockerCommands : twillCommands;
  return {
    ...machine,
    name,
    type: (script) => machine.type(`${commands}\n${script}`),
    async shows(script) {
      const ran = await machine.type(`${commands}\n${script}`);
      return normalized(`${ran.stdout}${ran.stderr}`);
    },
  };
}

const normalized = (text: string): string =>
  text
    .replace(/\b[0-9a-f]{64}\b/g, "ID")
    .replace(/\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b/g, "MAC")
    .replace(/ metric \d+/g, "")
    .replace(/[ \t]+$/gm, "")
    .trim();
