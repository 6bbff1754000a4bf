// What `connect` made goes with the container, though no runtime calls DEL for it and nobody runs a command. Seen with find and ip.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { newHost } from "../lab/host.ts";
import { needsRoot } from "../lab/needs.ts";
import { ourBin, ourTools } from "../lab/project.ts";

const path = { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d" };
const ownRun = 'mkdir -p /run/twill /var/lib/run && mount --bind /var/lib/run /run/twill && exec "$0" "$@"';

t.test(
  "addresses, rules and records of a container that is gone are removed without a command",
  needsRoot,
  async (t) => {
    const node = newHost(t, { containers: 2 });
    const network = (...args: string[]) =>
      t.match(
        node.runInside(["sh", "-c", ownRun, join(ourTools, "twill"), "network", ...args], path),
        { status: 0 },
        args.join(" "),
      );
    const records = () =>
      execFileSync("find", [node.varLib, "-path", "*/run", "-prune", "-o", "-type", "f", "-print"], {
        encoding: "utf8",
      })
        .split("\n")
        .filter((file) => /networks\/\w+\/.*\.json$|\/results\/|10\.5\.0\.\d+$|172\.17\.0\.\d+$/.test(file));
    const [web = node, db = node] = node.containers;
    network("create", "--subnet", "10.5.0.0/24", "front");
    network("connect", "front", web.name);
    network("connect", "bridge", db.name);
    t.equal(records().length, 6, "a record, a cached result and an address each");
    t.match(node.sh("nft list ruleset"), "10.5.0.2");

    execFileSync("ip", ["netns", "del", web.name]);
    while (records().length > 3) await sleep(50);
    t.notMatch(node.sh("nft list ruleset"), "10.5.0.2");
    t.ok(
      records().every((file) => !file.includes("10.5.0.2")),
      "those of the other one stay",
    );

    execFileSync("ip", ["netns", "del", db.name]); // without names: the default network
    while (records().length > 0) await sleep(50);
    while (existsSync(join(node.varLib, "run/resolver.sock"))) await sleep(50);
    t.pass("then the resolver ends");
  },
);
