// A "container" is a process in a namespace with another root: a folder that chroot enters. What is in its files is read from outside.
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { rewriteContainerFiles } from "../../pkg/resolver/container-files.ts";
import { identifyNamespace } from "../../pkg/sys/namespace-identity.ts";
import { needsRoot } from "../lab/needs.ts";
import { ourBin } from "../lab/project.ts";
import { newResolverLab, pathOf, type ResolverLab } from "./lab.ts";

const ORIGINAL = "search corp.example\nnameserver 192.0.2.1\n";

t.test("resolv.conf and hosts of a container, and never the host's", needsRoot, async (t) => {
  const lab = newResolverLab(t, { containers: 2 });
  const [container = lab.node, plain = lab.node] = lab.node.containers;
  const { root, resolvConf, hosts } = startContainer(lab);
  const hostFile = join(lab.dir, "host-file"); // in the place of both, so that a mistake does not change the machine's
  writeFileSync(hostFile, "the host's\n");
  const withHostRoot =
    'for f in resolv.conf hosts; do mount --bind "$0" /etc/$f; done; echo >"$0.mounted"; exec sleep 60';
  lab.startIn(1, "sh", "-c", withHostRoot, hostFile);
  while (![join(root, "started"), `${hostFile}.mounted`].every(existsSync)) await sleep(10);
  const rewrite = (path: string, isServed: boolean) =>
    rewriteContainerFiles(identifyNamespace(path), {
      network: "front",
      hosts: isServed ? [{ address: "172.18.0.2", name: "web" }] : [],
      isServed,
    });

  t.strictSame(rewrite(container.path, true), []);
  t.match(readFileSync(resolvConf, "utf8"), /^search corp.example\nnameserver 127\.0\.0\.11\noptions ndots:0\n# /);
  t.equal(readFileSync(hosts, "utf8"), "127.0.0.1\tlocalhost\n172.18.0.2\tweb\t# twill: front\n");
  t.strictSame(rewrite(container.path, false), []);
  t.equal(readFileSync(resolvConf, "utf8"), "search corp.example\nnameserver 192.0.2.1\n");
  t.equal(readFileSync(hosts, "utf8"), "127.0.0.1\tlocalhost\n");

  const precious = join(lab.dir, "precious");
  writeFileSync(precious, "precious\n");
  for (const file of [resolvConf, hosts]) {
    rmSync(file);
    symlinkSync(precious, file);
  }
  rewrite(container.path, true);
  t.equal(readFileSync(precious, "utf8"), "precious\n", "a link of the container does not lead to the host's file");

  t.strictSame(rewrite(plain.path, true), []);
  t.equal(readFileSync(hostFile, "utf8"), "the host's\n", "nor is a process with the host's root a container");
});

/** Starts a process with a root of its own in the first namespace; it says that it runs by the file "started". */
function startContainer({ dir, startIn }: ResolverLab): { root: string; resolvConf: string; hosts: string } {
  const root = join(dir, "root");
  mkdirSync(join(root, "etc"), { recursive: true });
  mkdirSync(join(root, "bin"));
  writeFileSync(join(root, "bin/busybox"), readFileSync(pathOf("busybox")), { mode: 0o755 });
  const [resolvConf, hosts] = [join(root, "etc/resolv.conf"), join(root, "etc/hosts")];
  writeFileSync(resolvConf, ORIGINAL);
  writeFileSync(hosts, "127.0.0.1\tlocalhost\n");
  startIn(0, "chroot", root, "/bin/busybox", "sh", "-c", "echo >/started; exec /bin/busybox sleep 60");
  return { root, resolvConf, hosts };
}

t.test(
  "connect has a running container ask the resolver, and disconnect gives its servers back",
  needsRoot,
  async (t) => {
    const lab = newResolverLab(t, { containers: 2 });
    const [web = lab.node, db = lab.node] = lab.node.containers;
    const { root, resolvConf, hosts } = startContainer(lab);
    while (!existsSync(join(root, "started"))) await sleep(10);
    const ownRun = 'mkdir -p /run/twill /var/lib/run && mount --bind /var/lib/run /run/twill && exec "$0" "$@"';
    const network = (...args: string[]) => {
      const command = ["sh", "-c", ownRun, lab.twill, "network", ...args];
      const ran = lab.node.runInside(command, { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d" });
      t.match(ran, { status: 0, stderr: "" }, args.join(" "));
    };
    const lookUp = (name: string) => web.run("chroot", root, "/bin/busybox", "nslookup", name).stdout;

    network("create", "--subnet", "10.5.0.0/24", "front");
    network("create", "--subnet", "10.6.0.0/24", "--internal", "back");
    for (const container of [web, db]) network("connect", "front", container.name);
    t.match(web.run("chroot", root, "/bin/busybox", "ping", "-c1", "-W2", db.name).stdout, /\(10\.5\.0\.3\)/);
    t.match(readFileSync(hosts, "utf8"), `10.5.0.2\t${web.name}\t# twill: front\n`);
    network("connect", "back", web.name);
    network("disconnect", "front", web.name);
    t.match(readFileSync(resolvConf, "utf8"), "nameserver 127.0.0.11\n", "as long as a network has names");
    t.notMatch(readFileSync(hosts, "utf8"), "# twill: front");
    t.match(lookUp("example.org"), /SERVFAIL/, "the internal network alone: nothing is asked elsewhere");
    network("disconnect", "back", web.name);
    t.equal(readFileSync(resolvConf, "utf8"), ORIGINAL);
    t.equal(readFileSync(hosts, "utf8"), "127.0.0.1\tlocalhost\n");
  },
);
