// What becomes of names when processes are killed, namespaces go, and others have the port.
import { existsSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { newResolverLab, type ResolverLab } from "./lab.ts";

const digDb = ["dig", "@127.0.0.11", "+short", "+tries=1", "+timeout=20", "db"] as const;

function twoContainers(t: Parameters<typeof newResolverLab>[0]): ResolverLab {
  const lab = newResolverLab(t);
  lab.attach(0, { network: "front", name: "web", addresses: ["172.18.0.2/16"] });
  lab.attach(1, { network: "front", name: "db", addresses: ["172.18.0.3/16"] });
  return lab;
}

/** Waits until it holds; a test that waits for ever is ended by the runner. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(20);
}

t.test("a killed resolver is replaced, and a query that comes meanwhile is answered", needsRoot, async (t) => {
  const lab = twoContainers(t);
  t.match(lab.sync(), { status: 0 });
  const [web = lab.node] = lab.node.containers;

  for (const which of ["worker", "supervisor", "worker", "supervisor"] as const) {
    const before = lab.processes();
    t.equal(before.length, 2);
    process.kill(which === "worker" ? lab.worker() : lab.supervisor(), "SIGKILL");
    t.equal(web.run(...digDb).stdout, "172.18.0.3\n", `${which} killed`);
    await until(() => lab.processes().length === 2);
    t.notSame(lab.processes(), before);
  }
  t.equal(web.run("dig", "@127.0.0.11", "+short", "+tcp", "db").stdout, "172.18.0.3\n", "by TCP too");
  t.match(lab.sync(), { status: 0, stdout: "names are answered in 2 namespaces\n" });
});

t.test("a query that waits while nobody works is answered by the next worker", needsRoot, async (t) => {
  const lab = twoContainers(t);
  lab.sync();
  const [web = lab.node] = lab.node.containers;
  const [worker, supervisor] = [lab.worker(), lab.supervisor()];
  process.kill(supervisor, "SIGSTOP"); // starts no other
  process.kill(worker, "SIGKILL");
  const asked = lab.ask(0, ...digDb);
  await until(() => web.run("ss", "-Hlun", "src", "127.0.0.11").stdout.split(/\s+/)[1] !== "0"); // Recv-Q
  process.kill(supervisor, "SIGCONT");
  t.equal(await asked, "172.18.0.3\n");
});

t.test("records that change are served without a word, and a detached name is gone", needsRoot, async (t) => {
  const lab = twoContainers(t);
  lab.sync();
  const [web = lab.node, db = lab.node] = lab.node.containers;
  lab.detach(1, "front");
  await until(() => web.run(...digDb).stdout === "");
  t.match(db.run(...digDb).stdout, /connection refused|no servers could be reached/, "nor is it served");
});

t.test(
  "a namespace that is gone is let go, and the resolver ends when nobody needs it",
  inFullRunOnly(needsRoot),
  async (t) => {
    const lab = twoContainers(t);
    lab.sync();
    const [web = lab.node, db = lab.node] = lab.node.containers;
    lab.node.sh(`ip link add host0 type veth peer name eth0 netns ${db.name}`);
    lab.removeNamespace(1);
    await until(() => lab.node.run("ip", "link", "show", "host0").status !== 0); // goes with its peer's namespace
    t.equal(web.run(...digDb).stdout, "", "and with it the name");
    lab.removeNamespace(0);
    await until(() => lab.processes().length === 0);
    t.notOk(existsSync(`${lab.dir}/resolver.sock`));
  },
);

t.test(
  "a container that goes while its questions wait for a silent server is let go, and the others are answered",
  inFullRunOnly(needsRoot),
  async (t) => {
    const lab = twoContainers(t);
    const [web = lab.node, db = lab.node] = lab.node.containers;
    lab.node.sh(`ip link set lo up; ip link add host0 type veth peer name eth0 netns ${db.name}`);
    lab.start("socat", "-u", "UDP4-RECV:53,bind=127.0.0.54", "/dev/null");
    await until(() => lab.node.run("ss", "-Hlun").stdout.includes("127.0.0.54:53"));
    lab.setHostResolvers("127.0.0.54");
    lab.sync();
    const worker = lab.worker();
    const waiting = () => lab.node.run("ss", "-Huan", "dst", "127.0.0.54").stdout.split("\n").filter(Boolean).length;
    const clients = [["+notcp"], ["+tcp"]].map((how) =>
      lab.startIn(1, "dig", "@127.0.0.11", "+tries=1", "+timeout=20", ...how, "example.org"),
    );
    await until(() => waiting() === 2);
    for (const client of clients) client.kill("SIGKILL");
    lab.removeNamespace(1);
    t.equal(web.run("dig", "@127.0.0.11", "+short", "web").stdout, "172.18.0.2\n");
    await until(() => lab.node.run("ip", "link", "show", "host0").status !== 0);
    await until(() => waiting() === 0);
    t.equal(web.run("dig", "@127.0.0.11", "+short", "web").stdout, "172.18.0.2\n", "also when their time is over");
    t.equal(lab.worker(), worker, "the resolver was not replaced");
  },
);

t.test("where another program has port 53, that is said, and the others are served", needsRoot, async (t) => {
  const lab = twoContainers(t);
  const [web = lab.node, db = lab.node] = lab.node.containers;
  lab.startIn(1, "socat", "UDP4-LISTEN:53", "STDOUT");
  await until(() => db.run("ss", "-Hlun").stdout.includes(":53"));
  t.match(lab.sync(), {
    status: 1,
    stdout: "names are answered in 1 namespaces\n",
    stderr: `twill resolver: no names are answered in ${db.path}: another program in ${db.path} has port 53 of 127.0.0.11: have it listen on other addresses, and connect again\n`,
  });
  t.equal(web.run(...digDb).stdout, "172.18.0.3\n");
});

t.test("a socket file that somebody removes is made again, and no second resolver starts", needsRoot, async (t) => {
  const lab = twoContainers(t);
  lab.sync();
  const before = lab.processes();
  const [web = lab.node] = lab.node.containers;
  for (const which of ["the file", "the file, after another worker has begun"]) {
    rmSync(`${lab.dir}/resolver.sock`);
    await until(() => existsSync(`${lab.dir}/resolver.sock`));
    t.match(lab.sync(), { status: 0, stdout: "names are answered in 2 namespaces\n" }, which);
    t.equal(lab.processes().length, 2);
    if (which === "the file") {
      t.strictSame(lab.processes(), before);
      process.kill(lab.worker(), "SIGKILL");
      await until(() => lab.processes().length === 2 && !lab.processes().includes(before[1] ?? 0));
    }
  }
  t.equal(web.run(...digDb).stdout, "172.18.0.3\n");
});

t.test(
  "of two resolvers, the one whose socket file is another's ends, and the other has its ports",
  needsRoot,
  async (t) => {
    const lab = twoContainers(t);
    lab.sync();
    const [supervisor, worker] = [lab.supervisor(), lab.worker()];
    for (const pid of [worker, supervisor]) process.kill(pid, "SIGSTOP"); // it does not notice
    rmSync(`${lab.dir}/resolver.sock`);
    t.match(lab.sync(), { status: 1, stderr: /another program in \S+ has port 53/ });
    for (const pid of [worker, supervisor]) process.kill(pid, "SIGCONT");
    await until(() => lab.processes().length === 2 && !lab.processes().includes(worker));
    const [web = lab.node] = lab.node.containers;
    await until(() => web.run(...digDb).stdout === "172.18.0.3\n");
    t.match(lab.sync(), { status: 0, stdout: "names are answered in 2 namespaces\n" });
  },
);

t.test("two resolvers on one socket: the second says so", needsRoot, async (t) => {
  const lab = twoContainers(t);
  lab.sync();
  t.match(lab.node.run(lab.twill, "resolver", ...lab.paths), {
    status: 1,
    stderr: /^twill: another resolver listens on \S+\n {2}To fix: stop that one first/,
  });
});
