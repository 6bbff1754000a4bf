import { spawnSync } from "node:child_process";
import t from "tap";
import { tarOf } from "./tar.ts";

t.test("tar lists and extracts the archive", async (t) => {
  const bytes = new TextEncoder().encode("x".repeat(513));
  const archive = tarOf(
    [
      { path: "report/empty", content: new Uint8Array(0) },
      { path: "report/a.json", content: bytes },
    ],
    1_700_000_000,
  );
  t.equal(archive.length % 512, 0);
  const tar = (...args: string[]) => spawnSync("tar", args, { input: archive, env: { ...process.env, TZ: "UTC" } });
  t.strictSame(tar("-tv", "-f", "-").stdout.toString().replace(/ +/g, " ").split("\n"), [
    "-rw------- root/root 0 2023-11-14 22:13 report/empty",
    "-rw------- root/root 513 2023-11-14 22:13 report/a.json",
    "",
  ]);
  t.equal(tar("-xO", "-f", "-", "report/a.json").stdout.length, 513);
});

t.test("a path that does not fit is refused", async (t) => {
  for (const path of ["x".repeat(101), "ä", ""]) t.throws(() => tarOf([{ path, content: new Uint8Array(0) }], 0), path);
});
