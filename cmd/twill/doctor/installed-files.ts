import { changedFiles } from "../install/status.ts";
import { installCommandFor } from "../install/text-flag.ts";
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
        remedy: `${installCommandFor(changed)} puts twill's there again, and keeps what is there now; a package or an init container that has replaced them will do so again`,
      },
    ];
  },
};
