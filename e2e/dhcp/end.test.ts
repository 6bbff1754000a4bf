// A lease ends: nobody extends it, its server refuses, its interface is gone.
import t from "tap";
import { until } from "../cluster/until.ts";
import { needsRoot } from "../lab/needs.ts";
import { configure, isUp, newLab, untilDown } from "./lab.ts";

/** udhcpd leaves T1 and T2 to the client: 1.5 and 2.55 s. */
const threeSeconds = ["opt lease 3"];

t.test(
  "a lease that nobody extends ends: the interface is down, CHECK says so, ADD gets another one",
  needsRoot,
  async (t) => {
    const lab = await newLab(t, { flags: ["-resendtimeout", "1s"] });
    const server = await lab.startServer({ udhcpd: threeSeconds });
    const address = configure(lab, lab.cni("ADD").stdout);
    await server.stop();
    await lab.daemon.until(/container-0\/net\/eth0: lease expired/);
    await untilDown(lab);
    t.match(lab.cni("CHECK"), {
      status: 1,
      stdout: {
        code: 999,
        msg: `error calling DHCP.Check: the lease of ${address} for container-0/net/eth0 has ended: lease expired`,
      },
    });
    t.match(lab.cni("ADD"), { status: 1, stdout: { code: 11, msg: "error calling DHCP.Allocate: no more tries" } });
    await lab.startServer({ udhcpd: threeSeconds });
    t.match(lab.cni("ADD"), { status: 0 });
    t.ok(isUp(lab));
  },
);

t.test("a lease that ended while no daemon ran sets the interface down when one comes", needsRoot, async (t) => {
  const lab = await newLab(t);
  await lab.startServer({ udhcpd: ["opt lease 1"] });
  configure(lab, lab.cni("ADD").stdout);
  await lab.daemon.stop();
  const left = lab.node.run("sh", "-c", `sleep 1; ls ${lab.dir}/dhcp.leases`); // the lease's own second
  t.equal(left.stdout.trim().split("\n").length, 1);
  const next = await lab.startDaemon();
  await next.until(/lease expired/);
  await untilDown(lab);
});

t.test(
  "a lease that the server refuses to extend is over, since the container keeps its address",
  needsRoot,
  async (t) => {
    const lab = await newLab(t, { flags: ["-timeout", "1s"] });
    const first = await lab.startServer({ udhcpd: ["opt lease 4"] });
    const address = configure(lab, lab.cni("ADD").stdout);
    await first.stop();
    const second = await lab.startServer({ dnsmasq: ["--dhcp-authoritative"], range: "10.77.0.200,10.77.0.210,120" });
    await second.until(/DHCPNAK/);
    await lab.daemon.until(
      new RegExp(`the server refused ${address}: requesting it again[^]*the server refused the address`),
    );
    await untilDown(lab);
  },
);

t.test("an interface that is gone ends its lease at the next renewal", needsRoot, async (t) => {
  const lab = await newLab(t);
  await lab.startServer({ udhcpd: threeSeconds });
  lab.cni("ADD");
  lab.node.containers[0]?.sh("ip link delete eth0");
  await lab.daemon.until(/container-0\/net\/eth0: error looking up "eth0": Link not found/);
  await until("the lease's file is removed", () => lab.node.run("ls", `${lab.dir}/dhcp.leases`).stdout === "");
  t.match(lab.cni("DEL"), { status: 0, stdout: "" });
});
