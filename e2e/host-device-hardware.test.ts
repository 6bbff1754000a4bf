// host-device with real network cards: the two of the guest, PCI devices of virtio, which nothing else uses. Hardware comes back to the
// machine's first namespace when its own dies, so that is where the plugin runs here.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Host, newHost, type Verb } from "./lab/host.ts";
import { needsKernel } from "./lab/needs.ts";
import { goBin, ourBin } from "./lab/project.ts";
import { filesBelow } from "./lab/snapshot.ts";

const pci = ["0000:00:10.0", "0000:00:11.0"] as const;
const ipam = { type: "static", addresses: [{ address: "10.1.0.5/24" }] };
const needsCards = needsKernel("spare_nics");

interface Card {
  /** On the host. */
  name: string;
  mac: string;
  kernelpath: string;
  pciBusID: string;
}

/** With the names that they have now, which no test changes for long. */
function cards(): Card[] {
  return pci.map((pciBusID, i) => {
    const bus = `/sys/bus/pci/devices/${pciBusID}`;
    const virtio = readdirSync(bus).find((entry) => entry.startsWith("virtio")) ?? "";
    const [name = ""] = readdirSync(join(bus, virtio, "net"));
    const target = spawnSync("readlink", ["-f", join(bus, virtio)], { encoding: "utf8" }).stdout.trim();
    return { name, mac: `52:54:00:00:00:0${i}`, kernelpath: target, pciBusID };
  });
}

