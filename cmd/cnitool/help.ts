/** The overview that `cnitool help` prints. Pure. */
import type { Command } from "../../pkg/command-line/command.ts";
import { columns } from "../../pkg/command-line/table.ts";

export function helpForAll(commands: readonly Command[]): string {
  return [
    "cnitool attaches network namespaces to CNI networks by hand, as a container runtime does, and checks configurations.",
    "",
    "Usage:",
    "  cnitool <command> [arguments]",
    "",
    "Commands:",
    ...columns(commands.map(({ name, about }) => [name, about])),
    "",
    "Environment:",
    ...columns(environment),
    "",
    "Examples:",
    ...firstSteps.map((line) => `  ${line}`),
    "",
    "cnitool help <command> explains a command.",
    "",
  ].join("\n");
}

/** These lines work when pasted into a shell. */
const firstSteps = [
  "export CNI_PATH=/opt/cni/bin",
  `echo '{"cniVersion": "1.0.0", "name": "example", "plugins": [{"type": "loopback"}]}' > /etc/cni/net.d/99-example.conflist`,
  "cnitool validate example",
  "ip netns add example",
  "cnitool add example /run/netns/example",
  "cnitool list",
  "cnitool del example /run/netns/example",
];

const environment: readonly (readonly [string, string])[] = [
  ["CNI_PATH", "directories of plugins, separated by colons"],
  ["NETCONFPATH", "directory of configurations (/etc/cni/net.d)"],
  ["CNI_IFNAME", "name of the interface in the container (eth0); --ifname takes precedence"],
  ["CNI_ARGS", "arguments for plugins, as K=V;K2=V2"],
  [
    "CAP_ARGS",
    'arguments for plugins by capability, as {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}',
  ],
];
