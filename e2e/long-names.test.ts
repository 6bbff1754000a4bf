// Network names and container IDs that are longer together than a comment of iptables may be (nerdctl's IDs have 72 bytes): everything
// that writes rules works, and what it wrote is found again.
import t from "tap";
import { newHost, type Verb } from "./lab/host.ts";
import { needsKernel } from "./lab/needs.ts";

const name = "n".repeat(100);
const ids = ["c", "d"].map((letter) => letter.repeat(160));
const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };
const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];

for (const backend of ["iptables", "nftables"]) {
  t.test(
    `long names by ${backend}: what ADD wrote is checked, collected and deleted`,
    needsKernel("iptables_nat"),
    async (t) => {
      const node = newHost(t, { containers: 2 });
      const chain = {
        bridge: { isGateway: true, ipMasq: true, ipMasqBackend: backend, bridge: "br0", ipam },
        portmap: { backend, runtimeConfig: { portMappings } },
        firewall: { backend },
      };
      const call = (plugin: keyof typeof chain, verb: Verb, container: number, keys: object = {}) =>
        node.cni(
          plugin,
          verb,
          { cniVersion: "1.1.0", name, type: plugin, ...chain[plugin], ...keys },
          { container, containerId: ids[container] ?? "" },
        );
      const rules = () => node.sh("nft list ruleset").replaceAll(/ packets \d+ bytes \d+| # handle \d+/g, "");
      const plugins = ["bridge", "portmap", "firewall"] as const;
      const attach = (container: number): unknown => {
        let prevResult: unknown;
        for (const plugin of plugins) {
          const { status, stdout } = call(plugin, "ADD", container, {
            prevResult,
            ...(container > 0 && { runtimeConfig: {} }),
          });
          t.equal(status, 0, `${plugin} ADD: ${JSON.stringify(stdout)}`);
          prevResult = stdout;
        }
        return prevResult;
      };
      const addressIn = (result: unknown) =>
        (result as { ips: { address: string }[] }).ips[0]?.address.replace(/\/.*/, "") ?? "";
      const other = addressIn(attach(1));
      const linesOf = (address: string) =>
        rules()
          .split("\n")
          .filter((line) => new RegExp(`${address}\\b`).test(line));
      const ofOther = linesOf(other);
      for (const verb of ["DEL", "GC"] as const) {
        const prevResult = attach(0);
        t.match(call("portmap", "ADD", 0, { prevResult }), { status: 0 }, "portmap ADD once more");
        const address = addressIn(prevResult);
        t.not(linesOf(address).length, 0);
        for (const plugin of plugins)
          t.match(call(plugin, "CHECK", 0, { prevResult }), { status: 0 }, `${plugin} CHECK`);
        const valid = [{ containerID: ids[1], ifname: "eth0" }];
        for (const plugin of plugins.toReversed())
          t.match(
            call(plugin, verb, 0, { "cni.dev/valid-attachments": valid }),
            { status: 0, stdout: "" },
            `${plugin} ${verb}`,
          );
        if (verb === "GC") t.match(call("bridge", "DEL", 0), { status: 0 });
        t.strictSame(linesOf(address), [], `${verb}: no rule is left`);
        t.strictSame(linesOf(other), ofOther, `${verb}: the other container's are`);
      }
    },
  );
}
