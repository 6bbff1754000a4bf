import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import t from "tap";
import { removeStore } from "./remove-store.ts";

const dataDir = mkdtempSync(join(tmpdir(), "twill-store-"));
t.teardown(() => rmSync(dataDir, { recursive: true }));
const write = (path: string) => {
  mkdirSync(dirname(join(dataDir, path)), { recursive: true });
  writeFileSync(join(dataDir, path), "x");
};

t.test("the files of a network without reservations go, those of others stay", async (t) => {
  for (const name of ["net", "other"])
    for (const path of [
      `${name}/lock`,
      `${name}/last_reserved_ip.0`,
      `.twill/${name}/note`,
      `.twill/${name}/owners/a:eth0`,
    ])
      write(path);
  t.equal(removeStore(dataDir, "net"), true);
  t.strictSame(readdirSync(dataDir), [".twill", "other"]);
  t.strictSame(readdirSync(join(dataDir, ".twill")), ["other"]);
  t.equal(removeStore(dataDir, "net"), true, "nor does it mind when there is nothing");
});

t.test("a reservation keeps them", async (t) => {
  for (const path of ["net/lock", "net/10.1.0.5"]) write(path);
  t.equal(removeStore(dataDir, "net"), false);
  t.ok(existsSync(join(dataDir, "net/10.1.0.5")));
});
