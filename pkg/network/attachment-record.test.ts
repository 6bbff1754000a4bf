import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import {
  type AttachmentRecord,
  listAllAttachmentRecords,
  listAttachmentRecords,
  readingRecordsOnce,
  removeAttachmentRecord,
  removeInterruptedWrites,
  writeAttachmentRecord,
} from "./attachment-record.ts";

const root = mkdtempSync(join(tmpdir(), "twill-records-"));
t.teardown(() => rmSync(root, { recursive: true }));

const record: AttachmentRecord = {
  networkId: "a1".repeat(32),
  networkName: "front",
  internal: false,
  containerId: "cnitool-0123",
  containerName: "web",
  namespace: { path: "/run/netns/web", inode: "4026532281", cookie: "5", procInode: "4026532290", bootId: "b" },
  ifName: "eth0",
  mac: "02:42:ac:12:00:02",
  addresses: ["172.18.0.2/16", "fd00::2/64"],
  aliases: ["www"],
  links: [{ container: "db", alias: "database" }],
  connected: "2026-01-31T12:00:00Z",
};
const other = { ...record, networkId: "b2".repeat(32), networkName: "back" };

t.test("what is written is read, of one network and of all, until it is removed", async (t) => {
  writeAttachmentRecord({ ...record, aliases: [] }, root);
  writeAttachmentRecord(record, root);
  writeAttachmentRecord(other, root);
  t.strictSame(listAttachmentRecords(record.networkId, root), { records: [record], damaged: [] });
  t.strictSame(listAllAttachmentRecords(root), { records: [record, other], damaged: [] });
  t.strictSame(readdirSync(join(root, record.networkId)), ["cnitool-0123.json"], "no temporary file");
  t.equal(removeAttachmentRecord(record, root), true);
  t.equal(removeAttachmentRecord(record, root), false);
  t.strictSame(listAttachmentRecords(record.networkId, root), { records: [], damaged: [] });
  t.ok(existsSync(join(root, other.networkId, "cnitool-0123.json")));
});

t.test("who holds the lock reads the records once, and sees what it changes itself", async (t) => {
  const apart = join(root, "apart");
  const path = join(apart, record.networkId, "cnitool-9.json");
  writeAttachmentRecord(record, apart);
  writeFileSync(path, "not yet");
  readingRecordsOnce(() => {
    t.strictSame(listAllAttachmentRecords(apart).records, [record]);
    rmSync(join(apart, record.networkId, "cnitool-0123.json"));
    t.strictSame(listAllAttachmentRecords(apart).records, [record], "the file is not read again");
    writeAttachmentRecord(other, apart);
    writeAttachmentRecord({ ...record, aliases: [] }, apart);
    writeAttachmentRecord({ ...record, containerId: "cnitool-9" }, apart);
    removeAttachmentRecord(other, apart);
    const [first, second] = [
      { ...record, aliases: [] },
      { ...record, containerId: "cnitool-9" },
    ];
    t.strictSame(listAllAttachmentRecords(apart), { records: [first, second], damaged: [] });
  });
  writeFileSync(path, "damaged");
  t.equal(listAllAttachmentRecords(apart).damaged.length, 1, "afterwards each call reads them");
  rmSync(apart, { recursive: true });
});

t.test("a file that is no record is told, and does not hide the others", async (t) => {
  const network = "c3".repeat(32);
  writeAttachmentRecord({ ...record, networkId: network }, root);
  const directory = join(root, network);
  const { namespace, ...without } = record;
  const texts = {
    "empty.json": "",
    "json.json": "{",
    "list.json": "[]",
    "namespace.json": JSON.stringify({ ...without, networkId: network, containerId: "namespace" }),
    "types.json": JSON.stringify({ ...record, networkId: network, containerId: "types", addresses: "10.0.0.1/8" }),
    "unfinished.json": JSON.stringify({ ...record, networkId: network, containerId: "unfinished", unfinished: "rm" }),
    "links.json": JSON.stringify({ ...record, networkId: network, containerId: "links", links: [{ alias: "x" }] }),
    "another.json": JSON.stringify({ ...record, networkId: network }),
    "elsewhere.json": JSON.stringify({ ...record, containerId: "elsewhere" }),
  };
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(directory, name), text);
  mkdirSync(join(directory, "directory.json"));
  writeFileSync(join(directory, "cnitool-0123.json.5f5f5f5f.tmp"), "of an interrupted write");
  const { records, damaged } = listAttachmentRecords(network, root);
  t.strictSame(
    records.map(({ containerId }) => containerId),
    ["cnitool-0123"],
  );
  t.strictSame(
    damaged.map(({ path }) => path),
    [...Object.keys(texts), "directory.json"].sort().map((name) => join(directory, name)),
  );
  t.equal(damaged.find(({ path }) => path.endsWith("/directory.json"))?.reason, "it is a directory");
});

t.test("what interrupted writes have left is removed, and nothing else", async (t) => {
  const network = "d4".repeat(32);
  writeAttachmentRecord({ ...record, networkId: network, unfinished: "connect" }, root);
  for (const name of ["cnitool-0123.json.5f5f5f5f.tmp", "notes.tmp"]) writeFileSync(join(root, network, name), "{");
  removeInterruptedWrites(root);
  t.strictSame(readdirSync(join(root, network)).sort(), ["cnitool-0123.json", "notes.tmp"]);
  t.equal(listAttachmentRecords(network, root).records[0]?.unfinished, "connect");
});
