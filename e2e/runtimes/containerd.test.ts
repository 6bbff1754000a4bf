// Debian's containerd with our plugins: pods of its CRI service, as kubelet asks for them, and containers of `ctr`.
import t from "tap";
import { until } from "../cluster/until.ts";
import { inLongRunOnly, needsRoot } from "../lab/needs.ts";
import { newContainerd } from "./containerd.ts";

t.test("containerd: pods keep port and rules while they live, and no longer", inLongRunOnly(needsRoot), async (t) => {
  const { done, type, start, cri, ask, traces } = await newContainerd(t);
  const attachments = () => done("dist/bin/cnitool list pods --json").then(JSON.parse);
  const a = await start("a", 8080);
  const b = await start("b", 8081);
  t.equal(await ask(8080), "a");
  t.equal(await ask(8081), "b");
  t.match(await type("node e2e/runtimes/cri.mjs run c 8080 /$(basename $(cat /run/cgroup))"), {
    status: 1,
    stderr: new RegExp(`port 8080/tcp is held by container ${a} of network pods`),
  });
  t.equal(await ask(8080), "a");
  t.match(await done("dist/bin/twill reload"), /^4 attachments, nothing is missing$/, "with the loopback of each");
  await cri("stop", b);
  await cri("remove", b);
  t.equal(await ask(8081), "");

  const dead = await start("d", 8081);
  const [, alive] = [dead, a].map((containerId) => ({ containerId, namespace: "alive" }));
  const { netns } = (await attachments()).find(({ containerId }: { containerId: string }) => containerId === dead);
  await done(
    `kill -9 $(ctr -n k8s.io tasks list | awk '$1 == "${dead}" { print $2 }'); umount ${netns}; rm -f ${netns}`,
  );
  t.match(
    (await attachments()).find(({ containerId }: { containerId: string }) => containerId === dead),
    { namespace: "dead" },
  );
  await done("nft flush ruleset");
  t.match(await done("dist/bin/twill reload"), new RegExp(`^pods ${a} eth0: \\d+ changes made\n2 attachments, `));
  t.equal(await ask(8080), "a");
  t.notMatch(await done("nft list ruleset"), /8081/);
  t.equal(await done("CNI_PATH=/opt/cni/bin dist/bin/cnitool gc --dead pods"), `pods ${dead} eth0: deleted`);
  t.match(await attachments(), [alive]);
  t.equal(await ask(8080), "a");
  await cri("remove", dead);
  await cri("remove", a);
  t.equal(await traces(), "");
});

t.test("containerd: ten pods at once outlive it and their plugins", inLongRunOnly(needsRoot), async (t) => {
  const { restart, start, cri, ask, traces, usePlugins } = await newContainerd(t);
  const numbers = Array.from({ length: 10 }, (_, i) => i);
  const ids = await Promise.all(numbers.map((i) => start(`p${i}`, 8080 + i)));
  await restart();
  await usePlugins("go");
  for (const i of numbers) t.equal(await ask(8080 + i), `p${i}`);
  for (const id of ids.slice(0, 3)) await cri("stop", id);
  ids.push(await start("of-go", 9000));
  await usePlugins("ours");
  t.equal(await ask(9000), "of-go");
  for (const i of numbers.slice(3)) t.equal(await ask(8080 + i), `p${i}`);
  await Promise.all(ids.map((id) => cri("remove", id)));
  t.equal(await traces(), "");
});

t.test("containerd: what ctr has attached is known to be dead by its process", inLongRunOnly(needsRoot), async (t) => {
  const { done, traces } = await newContainerd(t);
  const cgroup = "--cgroup /$(basename $(cat /run/cgroup))";
  for (const id of ["one", "two"]) await done(`ctr -n k8s.io run -d --cni ${cgroup}/${id} localhost/pod:1 ${id}`);
  const states = async () =>
    (await done("dist/bin/cnitool list pods --json | jq -r '.[] | .containerId + \" \" + .namespace'")).split("\n");
  t.strictSame(await states(), ["k8s.io-one alive", "k8s.io-two alive"]);
  await done("kill -9 $(ctr -n k8s.io tasks list | awk '$1 == \"two\" { print $2 }')");
  await until("the end of the process", async () => (await states()).includes("k8s.io-two dead"));
  t.equal(await done("CNI_PATH=/opt/cni/bin dist/bin/cnitool gc --dead pods"), "pods k8s.io-two eth0: deleted");
  t.strictSame(await states(), ["k8s.io-one alive"]);
  await done("ctr -n k8s.io tasks kill -s KILL one");
  await until("the end of the process", async () => (await states()).includes("k8s.io-one dead"));
  await done("CNI_PATH=/opt/cni/bin dist/bin/cnitool gc --dead pods");
  t.equal(await traces(), "");
});

