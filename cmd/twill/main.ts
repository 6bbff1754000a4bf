/** The entry point of the executable: the top level runs when it is built, `host.start` when it is called. */
import type { Delegates } from "../../pkg/cni/plugin.ts";
import { standardStreams } from "../../pkg/cni/process-io.ts";
import type { Tool } from "../../pkg/cni/tool.ts";
import { completionCommand } from "../../pkg/command-line/completion.ts";
import { asTool } from "../../pkg/command-line/run-command.ts";
import { processArguments } from "../../pkg/sys/process.ts";
import { bandwidth } from "../bandwidth/main.ts";
import { bridge } from "../bridge/main.ts";
import { cnitool } from "../cnitool/main.ts";
import { debug } from "../debug/main.ts";
import { dhcpDaemon } from "../dhcp/daemon.ts";
import { dhcp } from "../dhcp/main.ts";
import { dnsname } from "../dnsname/main.ts";
import { dummy } from "../dummy/main.ts";
import { firewall } from "../firewall/main.ts";
import { flannel } from "../flannel/main.ts";
import { hostDevice } from "../host-device/main.ts";
import { hostLocal } from "../host-local/main.ts";
import { ipvlan } from "../ipvlan/main.ts";
import { loopback } from "../loopback/main.ts";
import { macvlan } from "../macvlan/main.ts";
import { mkDockerOpts, mkDockerOptsScript } from "../mk-docker-opts/main.ts";
import { portmap } from "../portmap/main.ts";
import { ptp } from "../ptp/main.ts";
import { resolver } from "../resolver/main.ts";
import { sbr } from "../sbr/main.ts";
import { staticAddresses } from "../static/main.ts";
import { tap } from "../tap/main.ts";
import { tuning } from "../tuning/main.ts";
import { vlan } from "../vlan/main.ts";
import { vrf } from "../vrf/main.ts";
import { doctor } from "./doctor/doctor.ts";
import { gc } from "./gc/gc.ts";
import { install } from "./install/install.ts";
import { status } from "./install/status.ts";
import { uninstall } from "./install/uninstall.ts";
import { ipam } from "./ipam/main.ts";
import { log } from "./log/log.ts";
import { metrics } from "./metrics/metrics.ts";
import { network } from "./network/main.ts";
import { ping } from "./ping/ping.ts";
import { type Programs, runProgram } from "./programs.ts";
import { reload } from "./reload.ts";
import { report } from "./report/report.ts";
import { run } from "./run/main.ts";

/** The global object of the C host, see native/host.c. */
declare const host: { start: () => number };
/** Set by the build. */
declare const TWILL_VERSION: string;

// biome-ignore format: a line for each, so that plugins which come at the same time do not meet
const plugins = [
  bandwidth,
  bridge,
  debug,
  dhcp,
  dnsname,
  dummy,
  firewall,
  flannel,
  hostDevice,
  hostLocal,
  ipvlan,
  loopback,
  macvlan,
  portmap,
  ptp,
  sbr,
  staticAddresses,
  tap,
  tuning,
  vlan,
  vrf,
];
const tools: Tool[] = [cnitool, mkDockerOpts, mkDockerOptsScript];

const ownNames = ["twill", ...tools.map(({ name }) => name)];
// biome-ignore format: a line for each, so that commands which come at the same time do not meet
const commands = [
  install(ownNames),
  uninstall,
  status,
  doctor,
  gc,
  log,
  metrics,
  ping,
  report,
  completionCommand("twill"),
];

const byName = <T extends { name: string }>(list: readonly T[]): Record<string, T> =>
  Object.fromEntries(list.map((program) => [program.name, program]));

const programs: Programs = {
  version: TWILL_VERSION,
  plugins: byName(plugins) satisfies Delegates,
  tools: byName(tools),
  daemons: { dhcp: dhcpDaemon },
  commands: byName([...commands.map((command) => asTool("twill", command)), ipam, network, reload, resolver, run]),
};

host.start = () => runProgram(programs, processArguments(), standardStreams());
