// What builds that were handed over have left on a node is still checked, collected, reloaded and deleted: where there are rules. See README.md.
import { hasRules } from "./cases.ts";
import { testCases } from "./tests.ts";

testCases(hasRules);
