// The portmap plugin in both backends: whom it refuses, and that DEL never is.
import t from "tap";
import type { Outcome } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { backends, CLIENT, HOST, HOST2, type Mapping, Site } from "./lab/publishing.ts";

for (const backend of backends) {
  t.test(`portmap, ${backend}: a port that a living container has is refused, with its name`, needsRoot, async (t) => {
    const site = new Site(t, backend, 2);
    const { node, client } = site;
    site.serve(80, 0);
    const cache = (container: number, netns: string) =>
      node.write(
        `/var/lib/cni/results/net-container-${container}-eth0`,
        JSON.stringify({
          kind: "cniCacheV1",
          containerId: `container-${container}`,
          config: "e30=",
          ifName: "eth0",
          networkName: "net",
          netns,
          result: {},
        }),
      );
    t.match(
      site.call("ADD", [
        { hostPort: 8080, containerPort: 80 },
        { hostPort: 8081, containerPort: 80 },
      ]),
      { status: 0 },
    );
    site.attach(1);
    site.serve(80, 1);
    const before = node.snapshot();
    const second = (...mappings: Mapping[]) => site.call("ADD", mappings, {}, { container: 1 });

    for (const netns of [undefined, node.containers[0]?.path]) {
      if (netns !== undefined) cache(0, netns);
      t.match(second({ hostPort: 8082, containerPort: 80 }, { hostPort: 8080, containerPort: 80 }), {
        status: 1,
        stdout: {
          code: 11,
          msg: "port 8080/tcp is held by container container-0 of network net",
          details:
            /^for container container-1 of network net\. To fix: choose another host port, or delete that container; /,
        },
        stderr: "",
      });
      t.strictSame(node.snapshot().namespaces, before.namespaces, "nothing has changed");
    }

    t.match(
      second(
        { hostPort: 8080, containerPort: 80, protocol: "udp" },
        { hostPort: 8080, containerPort: 80, hostIP: HOST2 },
      ),
      { status: 0 },
    );
    t.equal(site.ask(client, HOST, 8080), `c0 ${CLIENT}`);
    t.equal(site.ask(client, HOST2, 8080), `c1 ${CLIENT}`, "one address is more than all of them");
    t.match(site.call("DEL", undefined, {}, { container: 1 }), { status: 0 });
    t.equal(site.ask(client, HOST2, 8080), `c0 ${CLIENT}`, "and gives it back");

    cache(0, "/run/netns/gone");
    t.match(second({ hostPort: 8080, containerPort: 80 }), {
      status: 0,
      stderr:
        "port 8080/tcp of the host was held by container container-0 of network net, which no longer exists (its namespace does not exist): taken over\n",
    });
    t.equal(site.ask(client, HOST, 8080), `c1 ${CLIENT}`);
    t.equal(site.ask(client, HOST, 8081), "", "all of the dead one goes");
    const taken = site.published();
    t.match(site.call("DEL", [{ hostPort: 8080, containerPort: 80 }]), { status: 0 }, "its own DEL comes late");
    t.strictSame(site.published(), taken, "and finds nothing of its own");
  });

  t.test(`portmap, ${backend}: DEL succeeds whatever is gone`, needsRoot, async (t) => {
    const site = new Site(t, backend);
    const { node } = site;
    const mappings = [
      { hostPort: 8080, containerPort: 80 },
      { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: HOST },
    ];
    const prevResult = site.attach();
    const before = node.snapshot();
    const gone: Record<string, () => Outcome> = {
      "the runtime does not mention ports": () => site.call("DEL", undefined),
      "the runtime says there are none": () => site.call("DEL", []),
      "no prevResult": () => node.cni("portmap", "DEL", site.conf(mappings)),
      "no namespace": () => site.call("DEL", mappings, {}, { environment: { CNI_NETNS: "" } }),
      "the namespace is gone": () => site.call("DEL", mappings, {}, { environment: { CNI_NETNS: "/run/netns/gone" } }),
      "a configuration that ADD refuses": () =>
        node.cni("portmap", "DEL", site.conf([{ hostPort: 0, containerPort: 0 }], { markMasqBit: 77, prevResult })),
      "the other backend": () =>
        site.call("DEL", mappings, { backend: backend === "iptables" ? "nftables" : "iptables" }),
      "all rules": () => {
        node.sh("nft flush ruleset");
        return site.call("DEL", mappings);
      },
      "half of the rules": () => {
        node.sh(
          backend === "iptables"
            ? "iptables -t nat -F CNI-HOSTPORT-DNAT"
            : "nft flush map ip twill_hostport hostports; nft flush set ip twill_hostport hairpin",
        );
        return site.call("DEL", mappings);
      },
    };
    for (const [what, del] of Object.entries(gone)) {
      t.match(site.call("ADD", mappings), { status: 0, stderr: "" });
      t.not(site.published().length, 0);
      t.match(del(), { status: 0, stdout: "", stderr: "" }, what);
      t.strictSame(site.published(), [], what);
    }
    t.strictSame(node.snapshot().files, before.files);
  });

  t.test(
    `portmap, ${backend}: of many at once each gets its ports, and one the port that all want`,
    needsRoot,
    async (t) => {
      const site = new Site(t, backend);
      site.attach();
      const at = (i: number) => ({ interfaces: [], ips: [{ address: `10.1.0.${50 + i}/24` }] });
      const atOnce = (mappings: (i: number) => Mapping[]) =>
        Promise.all(
          Array.from({ length: 12 }, (_, i) => {
            const prevResult = { cniVersion: "1.1.0", ...at(i) };
            return site.node.cniAtOnce("portmap", "ADD", site.conf(mappings(i), { prevResult }), {
              containerId: `many-${i}`,
            });
          }),
        );
      const own = await atOnce((i) => [{ hostPort: 9000 + i, containerPort: 80 }]);
      t.strictSame(new Set(own.map(({ status, stderr }) => `${status} ${stderr}`)), new Set(["0 "]));
      const all = await atOnce((i) => [
        { hostPort: 9000 + i, containerPort: 80 },
        { hostPort: 7000, containerPort: 80 },
      ]);
      t.equal(all.filter(({ status }) => status === 0).length, 1);
      const codes = all.filter(({ status }) => status !== 0).map(({ stdout }) => (stdout as { code: number }).code);
      t.strictSame(new Set(codes), new Set([11]));
    },
  );
}

