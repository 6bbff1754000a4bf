// Imported for its effect: programs of Debian packages that setup unpacked without installing them are found, first of all.
import { withUnpacked } from "../../dev/unpacked.mjs";
import { projectRoot } from "./project.ts";

process.env["PATH"] = withUnpacked(projectRoot, process.env["PATH"] ?? "");
