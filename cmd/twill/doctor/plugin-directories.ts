import { directoryOf } from "../../../pkg/sys/file.ts";
import { type Called, type CalledPlugin, calledBy } from "../install/called-plugins.ts";
import { describe } from "../install/origin.ts";
import type { Check, Observation } from "./finding.ts";

export const pluginDirectories: Check = {
  id: "plugins",
  about: "directories in which runtimes look for plugins: others' under twill's names, others in front of twill's",
  severity: "warning",
  find: ({ self, installed }) => installed.runtimes.map((runtime) => calledBy(runtime, self)).flatMap(observationOf),
};

function observationOf({ runtime, plugins }: Called): Observation[] {
  const others = plugins.filter(({ origin }) => origin.whose !== "ours");
  if (others.length === 0) return [];
  const remedy = `twill install puts twill's there, and twill uninstall the present ones back; where the others are meant, nothing is wrong`;
  const text = `${runtime.name} calls ${plugins.length - others.length} of twill's ${plugins.length} plugins`;
  const looks = `it looks in ${runtime.pluginDirs.join(", ")} (${runtime.source})`;
  return [{ text, evidence: [looks, ...others.map(lineFor)], remedy }];
}

const lineFor = ({ type, path, origin }: CalledPlugin): string =>
  path === undefined ? `${type}: absent` : `${type} in ${directoryOf(path)}: ${describe(origin)}`;
