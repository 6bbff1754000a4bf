// What record.ts runs in a guest with the complete kernel. Its arguments: FOLDER DIST CASE...
import { recordCases } from "./recorder.ts";

const [folder = "", dist = "", ...names] = process.argv.slice(2);
await recordCases(folder, dist, names);
