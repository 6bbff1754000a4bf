// A system bus and firewalld of its own for a throw-away node, with copies of what they would write to.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { unpackedFolder } from "../../dev/unpacked.mjs";
import { until } from "../cluster/until.ts";
import type { Host } from "./host.ts";
import { projectRoot } from "./project.ts";

export interface Bus {
  /** As CNI plugins get it from the runtime: DBUS_SYSTEM_BUS_ADDRESS. */
  environment: Record<string, string>;
  /** Calls a method by dbus-send. @returns What it printed. */
  send(
    destination: string,
    path: string,
    member: string,
    ...args: string[]
  ): { status: number | null; printed: string };
}

const busConfig = (socket: string) => `
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=${socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>`;

/** Both end with the node. */
export async function startBus(node: Host): Promise<Bus> {
  const socket = join(dirname(node.varLib), "bus");
  const config = join(dirname(node.varLib), "bus.conf");
  writeFileSync(config, busConfig(socket));
  start(node, `exec dbus-daemon --config-file=${config} --nofork --nopidfile`);
  const environment = { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${socket}` };
  const bus: Bus = {
    environment,
    send(destination, path, member, ...args) {
      const command = ["--system", "--print-reply", `--dest=${destination}`, path, member, ...args];
      const { status, stdout, stderr } = spawnSync("dbus-send", command, {
        encoding: "utf8",
        env: { ...process.env, ...environment },
      });
      return { status, printed: `${stdout}${stderr}` };
    },
  };
  await until(
    "the bus answers",
    () => bus.send("org.freedesktop.DBus", "/", "org.freedesktop.DBus.GetId").status === 0,
  );
  return bus;
}

export const FIREWALLD = "org.fedoraproject.FirewallD1";
export const FIREWALLD_PATH = "/org/fedoraproject/FirewallD1";

/** As setup unpacked it, else the machine's own. */
const folder = unpackedFolder(projectRoot, "firewalld");
const root = existsSync(folder) ? folder : "";

/** It writes into its system configuration, /run and /var/log, which are its own here. */
const ownFolders = `
  mount -t tmpfs none /run && cp -a ${root}/etc/firewalld /run/etc && mount -t tmpfs none /var/log &&
  exec ${root}/usr/sbin/firewalld --nofork --nopid --default-config=${root}/usr/lib/firewalld --system-config=/run/etc`;

export interface Firewalld extends Bus {
  /** Runs firewall-cmd. @returns What it printed. @throws Error it failed */
  firewallCmd(...args: string[]): string;
}

export async function startFirewalld(node: Host): Promise<Firewalld> {
  const bus = await startBus(node);
  start(node, ownFolders, bus.environment);
  const state = ["string:org.fedoraproject.FirewallD1", "string:state"]; // it has its name before it flushes iptables' tables
  await until("firewalld runs", () =>
    bus.send(FIREWALLD, FIREWALLD_PATH, "org.freedesktop.DBus.Properties.Get", ...state).printed.includes("RUNNING"),
  );
  return {
    ...bus,
    firewallCmd(...args) {
      const env = { PATH: process.env["PATH"], ...bus.environment };
      const { status, stdout, stderr } = spawnSync(`${root}/usr/bin/firewall-cmd`, args, { encoding: "utf8", env });
      if (status !== 0) throw new Error(`firewall-cmd ${args.join(" ")}: ${stderr}`);
      return stdout;
    },
  };
}

function start(node: Host, script: string, environment: Record<string, string> = {}): void {
  const child = spawn("ip", ["netns", "exec", node.name, "sh", "-c", script], {
    stdio: "ignore",
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...environment },
  });
  child.unref(); // ends with the node's namespace
}
