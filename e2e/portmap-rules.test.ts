// The portmap plugin in both backends: what it leaves in the firewall, and what it starts.
import t from "tap";
import type { Verb } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { backends, CLIENT, HOST, type Mapping, Site } from "./lab/publishing.ts";

for (const backend of backends) {
  t.test(`portmap, ${backend}: an ADD replaces what the attachment had`, needsRoot, async (t) => {
    const site = new Site(t, backend);
    site.serve(80);
    t.match(
      site.call("ADD", [
        { hostPort: 8080, containerPort: 80 },
        { hostPort: 8081, containerPort: 80, hostIP: HOST },
      ]),
      { status: 0 },
    );
    const second = [
      { hostPort: 8081, containerPort: 80 },
      { hostPort: 8082, containerPort: 80 },
    ];
    t.match(site.call("ADD", second), { status: 0, stderr: "" });
    t.match(site.call("CHECK", second), { status: 0 });
    const once = site.published();
    t.match(site.call("ADD", second), { status: 0, stderr: "" });
    t.strictSame(site.published(), once);
    t.equal(site.ask(site.client, HOST, 8080), "");
    for (const port of [8081, 8082]) t.equal(site.ask(site.client, HOST, port), `c0 ${CLIENT}`);
  });

  t.test(
    `portmap, ${backend}: nothing is started, and nothing is asked of the firewall without ports`,
    needsRoot,
    async (t) => {
      const site = new Site(t, backend);
      const { node } = site;
      const trace = `${node.varLib}/trace`;
      const traced = (verb: Verb, mappings: readonly Mapping[] | undefined) => {
        const under = ["strace", "-f", "-e", "trace=execve,sendmsg,sendto,flock,openat", "-o", trace];
        t.match(site.call(verb, mappings, {}, { under }), { status: 0 });
        return node.sh(`cat ${trace}`);
      };
      for (const verb of ["ADD", "CHECK", "DEL"] as const) {
        const calls = traced(verb, [
          { hostPort: 8080, containerPort: 80 },
          { hostPort: 53, containerPort: 53, protocol: "udp" },
        ]);
        t.equal(calls.match(/execve\(/g)?.length, 1, `${verb} starts nothing`);
        t.match(calls, /sendto|sendmsg/, "sees what is sent");
      }
      for (const mappings of [undefined, []]) t.notMatch(traced("ADD", mappings), /flock|sendto|sendmsg|\.lock/);
      t.notMatch(traced("DEL", []), /flock|\.lock/);
    },
  );

  t.test(`portmap, ${backend}: GC removes what belongs to nobody, and nothing else`, needsRoot, async (t) => {
    const site = new Site(t, backend, 2);
    const { node } = site;
    t.match(
      site.call("ADD", [
        { hostPort: 8080, containerPort: 80 },
        { hostPort: 8081, containerPort: 81, hostIP: HOST },
      ]),
      { status: 0 },
    );
    t.match(site.call("ADD", [{ hostPort: 9090, containerPort: 80 }], {}, { container: 1 }), { status: 0 });
    const alive = site.published();
    const result = node.cni(
      "portmap",
      "ADD",
      site.conf([{ hostPort: 7070, containerPort: 80 }], { name: "other", prevResult: site.result(0) }),
    );
    t.match(result, { status: 0 });
    const all = site.published();
    const valid = [{ containerID: "container-1", ifname: "eth0" }];
    const gc = (attachments: object[], name = "net") => {
      const { prevResult: _, runtimeConfig: __, ...conf } = site.conf(undefined, { name }) as Record<string, unknown>;
      return node.cni("portmap", "GC", { ...conf, "cni.dev/valid-attachments": attachments });
    };
    t.match(gc([{ containerID: "container-0", ifname: "eth0" }, ...valid]), { status: 0, stdout: "" });
    t.strictSame(site.published(), all, "all are alive");
    t.match(gc(valid), { status: 0, stdout: "" });
    const left = site.published();
    t.notMatch(left.join(), /808[01]/);
    t.match(left.join(), /9090.*7070|7070.*9090/s);
    t.match(gc([]), { status: 0 });
    t.match(gc([], "other"), { status: 0 });
    t.strictSame(site.published(), []);
    t.not(alive.length, 0);
  });
}

t.test("portmap: what nft prints of it, nft reads", needsRoot, async (t) => {
  const site = new Site(t, "nftables");
  t.match(
    site.call("ADD", [
      { hostPort: 8080, containerPort: 80 },
      { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: HOST },
    ]),
    { status: 0 },
  );
  const printed = site.node.sh("nft list ruleset");
  site.node.sh("nft list ruleset > $0; nft flush ruleset; nft -f $0".replaceAll("$0", `${site.node.varLib}/rules`));
  t.equal(site.node.sh("nft list ruleset"), printed);
  t.match(printed, /udp \. 53 comment "id: container-0, if: eth0, net: net" : 10\.1\.0\.2 \. 53/);
  t.match(site.call("DEL", undefined), { status: 0 });
  t.strictSame(site.published(), []);
});
