// A daemon that waits for the administrator, for days maybe.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { startProgram } from "../cluster/program.ts";
import { newHost } from "../lab/host.ts";
import { needsRoot } from "../lab/needs.ts";
import { ourTools } from "../lab/project.ts";

t.test(
  "a host that waits for a free subnet keeps no socket from its attempts, and answers probes",
  needsRoot,
  async (t) => {
    const host = newHost(t);
    host.sh(`ip link set lo up; ip link add eth0 type veth peer name eth1; ip link set eth1 up
           ip address add 192.0.2.1/24 dev eth0; ip link set eth0 up`);
    const folder = mkdtempSync(join(tmpdir(), "twill-waiting-")); // a short path, for the socket
    t.teardown(() => rmSync(folder, { recursive: true }));
    const subnetFile = join(folder, "subnet.env");
    mkdirSync(join(folder, "subnets"));
    writeFileSync(join(folder, "config"), '{"Network": "10.5.0.0/28", "SubnetLen": 30, "Backend": {"Type": "alloc"}}');
    for (const subnet of ["10.5.0.4-30", "10.5.0.8-30", "10.5.0.12-30"])
      writeFileSync(join(folder, "subnets", subnet), '{"PublicIP":"192.0.2.9"}');
    const flags = ["--subnet-dir", folder, "--subnet-file", subnetFile, "--iface", "eth0", "--healthz-port", "8081"];
    const daemon = startProgram(t, host.name, [join(ourTools, "flanneld"), ...flags]);

    /** Netlink sockets of this namespace after so many attempts, as its own metrics count those. */
    const socketsAfter = (attempts: number) =>
      daemon.until(`${attempts} attempts`, () => {
        const socket = join(folder, "subnet.sock");
        const metrics = host.sh(`curl -s --unix-socket ${socket} http://flanneld/metrics || true`);
        const [, count = "0"] = /store_request_seconds_count\{operation="list"\} (\d+)/.exec(metrics) ?? [];
        return Number(count) >= attempts && host.sh("cat /proc/net/netlink").split("\n").length;
      });
    const few = await socketsAfter(2);
    t.equal(await socketsAfter(5), few);

    const answers = (ip: string) =>
      ["healthz", "readyz", "metrics", "status"].map((page) =>
        Number(host.sh(`curl -s -o /dev/null -w '%{http_code}' http://${ip}:8081/${page}`)),
      );
    t.strictSame(answers("127.0.0.1"), [200, 503, 200, 200]);
    t.strictSame(
      answers("192.0.2.1"),
      [200, 503, 403, 403],
      "without --healthz-ip, other hosts get the probes' pages only",
    );
  },
);
