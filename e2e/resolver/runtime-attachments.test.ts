// Containers that a runtime attached by itself to networks of twill: cnitool as the runtime, dig as the container.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { type Host, newHost } from "../lab/host.ts";
import { needsRoot } from "../lab/needs.ts";
import { ourBin, ourTools } from "../lab/project.ts";

interface Node extends Host {
  /** Runs `twill` or `cnitool` for what it prints. */
  says(environment: Record<string, string>, ...command: readonly string[]): string;
}

const ownRun = 'mkdir -p /run/twill /var/lib/run && mount --bind /var/lib/run /run/twill && exec "$0" "$@"';

function newNode(t: Test): Node {
  const host = newHost(t, { containers: 3 });
  return {
    ...host,
    says(environment, tool = "", ...args) {
      const command = ["sh", "-c", ownRun, join(ourTools, tool), ...args];
      const ran = host.runInside(command, { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d", ...environment });
      t.equal(ran.status, 0, `${args.join(" ")} ${ran.stderr}`);
      return ran.stdout;
    },
  };
}

const asPod = (name: string) => ({ CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAME=${name}` });

t.test("what a runtime attaches to a network of twill has names, as long as it is there", needsRoot, async (t) => {
  const node = newNode(t);
  const [web = node, db = node, bare = node] = node.containers;
  const attach = (what: string, network: string, container: { path: string }, environment = {}) =>
    node.says(environment, "cnitool", what, network, container.path);
  const dig = (name: string, from = web) =>
    from.run("dig", "@127.0.0.11", "+short", "+tries=1", "+time=1", name).stdout.trim();
  node.says({}, "twill", "network", "create", "--subnet", "10.5.0.0/24", "front");
  node.says({}, "twill", "network", "create", "--subnet", "10.6.0.0/24", "back");
  attach("add", "front", web, { ...asPod("web"), CAP_ARGS: JSON.stringify({ aliases: { front: ["www"] } }) });
  t.notOk(existsSync(join(node.varLib, "run/resolver.sock")), "the runtime alone starts no resolver");

  node.says({}, "twill", "network", "ls");
  t.equal(dig("web"), "10.5.0.2", "the next command of twill network does");
  t.equal(dig("www"), "10.5.0.2", "its alias");

  attach("add", "front", db, asPod("db"));
  while (dig("db") !== "10.5.0.3") await sleep(20);
  t.equal(dig("web.front", db), "10.5.0.2", "who comes later is answered as well");
  attach("add", "back", bare);
  while (dig(bare.name, bare) !== "10.6.0.2") await sleep(20);
  t.equal(dig("db", bare), "", "in its own network alone");
  t.match(node.says({}, "twill", "network", "inspect", "back"), `"Name": "${bare.name}"`);

  attach("del", "front", db, asPod("db"));
  while (dig("db") !== "") await sleep(20);
  execFileSync("ip", ["netns", "del", bare.name]); // the runtime never calls DEL, and gives the path to another container
  execFileSync("ip", ["netns", "add", bare.name]);
  bare.sh("ip link set lo up");
  attach("add", "front", db, asPod("db2"));
  while (dig("db2") !== "10.5.0.4") await sleep(20);
  t.match(dig(bare.name, bare), "connection refused", "another namespace at its path is not the container");
});
