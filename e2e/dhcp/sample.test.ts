// The sample conf/77-dhcp.conflist, with a server on its network and the daemon where the test has it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { needsKernel } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";
import { newLab } from "./lab.ts";

t.test("77-dhcp.conflist does what docs/networks.md says", needsKernel("macvlan"), async (t) => {
  const lab = await newLab(t);
  lab.node.containers[0]?.sh("ip link delete eth0");
  lab.node.sh("ip link add eth1 type veth peer name lan; ip link set lan master br0 up; ip link set eth1 up");
  const server = await lab.startServer({ dnsmasq: [] });
  const { name, plugins } = JSON.parse(readFileSync(join(projectRoot, "conf/77-dhcp.conflist"), "utf8"));
  const [{ ipam, ...macvlan }] = plugins;
  const conf = { cniVersion: "1.1.0", name, ...macvlan, ipam: { ...ipam, daemonSocketPath: lab.socket } };
  const added = lab.node.cni("macvlan", "ADD", conf);
  t.match(added, { status: 0, stderr: "", stdout: { ips: [{ address: /^10\.77\.0\.\d+\/24$/ }] } });
  t.match(lab.node.containers[0]?.sh("ip -d link show eth0; ip address show eth0"), /macvlan.*inet 10\.77\.0\./s);
  const held = { ...conf, prevResult: added.stdout };
  for (const verb of ["CHECK", "DEL"] as const) t.match(lab.node.cni("macvlan", verb, held), { status: 0, stdout: "" });
  await server.until(/DHCPRELEASE/);
});