t.test(
  "containerd: containers of ctr and pods have names in a network of twill, as long as they run",
  inLongRunOnly(needsRoot),
  async (t) => {
    const { done, type, cri, traces } = await newContainerd(t);
    const network = (args: string) => done(`dist/bin/twill network ${args}`);
    await done("rm /etc/cni/net.d/10-pods.conflist");
    await network("create --subnet 10.10.5.0/24 front");
    const run = (id: string) =>
      done(`ctr -n k8s.io run -d --cni --cgroup /$(basename $(cat /run/cgroup))/${id} localhost/pod:1 ${id}`);
    const pidOf = (id: string) => done(`ctr -n k8s.io tasks list | awk '$1 == "${id}" { print $2 }'`);
    const lookUp = async (name: string, from: string) =>
      done(`nsenter --net --target ${await pidOf(from)} busybox nslookup -type=a ${name} 127.0.0.11 || true`);
    const isAnswered = (name: string, address: string, from: string) =>
      until(`${name} in ${from}`, async () =>
        (await lookUp(name, from)).includes(`Name:\t${name}\nAddress: ${address}`),
      );
    await run("one");
    await network("ls"); // starts the resolver
    await run("two");
    await isAnswered("two", "10.10.5.3", "one");
    await isAnswered("one.front", "10.10.5.2", "two");
    t.match(
      await done("ctr -n k8s.io tasks exec --exec-id look one /bin/nslookup -type=a two 127.0.0.11"),
      "10.10.5.3",
    );
    await until("containerd knows the network", () =>
      done("node e2e/runtimes/cri.mjs status | grep -q 'NetworkReady true'"),
    );
    const pod = await done("node e2e/runtimes/cri.mjs run pod 8080 /$(basename $(cat /run/cgroup))");
    await isAnswered("pod", "10.10.5.4", "one");
    t.match(
      await network(
        "inspect --format '{{range .Containers}}{{.Name}} {{.IPv4Address}} {{.ConnectedBy}};{{end}}' front",
      ),
      /(?=.*one 10\.10\.5\.2\/24 runtime;)(?=.*two 10\.10\.5\.3\/24 runtime;)(?=.*pod 10\.10\.5\.4\/24 runtime;)/,
    );

    await network("create --subnet 10.10.6.0/24 back");
    await network("connect --alias cache back two");
    await network("connect back one");
    await isAnswered("cache", "10.10.6.2", "one");
    t.match(await type("dist/bin/twill network rm front"), { status: 1, stderr: /two 10\.10\.5\.3/ });

    await done("ctr -n k8s.io tasks kill -s KILL two");
    await until("the end of its names", async () => /can't find/.test(await lookUp("two", "one")));
    t.match(await lookUp("cache", "one"), "can't find", "also of what was connected by name");
    await cri("stop", pod);
    await cri("remove", pod);
    await until("the end of the pod's name", async () => /can't find/.test(await lookUp("pod", "one")));
    await done("ctr -n k8s.io tasks kill -s KILL one");
    await until("the end of the processes", () =>
      done("! ctr -n k8s.io tasks list | grep -q RUNNING").then(() => true),
    );
    await network("rm front back");
    t.equal(await traces(), "");
  },
);

t.test(
  "containerd: twill gc after its cache is lost costs running pods nothing",
  inLongRunOnly(needsRoot),
  async (t) => {
    const { done, start, cri, ask, traces } = await newContainerd(t);
    const ids = [await start("a", 8080), await start("b", 8081)];
    const state = () =>
      done("nft -s list ruleset; ip -o link show type veth; find /var/lib/cni/networks -type f | sort");
    const before = await state();
    await done("rm -rf /var/lib/cni/results/*");
    await done("dist/bin/twill gc");
    t.equal(await state(), before);
    t.equal(await ask(8080), "a");
    t.equal(await ask(8081), "b");
    for (const id of ids) await cri("remove", id);
    t.equal(await traces(), "", "and containerd's DEL, without the cache, removes all of them");
  },
);
