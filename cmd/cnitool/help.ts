/** The output of `cnitool help`. Pure. */
import type { Command, Flag } from "./command.ts";
import { helpFlag } from "./command-line.ts";

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

export function helpFor({ name, operands, about, details, flags, examples }: Command): string {
  return [
    `cnitool ${name}: ${about}`,
    ...(details === "" ? [] : ["", details]),
    "",
    "Usage:",
    `  cnitool ${name}${operands === "" ? "" : ` ${operands}`} [flags]`,
    "",
    "Flags:",
    ...columns([...flags, helpFlag].map((flag) => [usageOf(flag), flag.about])),
    "",
    "Examples:",
    ...examples.map((line) => `  ${line}`),
    "",
  ].join("\n");
}

function usageOf({ short, name, value }: Flag): string {
  return `${short === undefined ? "    " : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([first]) => first.length));
  return rows.map(([first, second]) => `  ${first.padEnd(width)}  ${second}`);
}
