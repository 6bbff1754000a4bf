// Imported for its effect: programs of Debian packages that setup unpacked without installing them are found, first of all.
// Who needs PATH when it is loaded itself imports it from here: bundled test files may be loaded in another order than they are written.
import { withUnpacked } from "../../dev/unpacked.mjs";
import { projectRoot } from "./project.ts";

export const searchPath = withUnpacked(projectRoot, process.env["PATH"] ?? "");
process.env["PATH"] = searchPath;
