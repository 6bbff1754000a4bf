// A node for container runtimes of Debian 12, unpacked and not installed: their files, an image of one static program, and what plugins
// have made there.
import type { Test } from "../cluster/program.ts";
import { goBin } from "../lab/project.ts";
import { type Machine, newMachine } from "../tutorials/machine.ts";

/** Whose plugins a node calls: Debian's Go plugins, or ours. */
export type Whose = "ours" | "go";

export interface Node extends Machine {
  /** Runs a script. @returns What it printed, trimmed. @throws Error with its stderr when it fails */
  done(script: string): Promise<string>;
  /** Puts plugins into /opt/cni/bin, each in one step, as an upgrade does. */
  usePlugins(whose: Whose): Promise<void>;
  /** What containers have there: results, reservations, links, rules with an address. */
  traces(): Promise<string>;
}

/** Folder of the node with the file system of the image, beside `image.tar`: busybox as sh, nc, httpd and so on. */
export const IMAGE = "/run/image";

/** The loader's cache is the node's own: runtimes start programs with an empty environment. podman has its locks in /dev/shm. */
const prepare = `
  for folder in /dev/shm /var/tmp; do mount -t tmpfs none $folder; done
  mkdir -p /var/cache/ldconfig /run/netns /etc/cni/net.d /opt/cni/bin ${IMAGE}/bin ${IMAGE}/etc ${IMAGE}/proc ${IMAGE}/sys ${IMAGE}/dev
  echo "$LD_LIBRARY_PATH" | tr : '\\n' > /etc/ld.so.conf.d/unpacked.conf && ldconfig
  cp $(command -v busybox) ${IMAGE}/bin/busybox
  for applet in sh httpd nc hostname sleep nslookup ping ip; do ln -s busybox ${IMAGE}/bin/$applet; done
  echo root:x:0:0::/:/bin/sh > ${IMAGE}/etc/passwd
  tar -C ${IMAGE} -cf ${IMAGE}.tar .`;

const addresses = String.raw`'\b10\.10\.|\bfd00:'`;
const traces = `
  find /var/lib/cni/results /run/netns -type f
  find /var/lib/cni/networks -type f | grep -E '/[0-9.]+$|/[0-9a-f:]+$|/owners/' || true
  ip -o link show type veth
  nft -s list ruleset 2>/dev/null | grep -E ${addresses} || true`;

/** @param goPlugins Further plugins of Go beside those of the reference, by their files */
export async function newNode(
  t: Test,
  name: string,
  plugins: Whose = "ours",
  goPlugins: readonly string[] = [],
): Promise<Node> {
  const machine = await newMachine(t, name);
  const done = async (script: string) => {
    const { status, stdout, stderr } = await machine.type(script);
    if (status !== 0) throw new Error(`${script}: exit status ${status}: ${stdout}${stderr}`);
    return stdout.trim();
  };
  const usePlugins = async (whose: Whose) => {
    const files = whose === "ours" ? ["dist/plugins/*"] : [`${goBin}/*`, ...goPlugins];
    await done(`
      for plugin in ${files.join(" ")}; do
        cp $plugin /opt/cni/bin/.new && mv /opt/cni/bin/.new /opt/cni/bin/$(basename $plugin)
      done`);
  };
  await done(prepare);
  await usePlugins(plugins);
  return { ...machine, done, usePlugins, traces: () => done(traces) };
}
