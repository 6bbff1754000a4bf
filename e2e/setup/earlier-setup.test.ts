// What an earlier build's setup left enabled is told of, with commands that disable it; nothing else is.
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { projectRoot } from "../lab/project.ts";

/** @param links Below /etc. */
function told(t: Test, links: readonly string[], policy?: string): string {
  const root = mkdtempSync(join(tmpdir(), "twill-earlier-setup-"));
  t.teardown(() => rmSync(root, { recursive: true }));
  for (const link of links) {
    mkdirSync(dirname(join(root, "etc", link)), { recursive: true });
    symlinkSync("/nowhere", join(root, "etc", link));
  }
  if (policy !== undefined) {
    mkdirSync(join(root, "usr/sbin"), { recursive: true });
    writeFileSync(join(root, "usr/sbin/policy-rc.d"), policy);
    chmodSync(join(root, "usr/sbin/policy-rc.d"), 0o755);
  }
  return execFileSync(process.execPath, [join(projectRoot, "dev/earlier-setup.mjs"), root], { encoding: "utf8" });
}

const wants = "systemd/system/multi-user.target.wants";

t.test("setup tells of services that an earlier one may have enabled", async (t) => {
  const printed = told(t, [`${wants}/etcd.service`, "rc3.d/S01etcd", "rc2.d/S01udhcpd", `${wants}/firewalld.service`]);
  t.match(printed, /^setup: etcd, firewalld, udhcpd: enabled here/);
  t.match(printed, "systemctl disable etcd firewalld && update-rc.d etcd disable && update-rc.d udhcpd disable\n");
  t.match(printed, "apt-get purge etcd-server firewalld udhcpd\n");
});

t.test("setup tells of nothing where none of them is enabled", async (t) => {
  t.equal(told(t, []), "");
  t.equal(told(t, ["rc2.d/K01etcd", "rc2.d/S01etcd-proxy", `${wants}/cron.service`]), "");
});

t.test("setup tells of the policy-rc.d of an interrupted one, not of others", async (t) => {
  t.match(told(t, [], "#!/bin/sh\nexit 101\n"), "rm /usr/sbin/policy-rc.d");
  t.equal(told(t, [], "#!/bin/sh\n# ours\nexit 101\n"), "");
});
