import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { isSameBuild } from "./same-build.ts";

t.test("two files are of the same build when both end with the digest of one", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "twill-same-build-"));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const written = (name: string, content: string): string => {
    writeFileSync(join(dir, name), content);
    return join(dir, name);
  };
  const built = (program: string): string =>
    `${program}\ntwill ${createHash("sha256").update(program).digest("hex")}\n`;
  const own = written("own", built("program"));
  t.equal(isSameBuild(written("copy", built("program")), own), true);
  t.equal(isSameBuild(written("later", built("pr0gram")), own), false, "another build of the same size");
  t.equal(isSameBuild(written("longer", built("program two")), own), false);
  t.equal(
    isSameBuild(written("one", "x".repeat(100)), written("two", "x".repeat(100))),
    false,
    "no program of the build",
  );
  t.equal(isSameBuild(written("short", "x"), written("brief", "x")), false);
  t.equal(isSameBuild(join(dir, "missing"), own), false);
});
