// The same for links, addresses and records. Every build has a fixture for each case.
import t from "tap";
import { cases, hasRules } from "./cases.ts";
import { loadFixture } from "./fixture.ts";
import { builds, testCases } from "./tests.ts";

testCases((name) => !hasRules(name));

/** Later builds have more cases. */
const recorded: Record<string, number> = { "0.1.0-7ef44b8": 31, "0.1.0-f2c7bd8": 28 };

t.test("the fixtures of every build are there", async (t) => {
  t.ok(builds.length > 0);
  const numbers = builds.map((build) => [build, Object.keys(cases).filter((name) => loadFixture(build, name)).length]);
  t.strictSame(Object.fromEntries(numbers), recorded);
});
