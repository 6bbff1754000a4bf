// Containers in the files of podman and containerd, as their releases of Debian 12 write them.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import t from "tap";
import type { CniError } from "../cni/error.ts";
import { containerIdOf } from "../runtime/container-id.ts";
import { containerCalled, shortContainerId } from "./container.ts";

const root = mkdtempSync(join(tmpdir(), "twill-containers-"));
t.teardown(() => rmSync(root, { recursive: true }));
const write = (path: string, content: unknown) => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), typeof content === "string" ? content : JSON.stringify(content));
};
const config = (path: string | undefined, annotations = {}) => ({
  annotations,
  linux: { namespaces: [{ type: "pid" }, { type: "network", ...(path && { path }) }] },
});
const id = (start: string) => start.padEnd(64, "0");

const podman = "/var/lib/containers/storage/overlay-containers";
write(`${podman}/containers.json`, [
  { id: id("aa11"), names: ["web"] },
  { id: id("aa22"), names: ["db"] },
  { id: id("bb33"), names: ["on-host"] },
  { id: id("bb44"), names: ["being-made"] },
  { id: id("bb55"), names: ["without"] },
  { id: id("bb66"), names: ["stopped"] },
  { id: id(`${process.pid}`), names: ["digits"] },
]);
mkdirSync(join(root, "/run/netns/aa1"), { recursive: true });
mkdirSync(join(root, "/run/netns/web"));
write(`${podman}/${id(`${process.pid}`)}/userdata/config.json`, config("/run/netns/netns-7"));
write(`${podman}/${id("aa11")}/userdata/config.json`, config("/run/netns/netns-1"));
write(`${podman}/${id("aa22")}/userdata/config.json`, config("/run/netns/netns-2"));
write(`${podman}/${id("bb33")}/userdata/config.json`, { linux: { namespaces: [{ type: "pid" }] } });
write(`${podman}/${id("bb55")}/userdata/config.json`, config(undefined)); // --network none
write(`/run/containers/storage/overlay-containers/${id("bb55")}/userdata/pidfile`, "4243");
write(`${podman}/${id("bb66")}/userdata/config.json`, config(undefined));
write(`${podman}/${id("bb44")}/userdata/config.json`, "{");
const tasks = "/run/containerd/io.containerd.runtime.v2.task";
write(
  `${tasks}/k8s.io/${id("cc55")}/config.json`,
  config("/var/run/netns/cni-5", { "io.kubernetes.cri.container-name": "app" }),
);
write(`${tasks}/default/plain/config.json`, config(undefined));
write(`${tasks}/default/plain/init.pid`, "4242");
write(`${tasks}/default/${id("dd66")}/config.json`, config("/run/netns/n6", { "nerdctl/name": "db" }));

t.test("containers are found by name, ID and the beginning of an ID", async (t) => {
  const rows: [text: string, found: object][] = [
    ["web", { id: id("aa11"), name: "web", netns: "/run/netns/netns-1" }],
    [id("aa22"), { name: "db", netns: "/run/netns/netns-2" }],
    ["aa11", { name: "web" }],
    ["app", { id: id("cc55"), netns: "/var/run/netns/cni-5" }],
    ["without", { id: id("bb55"), netns: "/proc/4243/ns/net" }],
    ["on-host", { id: id("bb33"), netns: "/proc/self/ns/net" }],
    ["plain", { id: "plain", name: "plain", netns: "/proc/4242/ns/net" }],
  ];
  for (const [text, found] of rows) t.match(containerCalled(text, root), found, text);
});

t.test(
  "a namespace's name and a process come before the beginning of an ID, not before a container's name",
  async (t) => {
    t.match(containerCalled("aa1", root), { name: "aa1", netns: "/run/netns/aa1" });
    t.match(containerCalled("web", root), { netns: "/run/netns/netns-1" });
    t.not(containerCalled(`${process.pid}`, root).name, "digits");
    t.match(containerCalled(`${process.pid}00000`, root), { name: "digits" });
  },
);

t.test("a name or beginning that several have is told with all of them", async (t) => {
  t.throws(() => containerCalled("db", root), {
    code: 3,
    msg: /ambiguous \(2/,
    details: /aa22.*podman.*dd66.*containerd/,
  } as unknown as CniError);
  t.throws(() => containerCalled("aa", root), { code: 3, msg: /ambiguous/ } as unknown as CniError);
});

t.test("paths and processes are containers without a runtime, with cnitool's ID", async (t) => {
  t.strictSame(containerCalled("/var/run/netns/testing", root), {
    id: "cnitool-77383ca0a0715733ca6f",
    name: "testing",
    netns: "/var/run/netns/testing",
  });
  t.match(containerCalled("4194304", root), { name: "process-4194304", netns: "/proc/4194304/ns/net" });
});

t.test("a container that is unknown is told, with the nearest name; so is one that is not running", async (t) => {
  t.throws(() => containerCalled("wbe", root), {
    code: 3,
    msg: "No such container: wbe",
    details: /did you mean web/,
  } as unknown as CniError);
  for (const name of ["being-made", "stopped"])
    t.throws(() => containerCalled(name, root), { code: 3 } as CniError, name);
  t.throws(() => containerCalled("", root), { code: 3 } as CniError);
});

t.test("the short ID has twelve digits of the container's ID, or of the hash of its namespace's path", async (t) => {
  t.equal(shortContainerId("0123456789abcdef".repeat(4)), "0123456789ab");
  t.match(shortContainerId(containerIdOf("/run/netns/web")), /^cnitool-[0-9a-f]{12}$/);
  t.not(shortContainerId(containerIdOf("/run/netns/web")), shortContainerId(containerIdOf("/run/netns/db")));
});
