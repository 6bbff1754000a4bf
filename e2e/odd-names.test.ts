// Names from outside that a terminal would obey: of plugins, of networks, of files in the cache of results.
import { join } from "node:path";
import t from "tap";
import { newHost } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { ourBin, ourTools } from "./lab/project.ts";

const odd = "a\u001b[2Jb\u202ec";

const commands = [
  "cnitool list",
  "cnitool validate",
  "cnitool gc --dead net",
  "cnitool add net /run/netns/none",
  "cnitool del net /run/netns/none",
  "cnitool status net",
  "twill gc",
  "twill gc --dry-run",
  "twill reload",
  "twill doctor",
  "twill network ls",
  "twill network inspect net",
  "twill ipam ls",
];

t.test("no command prints a name that a terminal would obey", needsRoot, async (t) => {
  const node = newHost(t);
  const networks = { net: [{ type: odd }], other: [{ type: "bridge", bridge: odd }], [odd]: [{ type: "bridge" }] };
  for (const [i, [name, plugins]] of Object.entries(networks).entries())
    node.write(`/var/lib/net.d/${i}.conflist`, JSON.stringify({ cniVersion: "1.1.0", name, plugins }));
  node.write(`/var/lib/cni/results/net-${odd}-eth0`, "{");
  node.write(`/var/lib/cni/networks/net/10.1.0.${odd}`, odd);
  let printed = "";
  for (const command of commands) {
    const [tool = "", ...args] = command.split(" ");
    const environment = { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d" };
    const { stdout, stderr } = node.runInside([join(ourTools, tool), ...args], environment);
    for (const character of ["\u001b", "\u202e"]) t.notOk((stdout + stderr).includes(character), command);
    printed += stdout + stderr;
  }
  t.match(printed, "a\\u001b[2Jb\\u202ec", "sees the name");
});
