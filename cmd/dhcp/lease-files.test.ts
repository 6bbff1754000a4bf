import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { type LeaseFile, openLeaseFiles } from "./lease-files.ts";

const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
const entry = {
  clientId: "c/net/eth0",
  place: {},
  identity: {},
  lease: {},
  options: new Map([[12, new Uint8Array([1])]]),
};

t.test("a damaged lease file is passed over and stays; those of another boot are removed", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "twill-journal-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const journal = openLeaseFiles(directory);
  const written = { form: 1, boot, ...entry };
  journal.write("0000000000000001", entry as unknown as LeaseFile);
  const damaged: Record<string, string | Buffer> = {
    "0000000000000002": "{",
    "0000000000000003": Buffer.from([0xed, 0xa0, 0x80]),
    "0000000000000004": JSON.stringify({ ...written, options: [5] }),
    "0000000000000005": JSON.stringify({ ...written, options: [[12, "zz"]] }),
    "0000000000000006": "[]",
  };
  for (const [name, text] of Object.entries(damaged)) writeFileSync(join(directory, name), text);
  execFileSync("mkfifo", [join(directory, "0000000000000007")]);
  mkdirSync(join(directory, "0000000000000008"));
  mkdirSync(join(directory, "folder"));
  writeFileSync(join(directory, "0000000000000009"), JSON.stringify({ ...written, boot: "another", options: [] }));
  writeFileSync(join(directory, "0000000000000001.abc.tmp"), '{"form"');
  const said: string[] = [];
  const read = openLeaseFiles(directory).read((text) => said.push(text));
  t.strictSame([...read.keys()], ["0000000000000001"]);
  t.strictSame(read.get("0000000000000001")?.options, entry.options);
  t.equal(said.filter((line) => line.includes("is damaged and ignored")).length, 8, said.join("\n"));
  t.notOk(existsSync(join(directory, "0000000000000009")));
  t.equal(readdirSync(directory).length, 9);
});
