// The portmap plugin in both backends: connections that really go through.
import t from "tap";
import { commands, legacyIptables } from "./lab/commands.ts";
import type { Container } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { askByUdp, type Backend, backends, CLIENT, HOST, HOST6, Site } from "./lab/publishing.ts";

for (const backend of backends) {
  t.test(
    `portmap, ${backend}: the port leads to the container, wherever one comes from, until DEL`,
    needsRoot,
    async (t) => {
      const site = new Site(t, backend, 2);
      const { node, client } = site;
      const prevResult = site.attach(0);
      site.attach(1);
      site.serve(80);
      const before = node.snapshot();
      const mappings = [{ hostPort: 8080, containerPort: 80 }];

      t.strictSame(site.call("ADD", mappings), { status: 0, signal: null, stdout: prevResult, stderr: "" });
      t.match(site.call("CHECK", mappings), { status: 0, stdout: "" });
      t.equal(site.ask(client, HOST, 8080), `c0 ${CLIENT}`, "from outside, with the client's address");
      t.equal(site.ask(client, HOST6, 8080), "c0 2001:db8::9", "by IPv6");
      t.equal(site.ask(node, HOST, 8080), `c0 ${HOST}`, "from the host");
      t.equal(site.ask(node, "127.0.0.1", 8080), "c0 10.1.0.1", "from the host's loopback");
      const [own, other] = node.containers as [Container, Container];
      t.equal(site.ask(own, HOST, 8080), "c0 10.1.0.1", "from the container itself");
      t.equal(site.ask(own, HOST6, 8080), "c0 fd00:1::1", "from the container itself by IPv6");
      t.equal(site.ask(other, HOST, 8080), "c0 10.1.0.1", "from its neighbour");
      t.equal(site.ask(other, "10.1.0.2", 80), "c0 10.1.0.3", "who comes directly keeps his address");
      t.equal(site.ask(client, "10.1.0.1", 8080), "", "somebody else's address is not ours"); // no route there

      for (const again of ["once", "twice"])
        t.match(site.call("DEL", mappings), { status: 0, stdout: "", stderr: "" }, again);
      t.equal(site.ask(client, HOST, 8080), "");
      t.strictSame(site.published(), []);
      t.match(site.call("CHECK", mappings), { status: 1, stdout: { code: 999, msg: /is missing|are missing/ } });
      const after = node.snapshot();
      t.strictSame(after.namespaces[node.name]?.links, before.namespaces[node.name]?.links);
    },
  );

  t.test(
    `portmap, ${backend}: an address that is another container's now tells that the holder is gone`,
    needsRoot,
    async (t) => {
      const site = new Site(t, backend);
      const mappings = [{ hostPort: 8080, containerPort: 80 }];
      t.match(site.call("ADD", mappings, {}, { containerId: "old" }), { status: 0, stderr: "" });
      t.match(site.call("ADD", mappings, {}, { containerId: "new" }), {
        status: 0,
        stderr:
          /was held by container old of network net, which no longer exists \(its address now belongs to this container\)/,
      });
      t.notMatch(site.published().join("\n"), /\bold\b/);
    },
  );

  t.test(
    `portmap, ${backend}: a UDP client that keeps its port finds the new container, and others theirs`,
    needsRoot,
    async (t) => {
      const site = new Site(t, backend, 3);
      const { node, client } = site;
      const ask = (port: number) => client.run("node", "-e", askByUdp, HOST, `${port}`).stdout;
      const flows = () =>
        node
          .sh("conntrack -L -p udp 2>/dev/null")
          .split("\n")
          .filter((line) => /dport=80(53|54) /.test(line))
          .map((line) => /src=(10\.1\.0\.\d+|192\.0\.2\.1) dst=192.0.2.9 sport=\d+/.exec(line)?.[0] ?? line)
          .sort();
      for (const container of [0, 1, 2]) {
        site.attach(container);
        site.serveUdp(53, container);
      }
      const udp = (hostPort: number) => [{ hostPort, containerPort: 53, protocol: "udp" }];
      t.match(site.call("ADD", udp(8054), {}, { container: 2 }), { status: 0 });
      t.equal(ask(8054), "c2");

      t.equal(ask(8053), "", "nobody is there yet");
      t.equal(flows().length, 2, "but the kernel remembers the way to the host itself");
      t.match(site.call("ADD", udp(8053), {}, { container: 0 }), { status: 0, stderr: "" });
      t.equal(ask(8053), "c0");
      t.match(site.call("DEL", udp(8053), {}, { container: 0 }), { status: 0, stderr: "" });
      t.equal(flows().length, 1, "DEL forgets the way to its container, and no other");
      t.match(site.call("ADD", udp(8053), {}, { container: 1 }), { status: 0, stderr: "" });
      t.equal(ask(8053), "c1");
      t.match(flows(), ["src=10.1.0.3 dst=192.0.2.9 sport=53", "src=10.1.0.4 dst=192.0.2.9 sport=53"]);
    },
  );
}

