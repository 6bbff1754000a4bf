// macvlan and ipvlan with dhcp: containers that are guests on the network of one of the host's devices.
import t from "tap";
import { needsKernel } from "../lab/needs.ts";
import { type Lab, newLab } from "./lab.ts";

/** A device of the host that is plugged into the server's network. */
function uplink(lab: Lab): void {
  lab.node.sh(`ip link add up0 type veth peer name up0port
               ip link set up0port master br0 up
               ip link set up0 up`);
  for (const { sh } of lab.node.containers) sh("ip link delete eth0");
}

for (const type of ["macvlan", "ipvlan"] as const) {
  t.test(
    `${type}: two containers have addresses of their own, reach the server, and give them back`,
    needsKernel(type),
    async (t) => {
      const lab = await newLab(t, { containers: 2 });
      uplink(lab);
      await lab.startServer({ dnsmasq: [] });
      const conf = lab.network({}, { type, master: "up0" });
      const addresses = [0, 1].map((container) => {
        const { status, stdout, stderr } = lab.node.cni(type, "ADD", conf, { container });
        t.match({ status, stderr }, { status: 0, stderr: "" }, JSON.stringify(stdout));
        t.equal(lab.node.containers[container]?.run("ping", "-c1", "-W5", "10.77.0.1").status, 0);
        return (stdout as { ips: { address: string }[] }).ips[0]?.address;
      });
      t.equal(new Set(addresses).size, 2, `${addresses}`);
      for (const container of [0, 1])
        t.match(lab.node.cni(type, "DEL", conf, { container }), { status: 0, stdout: "" });
      t.strictSame(await lab.leases(0), []);
    },
  );
}
