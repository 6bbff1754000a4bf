/** Whether a module that the kernel has not loaded is on this node. */
import { findText } from "../../../pkg/sys/file.ts";

export interface LackingFeature {
  modules: string;
  option: string;
  since: string;
}

export interface Cause {
  evidence: string;
  remedy: string;
}

/** Returns why the kernel lacks a feature, and what gives it that: the module is there, not among those of this kernel, or no module is. */
export function causeOf({ modules, option, since }: LackingFeature): Cause {
  const release = findText("/proc/sys/kernel/osrelease")?.trim() ?? "";
  const directory = `/lib/modules/${release}`;
  const built = `a kernel with ${option} (Linux ${since} or later)`;
  const lists = ["modules.dep", "modules.builtin"].map((name) => findText(`${directory}/${name}`));
  if (lists[0] === undefined)
    return {
      evidence: `${directory} has no modules`,
      remedy: `if the kernel was upgraded since this machine was started, start it again; else install the modules of Linux ${release}, or use ${built}`,
    };
  const there = namesIn(lists.join("\n"));
  const missing = modules.split(" ").filter((name) => !there.has(canonical(name)));
  if (missing.length === 0)
    return {
      evidence: `${directory} has ${modules}`,
      remedy: `load the modules (modprobe -a ${modules}), and add them to /etc/modules-load.d; or use ${built}`,
    };
  return {
    evidence: `${directory} does not have ${missing.join(" ")}`,
    remedy: `install the package that has it for Linux ${release} (Ubuntu: linux-modules-extra-${release}; Fedora: kernel-modules-extra), then modprobe -a ${modules}; or use ${built}`,
  };
}

/** Files are named with - or _, as it happens. */
const canonical = (name: string): string => name.replaceAll("-", "_");

const namesIn = (list: string): ReadonlySet<string> =>
  new Set(
    Array.from(list.matchAll(/^(?:\S*\/)?([^/\s]+?)\.ko(?:\.\w+)?(?::|$)/gm), ([, name = ""]) => canonical(name)),
  );
