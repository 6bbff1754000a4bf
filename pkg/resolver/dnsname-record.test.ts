import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { type DnsnameRecord, findDnsnameRecord, removeStaleRecord, writeDnsnameRecord } from "./dnsname-record.ts";

const record: DnsnameRecord = {
  network: "n1",
  containerId: "one",
  ifName: "eth0",
  names: ["web"],
  domain: "dns.podman",
  addresses: ["10.10.1.2/24"],
  gateways: ["10.10.1.1/24"],
  namespace: { path: "/run/netns/one", inode: "4026532000", cookie: "7", procInode: "4026532001", bootId: "boot" },
  host: "4026531840",
};

t.test("the record of a container that is gone is removed, that of the next ADD is not", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "twill-dnsname-"));
  t.teardown(() => rmSync(root, { recursive: true }));
  const next = { ...record, namespace: { ...record.namespace, inode: "4026533000", cookie: "8" } };
  writeDnsnameRecord(next, root); // after the earlier one was read
  removeStaleRecord(record, root);
  t.strictSame(findDnsnameRecord(record, root), next);
  removeStaleRecord(next, root);
  t.equal(findDnsnameRecord(record, root), undefined);
  removeStaleRecord(next, root);
});