t.test("portmap: what is wrong with a configuration is said before anything is done", needsRoot, async (t) => {
  const site = new Site(t, "iptables");
  site.attach();
  const before = site.node.snapshot();
  const port = { hostPort: 80, containerPort: 80, protocol: "tcp" };
  const cases: [keys: object, mappings: object[], msg: string][] = [
    [{}, [{ ...port, hostPort: 0 }], "Invalid host port number: 0"],
    [{}, [{ ...port, hostPort: 65536 }], "Invalid host port number: 65536"],
    [{}, [{ ...port, containerPort: -1 }], "Invalid container port number: -1"],
    [{}, [{ ...port, protocol: "icmp" }], 'host port 80 has protocol "icmp", must be "tcp", "udp" or "sctp"'],
    [{}, [{ ...port, hostIP: "localhost" }], 'host port 80 has hostIP "localhost", which is not an IP address'],
    [{}, [port, { ...port, containerPort: 81 }], "host port 80/tcp is mapped to container port 80 and to 81"],
    [{ markMasqBit: 32 }, [port], "MasqMarkBit must be between 0 and 31"],
    [{ markMasqBit: 1, externalSetMarkChain: "X" }, [port], "Cannot specify externalSetMarkChain and markMasqBit"],
    [
      { conditionsV4: ["-s", "192.0.2.0/24\n-A POSTROUTING -j ACCEPT"] },
      [port],
      '"192.0.2.0/24\\n-A POSTROUTING -j ACCEPT" in "conditionsV4" would end the rule',
    ],
    ...["\n", ";", "#"].map((end): [object, object[], string] => [
      { backend: "nftables", conditionsV4: ["ct", "state", `new${end}add table ip evil`] },
      [port],
      `${JSON.stringify(`new${end}add table ip evil`)} in "conditionsV4" would end the rule`,
    ]),
    [{ backend: "ebtables" }, [port], 'unrecognized backend "ebtables"'],
    [
      { conditionsV4: ["ip", "saddr", CLIENT] },
      [port],
      "iptables backend was requested but configuration contains nftables-specific options [conditionsV4]",
    ],
    [
      { backend: "nftables", externalSetMarkChain: "X", conditionsV6: ["-s", "::1"] },
      [port],
      "nftables backend was requested but configuration contains iptables-specific options [externalSetMarkChain conditionsV6]",
    ],
  ];
  for (const [keys, mappings, msg] of cases) {
    const runtimeConfig = { portMappings: mappings };
    t.match(site.call("ADD", [], { ...keys, runtimeConfig }), { status: 1, stdout: { code: 7, msg }, stderr: "" });
  }
  t.match(site.call("ADD", [port], { prevResult: undefined }), {
    status: 1,
    stdout: { code: 7, msg: "must be called as chained plugin" },
  });
  t.match(site.call("CHECK", [port], { prevResult: undefined }), {
    status: 1,
    stdout: { code: 7, msg: "Required prevResult missing" },
  });
  const noChain = site.call("ADD", [port], { externalSetMarkChain: "KUBE-MARK-MASQ" });
  const msg = '"externalSetMarkChain" is "KUBE-MARK-MASQ", which is no chain of table nat of iptables';
  t.match(noChain, { status: 1, stdout: { code: 7, msg, details: /^To fix: remove "externalSetMarkChain"/ } });
  t.strictSame(site.node.snapshot().namespaces, before.namespaces);
  site.node.sh(/make the chain first: (.*)$/.exec((noChain.stdout as { details: string }).details)?.[1] ?? "false");
  t.match(site.call("ADD", [port], { externalSetMarkChain: "KUBE-MARK-MASQ" }), { status: 0 }, "the remedy works");
  t.match(site.call("DEL", [port]), { status: 0 });
  t.match(site.call("STATUS", []), { status: 0, stdout: "" });
});
