// The portmap plugin in both backends: whether the holder of a host port is alive, by the cache of every runtime.
import t from "tap";
import { cacheSamples } from "./lab/cache-samples.ts";
import { needsRoot } from "./lab/needs.ts";
import { backends, HOST6, type Mapping, Site } from "./lab/publishing.ts";

for (const backend of backends) {
  t.test(`portmap, ${backend}: whether a holder lives is known from every runtime's cache`, needsRoot, async (t) => {
    const site = new Site(t, backend, 2);
    const { node } = site;
    const held: Mapping[] = [
      { hostPort: 8080, containerPort: 80 },
      { hostPort: 8080, containerPort: 80, protocol: "udp" },
      { hostPort: 8081, containerPort: 80, hostIP: HOST6 },
    ];
    t.match(site.call("ADD", held), { status: 0 });
    site.attach(1);
    const published = site.published();
    const holder = { id: "container-0", netns: node.containers[0]?.path ?? "" };
    const second = (mapping: Mapping) => site.call("ADD", [mapping], {}, { container: 1 });
    const isRefused = (what: string, mapping = held[0] as Mapping) => {
      const { status, stdout } = second(mapping);
      t.match(
        { status, stdout },
        { status: 1, stdout: { code: 11, msg: /is held by container container-0 of network net$/ } },
        what,
      );
    };

    for (const { writer, write } of cacheSamples) {
      write(node, holder);
      isRefused(`${writer}: alive`);
    }
    for (const mapping of held) isRefused(`alive, ${JSON.stringify(mapping)}`, mapping);
    t.strictSame(site.published(), published);

    node.sh("touch /var/lib/file");
    const [dead] = cacheSamples.filter(({ hasNamespace }) => hasNamespace);
    for (const netns of ["/var/lib/file/below", node.path, "vm-3f2a"]) {
      dead?.write(node, { ...holder, netns });
      isRefused(`a namespace that cannot be examined: ${netns}`);
    }
    for (const content of ["", '{"kind":"cniCacheV1","containerId":"contai', "\xff"]) {
      dead?.write(node, { ...holder, netns: "/run/netns/gone" });
      node.write("/var/lib/cni/results/net-container-0-eth1", content);
      isRefused(`another attachment of the holder is damaged: ${content}`);
      node.write("/var/lib/cni/results/net-container-0-eth0", content);
      isRefused(`its only attachment is damaged: ${content}`);
    }
    for (const { writer, write } of cacheSamples.filter(({ hasNamespace }) => !hasNamespace)) {
      node.sh("rm -r /var/lib/cni/results");
      write(node, { ...holder, netns: "/run/netns/gone" });
      isRefused(`${writer}: unknown`);
    }
    node.sh("rm -r /var/lib/cni/results");
    node.write("/var/lib/cni/results", "a file");
    isRefused("a cache that cannot be read");
    t.strictSame(site.published(), published);

    node.sh("rm /var/lib/cni/results");
    let [from, to] = [0, 1];
    for (const { writer, write } of cacheSamples.filter(({ hasNamespace }) => hasNamespace)) {
      write(node, { id: `container-${from}`, netns: "/run/netns/gone" });
      t.match(
        site.call("ADD", held.slice(0, 1), {}, { container: to }),
        {
          status: 0,
          stderr: new RegExp(
            `held by container container-${from} of .* which no longer exists \\(its namespace does not exist\\): taken over`,
          ),
        },
        `${writer}: dead`,
      );
      [from, to] = [to, from];
    }
  });
}
