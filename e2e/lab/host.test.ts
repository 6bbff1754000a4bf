// The throw-away node itself: it is found whole, looked at truly, and gone afterwards however the test ends.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t from "tap";
import { newHost } from "./host.ts";
import { needsRoot } from "./needs.ts";
import { goBin, projectRoot } from "./project.ts";

const conf = { cniVersion: "1.0.0", name: "net", type: "bridge", bridge: "br0" };
const withAddress = { ...conf, ipam: { type: "host-local", subnet: "10.1.0.0/24" } };

t.test("a plugin runs in the host namespace and sees a /var/lib of its own", needsRoot, async (t) => {
  const node = newHost(t, { bin: goBin });

  const answer = node.cni("bridge", "ADD", withAddress);

  t.match(answer, { status: 0, stdout: { ips: [{ address: "10.1.0.2/24" }] } });
  const { namespaces, files } = node.snapshot();
  t.match(namespaces[node.name]?.links["br0"], { kind: "bridge", flags: /UP/ });
  t.match(namespaces[`${node.name}-c0`]?.addresses["eth0"]?.[0], /local 10\.1\.0\.2 prefixlen 24/);
  t.match(files["cni/networks/net/10.1.0.2"], "container-0");
  t.notOk(existsSync(`/sys/class/net/${conf.bridge}`), "nothing on the machine itself");
});

t.test("two looks at the same state are equal, also after an ADD and its DEL", needsRoot, async (t) => {
  const node = newHost(t, { bin: goBin });
  for (const verb of ["ADD", "DEL"] as const) node.cni("bridge", verb, withAddress);
  const before = node.snapshot();
  t.strictSame(node.snapshot(), before);

  for (const verb of ["ADD", "DEL"] as const) node.cni("bridge", verb, conf);

  t.strictSame(node.snapshot(), before);
});

t.test("calls at once each get their answer", needsRoot, async (t) => {
  const node = newHost(t, { bin: goBin, containers: 3 });
  const answers = await Promise.all(
    [0, 1, 2].map((container) => node.cniAtOnce("bridge", "ADD", withAddress, { container })),
  );
  t.strictSame(
    answers.map(({ status }) => status),
    [0, 0, 0],
  );
});

t.test("nothing is left when the test process is ended by a signal", needsRoot, async (t) => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    const { names, end } = await childWithNode();
    t.ok(names.length > 0 && names.every((name) => existsSync(name)));
    await end(signal);
    t.strictSame(
      names.filter((name) => existsSync(name)),
      [],
      signal,
    );
  }
});

t.test("what a killed test process left is removed by the next one", needsRoot, async (t) => {
  const { names, end } = await childWithNode();
  await end("SIGKILL");
  t.ok(
    names.every((name) => existsSync(name)),
    "nobody could remove it",
  );

  const next = await childWithNode();

  t.strictSame(
    names.filter((name) => existsSync(name)),
    [],
  );
  await next.end("SIGTERM");
});

/** A process that makes a node and waits. `names` are the paths that belong to the node. */
async function childWithNode() {
  const program = `import { newHost } from ${JSON.stringify(join(projectRoot, "e2e/lab/host.ts"))};
    newHost({ teardown() {} });
    console.log("made");
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--import=tsx", "--input-type=module", "-e", program], {
    cwd: projectRoot,
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(createInterface({ input: child.stdout }), "line");
  const belongsToChild = (name: string) => name.startsWith(`twill-${child.pid}-`);
  const names = ["/run/netns", tmpdir()].flatMap((dir) =>
    readdirSync(dir)
      .filter(belongsToChild)
      .map((name) => join(dir, name)),
  );
  const end = async (signal: NodeJS.Signals) => {
    const closed = once(child, "close");
    child.kill(signal);
    await closed;
  };
  return { names, end };
}
