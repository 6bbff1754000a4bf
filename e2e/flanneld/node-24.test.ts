// The daemon on Node 24, beside one on the Node that runs the tests. `node dev/setup.mjs long` brings it.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { newerNode } from "../../dev/unpacked.mjs";
import { newCluster } from "../cluster/lab.ts";
import { until } from "../cluster/until.ts";
import { inLongRunOnly, needsRoot } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";

const folder = newerNode.binFolder(projectRoot);
const isThere = existsSync(join(folder, "node"));
const needs = inLongRunOnly(isThere ? needsRoot : { skip: "Node 24 is missing: node dev/setup.mjs long" });

t.test(
  "a daemon on Node 24 joins, is killed, takes over, and ends as told; no ping is lost in between",
  needs,
  async (t) => {
    const path = `${folder}:${process.env["PATH"]}`;
    const { stdout } = spawnSync("node", ["--version"], { env: { PATH: path }, encoding: "utf8" });
    t.match(stdout, `v${newerNode.version}`);
    const cluster = await newCluster(t, { network: { Network: "10.5.0.0/16", Backend: { Type: "host-gw" } } });
    const [newer, other] = [cluster.addHost(), cluster.addHost()];
    const cache = join(newer.varLib, "compile-cache");
    const start = () => newer.startDaemonUnder(["env", `PATH=${path}`, `NODE_COMPILE_CACHE=${cache}`]);
    const [daemon, peer] = [start(), other.startDaemon()];
    await Promise.all([daemon.ready(), peer.ready()]);
    const [pod, otherPod] = [await newer.addPod(), await other.addPod()];
    await until("the pods reach each other", () => pod.reaches(otherPod.ipv4));

    const subnet = newer.subnetEnv();
    await daemon.end("SIGKILL");
    t.ok(pod.reaches(otherPod.ipv4), "traffic does not need the daemon");
    const next = start();
    await next.ready();
    t.strictSame(newer.subnetEnv(), subnet);
    t.ok(pod.reaches(otherPod.ipv4));
    t.match(await next.end("SIGTERM"), { status: 0 });
    t.equal(readdirSync(cache).length, 1, "the compiled code is kept for the next start");
  },
);
