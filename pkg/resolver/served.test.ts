// What the resolver serves by the records of the plugin dnsname: no root, the namespace is this process's.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { formatAddress } from "../ip/address.ts";
import { findStat } from "../sys/file.ts";
import { OWN_NAMESPACE } from "../sys/namespace.ts";
import { type DnsnameRecord, writeDnsnameRecord } from "./dnsname-record.ts";
import { readServed, type ServedAttachment } from "./served.ts";

/** Looked up when it is needed: a test that runs in this process before may move it to another namespace. */
const ownNamespace = () => ({
  path: OWN_NAMESPACE,
  inode: String(findStat(OWN_NAMESPACE)?.inode),
  cookie: "0",
  procInode: "0",
  bootId: "",
});

/** Returns the attachments of records that differ from a usual one. */
function served(...records: Partial<DnsnameRecord>[]): ServedAttachment[] {
  const root = mkdtempSync(join(tmpdir(), "twill-served-"));
  const namespace = ownNamespace();
  try {
    for (const [i, record] of records.entries())
      writeDnsnameRecord(
        {
          network: "n1",
          containerId: `container-${i}`,
          ifName: "eth0",
          names: [`name-${i}`],
          domain: "dns.podman",
          addresses: [`10.10.1.${i + 2}/24`],
          gateways: ["10.10.1.1/24"],
          namespace,
          host: namespace.inode,
          ...record,
        },
        root,
      );
    return readServed({ records: join(root, "none"), cache: join(root, "none"), dnsname: root }).attachments;
  } finally {
    rmSync(root, { recursive: true });
  }
}

t.test(
  "at a gateway of dnsname the container and the host may ask, not whoever has an address of the network",
  async (t) => {
    const addresses = ["10.10.1.2/24", "fd00:10::2/64"];
    const [attachment] = served({ addresses, gateways: ["10.10.1.1/24", "fd00:10::1/64"] });
    t.strictSame(
      attachment?.listenAt.map(({ address, clients }) => [formatAddress(address), clients?.map(formatAddress)]),
      [
        ["10.10.1.1", ["10.10.1.1", "10.10.1.2", "fd00:10::2"]],
        ["fd00:10::1", ["fd00:10::1", "10.10.1.2", "fd00:10::2"]],
      ],
    );
  },
);

t.test("containers with another domain have names of their own beside the others'", async (t) => {
  const networks = served({}, {}, { domain: "new.example" }, { network: "n2" }).map(({ network }) => network);
  t.equal(new Set(networks).size, 3);
});
