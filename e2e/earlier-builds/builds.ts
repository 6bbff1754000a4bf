// The builds of which there are fixtures, and the one under test.
import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import { ourTools } from "../lab/project.ts";
import { fixtureFolder } from "./fixture.ts";
import { buildIn } from "./tools.ts";

export const builds = readdirSync(fixtureFolder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);
export const ours = buildIn(dirname(ourTools));

/** The build whose state differs most from this one's. */
export const BUILD_IN_EACH_RUN = "0.1.0-7ef44b8";
