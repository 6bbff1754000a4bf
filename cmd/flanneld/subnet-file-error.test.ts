import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { writeSubnetFile } from "../../pkg/subnet-env/subnet-file.ts";
import { Errno, SystemError } from "../../pkg/sys/errno.ts";
import { aboutSubnetFile } from "./subnet-file-error.ts";

const file = { mtu: 1450, ipMasq: false };

t.test("a subnet file that cannot be written is told with its flag and a remedy", async (t) => {
  const folder = t.testdir();
  writeFileSync(join(folder, "file"), "");
  mkdirSync(join(folder, "subnet.env"));
  const write = (path: string) => aboutSubnetFile(path, () => writeSubnetFile(path, file));
  for (const [path, message] of [
    [
      "/sys/x/subnet.env",
      /^cannot use --subnet-file \/sys\/x\/subnet\.env: mkdirat \/sys\/x: E\w+\. To fix: use one in a directory/,
    ],
    [join(folder, "file/subnet.env"), /(ENOTDIR|EEXIST)\. To fix: move away what is at .*\/file/],
    [join(folder, "subnet.env"), /EISDIR\. To fix: move away what is at .*subnet\.env/],
  ] as const)
    await t.rejects(write(path), { name: "SubnetFileError", message });
  const full = new SystemError("write", Errno.ENOSPC, "/run/flannel/x");
  await t.rejects(
    aboutSubnetFile("/run/flannel/subnet.env", () => Promise.reject(full)),
    { message: /write \/run\/flannel\/x: ENOSPC\. To fix: free space on its file system$/ },
  );
});