function sh(script: string): string {
  const { status, stdout, stderr } = spawnSync("sh", ["-ec", script], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${script}: ${stderr}`);
  return stdout;
}

/** The plugin in the machine's first namespace. */
function cni(node: Host, verb: Verb, keys: object, call: Call = {}) {
  const { command, options } = callOf(node, verb, keys, call);
  const { status, stdout, stderr } = spawnSync(command, { ...options, encoding: "utf8" });
  return { status, stderr, stdout: stdout === "" ? "" : JSON.parse(stdout) };
}

interface Call {
  bin?: string;
  ifName?: string;
  container?: number;
}

function callOf(node: Host, verb: Verb, keys: object, { bin = ourBin, ifName = "net0", container = 0 }: Call = {}) {
  const options = {
    env: {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      CNI_COMMAND: verb,
      CNI_CONTAINERID: `container-${container}`,
      CNI_NETNS: node.containers[container]?.path ?? "",
      CNI_IFNAME: ifName,
      CNI_PATH: bin,
    },
    input: JSON.stringify({
      ...{ cniVersion: "1.1.0", name: "net", type: "host-device", dataDir: join(node.varLib, "hd") },
      ...keys,
    }),
  };
  return { command: join(bin, "host-device"), options };
}

interface Shown {
  ifname: string;
  address: string;
  ifalias?: string;
  mtu: number;
  flags: string[];
}
const links = (netns = ""): Shown[] => JSON.parse(sh(`ip ${netns && `-n ${netns}`} -j link`));
const find = (mac: string, netns = "") => links(netns).find(({ address }) => address === mac);
/** Where the card is when all is well. */
const home = ({ name, mac }: Card) => ({ ifname: name, address: mac, mtu: 1500, ifalias: undefined });
const records = (node: Host) => Object.keys(filesBelow(node.varLib)).filter((path) => /^hd\/net\/./.test(path));
const dies = (node: Host): string => sh(`ip netns delete ${node.containers[0]?.name}`);

/** The first card; the test's own changes to it go with the test. */
function firstCard(t: Test): Card {
  const [card] = cards();
  if (card === undefined) throw new Error("no cards");
  t.teardown(() => sh(`ip link set ${card.name} down alias ''`));
  return card;
}

/** Hardware of a namespace that died comes back some milliseconds later. */
function waitFor({ mac }: Card): void {
  for (const deadline = Date.now() + 10_000; find(mac) === undefined; )
    if (Date.now() > deadline) throw new Error("the kernel does not bring the card back");
}

t.test("host-device: finds a card by each of its names, and brings it back", needsCards, async (t) => {
  const card = firstCard(t);
  for (const key of ["name", "mac", "kernelpath", "pciBusID"] as const) {
    const node = newHost(t);
    const keys = { ipam, [{ name: "device", mac: "hwaddr", kernelpath: key, pciBusID: key }[key]]: card[key] };
    const added = cni(node, "ADD", keys);
    t.match(added, { status: 0, stderr: "", stdout: { interfaces: [{ name: "net0", mac: card.mac }] } }, key);
    t.equal(find(card.mac), undefined, `${key}: not on the host`);
    t.match(find(card.mac, node.containers[0]?.name), { ifname: "net0", ifalias: card.name });
    t.match(cni(node, "CHECK", { ...keys, prevResult: added.stdout }), { status: 0, stdout: "" }, key);
    for (const again of ["", "twice"]) t.match(cni(node, "DEL", keys), { status: 0, stdout: "", stderr: "" }, again);
    t.match(find(card.mac), home(card), `${key}: back`);
    t.strictSame(records(node), []);
  }
});

t.test("host-device: two cards in two containers reach each other", needsCards, async (t) => {
  const node = newHost(t, { containers: 2 });
  cards().forEach(({ pciBusID }, container) => {
    const addresses = [{ address: `10.1.0.${container + 1}/24` }];
    t.match(cni(node, "ADD", { pciBusID, ipam: { type: "static", addresses } }, { container }), { status: 0 });
  });
  t.equal(node.containers[0]?.run("ping", "-c1", "-W5", "10.1.0.2").status, 0);
  for (const container of [0, 1]) t.match(cni(node, "DEL", {}, { container }), { status: 0, stderr: "" });
});

t.test("host-device: a card whose container died first has its name back after DEL", needsCards, async (t) => {
  const card = firstCard(t);
  for (const claim of ["the container's name is free on the host", "and is taken"]) {
    const node = newHost(t);
    sh(`ip link set ${card.name} alias 'to the storage'`);
    t.match(cni(node, "ADD", { pciBusID: card.pciBusID, ipam }), { status: 0 });
    if (claim === "and is taken") sh("ip link add net0 type veth peer name net0peer");
    node.containers[0]?.sh("ip link set net0 down; ip link set net0 address 02:00:00:00:00:09 mtu 1400");
    dies(node);
    t.match(cni(node, "DEL", { pciBusID: card.pciBusID, ipam }), { status: 0, stderr: "" }, claim);
    t.match(find(card.mac), { ...home(card), ifalias: "to the storage" }, claim);
    t.notOk(find(card.mac)?.flags.includes("UP"));
    t.strictSame(records(node), []);
    if (claim === "and is taken") sh("ip link delete net0");
  }
});

t.test("host-device: DEL waits for a card that is on its way back", needsCards, async (t) => {
  const card = firstCard(t);
  const node = newHost(t);
  cni(node, "ADD", { pciBusID: card.pciBusID });
  const holder = spawn("ip", ["netns", "exec", node.containers[0]?.name ?? "", "sh", "-c", "echo; exec sleep 60"]);
  t.teardown(() => holder.kill("SIGKILL"));
  await once(holder.stdout, "data");
  dies(node); // but for the process in it
  const { command, options } = callOf(node, "DEL", { pciBusID: card.pciBusID });
  const del = spawn("strace", ["-qq", "-e", "trace=clock_nanosleep", command], options);
  del.stdin.end(options.input);
  await once(del.stderr, "data"); // it waits
  holder.kill("SIGKILL");
  t.strictSame(await once(del, "close"), [0, null]);
  t.match(find(card.mac), home(card));
  t.strictSame(records(node), []);
});

t.test("host-device: GC gives the name back when DEL never came", needsCards, async (t) => {
  const card = firstCard(t);
  const node = newHost(t);
  cni(node, "ADD", { pciBusID: card.pciBusID });
  const valid = [{ containerID: "container-0", ifname: "net0" }];
  cni(node, "GC", { pciBusID: card.pciBusID, "cni.dev/valid-attachments": valid });
  t.equal(find(card.mac), undefined, "not as long as the attachment is valid");
  dies(node);
  t.match(cni(node, "GC", { pciBusID: card.pciBusID, "cni.dev/valid-attachments": [] }), { status: 0, stderr: "" });
  t.match(find(card.mac), home(card));
});

t.test(
  "host-device: a card that the container has given away comes back with its name later",
  needsCards,
  async (t) => {
    const card = firstCard(t);
    const node = newHost(t, { containers: 2 });
    cni(node, "ADD", { pciBusID: card.pciBusID });
    const [container, elsewhere] = node.containers;
    container?.sh(`ip link set net0 netns ${elsewhere?.name} name lost`);
    t.match(cni(node, "DEL", { pciBusID: card.pciBusID }), {
      status: 0,
      stderr: `host-device: network "net": "${card.name}" (${card.kernelpath}), which was "net0" of the container, is in another namespace; a later DEL or GC restores its name\n`,
    });
    sh(`ip netns delete ${elsewhere?.name}`);
    waitFor(card);
    t.match(cni(node, "GC", { "cni.dev/valid-attachments": [] }), { status: 0, stderr: "" });
    t.match(find(card.mac), home(card));
    t.strictSame(records(node), []);
  },
);

t.test("host-device: the next ADD gives the name back when nobody else did", needsCards, async (t) => {
  const card = firstCard(t);
  for (const keys of [{ pciBusID: card.pciBusID }, { device: card.name }]) {
    const node = newHost(t, { containers: 2 });
    cni(node, "ADD", keys);
    dies(node);
    waitFor(card);
    t.match(find(card.mac), { ifname: "net0", ifalias: card.name });
    t.match(cni(node, "ADD", keys, { container: 1 }), { status: 0, stderr: "" });
    t.match(find(card.mac, node.containers[1]?.name), { ifname: "net0", ifalias: card.name });
    t.match(cni(node, "DEL", keys, { container: 1 }), { status: 0 });
    t.match(find(card.mac), home(card));
    t.strictSame(records(node), []);
  }
});

t.test("host-device: a name that is taken is told, and given back later", needsCards, async (t) => {
  const card = firstCard(t);
  const node = newHost(t);
  cni(node, "ADD", { pciBusID: card.pciBusID });
  dies(node);
  waitFor(card);
  sh(`ip link add ${card.name} type veth peer name other`);
  t.match(cni(node, "DEL", { pciBusID: card.pciBusID }), {
    status: 1,
    stdout: { msg: `"net0" cannot have its name "${card.name}" on the host again: another interface has it` },
  });
  sh(`ip link delete ${card.name}`);
  t.match(cni(node, "DEL", { pciBusID: card.pciBusID }), { status: 0, stderr: "" });
  t.match(find(card.mac), home(card));
});

t.test("host-device: what the Go plugin took has its name back after our DEL", needsCards, async (t) => {
  const card = firstCard(t);
  const node = newHost(t);
  const keys = { cniVersion: "1.0.0", device: card.name };
  t.match(cni(node, "ADD", keys, { bin: goBin }), { status: 0 });
  dies(node);
  waitFor(card);
  t.match(cni(node, "DEL", keys), { status: 0, stderr: "" });
  t.match(find(card.mac), home(card));
});

t.test("host-device: a card that cannot be used is back as it was, up", needsCards, async (t) => {
  const card = firstCard(t);
  const node = newHost(t);
  sh(`ip link set ${card.name} up`);
  const routes = [{ dst: "192.0.2.0/24", gw: "203.0.113.1" }];
  t.match(cni(node, "ADD", { pciBusID: card.pciBusID, ipam: { ...ipam, routes } }), { status: 1 });
  t.match(find(card.mac), home(card));
  t.ok(find(card.mac)?.flags.includes("UP"));
});