t.test("portmap: conditions are each attachment's own", needsRoot, async (t) => {
  const cases: { backend: Backend; simple: (not: boolean) => string[]; hard: string[] }[] = [
    {
      backend: "iptables",
      simple: (not) => [...(not ? ["!"] : []), "-s", CLIENT],
      hard: ["-m", "length", "--length", "0:65535"],
    },
    {
      backend: "nftables",
      simple: (not) => ["ip", "saddr", ...(not ? ["!="] : []), CLIENT],
      hard: ["meta", "length", "<", "65535"],
    },
  ];
  for (const { backend, simple, hard } of cases) {
    const simple6 = (not: boolean) =>
      simple(not).map((word) => (word === CLIENT ? "2001:db8::9" : word.replace(/^ip$/, "ip6")));
    const site = new Site(t, backend, 2);
    site.attach(0);
    site.attach(1);
    site.serve(80, 0);
    site.serve(80, 1);
    const mappings = [{ hostPort: 8080, containerPort: 80 }];
    const others = { conditionsV4: simple(true), conditionsV6: simple6(true) };
    const clients = { conditionsV4: simple(false), conditionsV6: simple6(false) };
    t.match(site.call("ADD", mappings, others), { status: 0, stderr: "" });
    t.match(site.call("ADD", mappings, clients, { container: 1 }), { status: 0, stderr: "" }, "two share a port");
    t.equal(site.ask(site.client, HOST, 8080), `c1 ${CLIENT}`);
    t.equal(site.ask(site.node, HOST, 8080), `c0 ${HOST}`);
    t.match(site.call("CHECK", mappings, others), { status: 0, stdout: "" });
    t.match(site.call("DEL", mappings, others), { status: 0 });
    t.equal(site.ask(site.client, HOST, 8080), `c1 ${CLIENT}`);
    t.equal(site.ask(site.node, HOST, 8080), "");
    t.match(site.call("DEL", mappings, {}, { container: 1 }), { status: 0 });

    const foreign = { conditionsV4: hard };
    t.match(site.call("ADD", mappings, foreign), { status: 0, stderr: "" }, hard.join(" "));
    t.equal(site.ask(site.client, HOST, 8080), `c0 ${CLIENT}`);
    t.match(site.call("CHECK", mappings, foreign), { status: 0, stdout: "" });
    t.match(site.call("DEL", mappings, foreign), { status: 0 });
    t.strictSame(site.published(), []);

    const wrong = { conditionsV4: [...hard, "nonsense"] };
    t.match(site.call("ADD", mappings, wrong), { status: 1, stdout: { msg: /nonsense|iptables-restore/ } });
    t.strictSame(site.published(), []);
  }
});

t.test("portmap: masqAll hides everybody, snat: false nobody", needsRoot, async (t) => {
  for (const backend of backends) {
    const site = new Site(t, backend, 2);
    site.attach(0);
    site.attach(1);
    site.serve(80);
    site.serve(80, 1);
    t.match(site.call("ADD", [{ hostPort: 8080, containerPort: 80 }], { masqAll: true, markMasqBit: 5 }), {
      status: 0,
    });
    t.equal(site.ask(site.client, HOST, 8080), "c0 10.1.0.1");
    if (backend === "iptables") t.match(site.node.sh("iptables -t nat -S"), /--set-xmark 0x20\/0x20/);
    t.match(site.call("ADD", [{ hostPort: 9090, containerPort: 80 }], { snat: false }, { container: 1 }), {
      status: 0,
    });
    t.equal(site.ask(site.client, HOST, 9090), `c1 ${CLIENT}`);
    t.equal(site.ask(site.node, "127.0.0.1", 9090, 1), "", "without snat there is no way from the loopback");
    t.equal(site.ask(site.client, HOST, 8080), "c0 10.1.0.1", "the others keep theirs");
  }
});

t.test("portmap: legacy iptables is run once for each family", needsRoot, async (t) => {
  const site = new Site(t, "iptables");
  site.attach();
  site.serve(80);
  const PATH = `${commands(t, legacyIptables)}:/usr/sbin:/usr/bin:/sbin:/bin`;
  const mappings = [{ hostPort: 8080, containerPort: 80 }];
  t.match(site.call("ADD", mappings, {}, { environment: { PATH } }), { status: 0, stderr: "" });
  t.match(
    site.node.sh("iptables-legacy-save -t nat"),
    /-A CNI-DN-\w+ -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10\.1\.0\.2:80/,
  );
  t.equal(site.ask(site.client, HOST, 8080), `c0 ${CLIENT}`);
  t.match(site.call("CHECK", mappings, {}, { environment: { PATH } }), { status: 0, stdout: "" });
  t.match(site.call("DEL", mappings, {}, { environment: { PATH } }), { status: 0, stdout: "" });
  t.notMatch(site.node.sh("iptables-legacy-save -t nat; ip6tables-legacy-save -t nat"), /CNI-DN|dports/);
});
