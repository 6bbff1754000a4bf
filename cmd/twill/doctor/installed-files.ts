import { changedFiles } from "../install/status.ts";
import type { Check } from "./finding.ts";

export const installedFiles: Check = {
  id: "installed-files",
  about: "files that twill install has put somewhere and that are others' now, as after the upgrade of a package",
  severity: "warning",
  find({ self }) {
    const changed = changedFiles(self);
    if (changed.length === 0) return [];
    return [
      {
        text: `${changed.length} files that twill install has put on this node are not twill's any more`,
        evidence: changed.map(({ path, now }) => `${path}: ${now}`),
        remedy:
          "twill install puts twill's there again and keeps the present ones; the package or the init container that replaced them will do so again",
      },
    ];
  },
};
