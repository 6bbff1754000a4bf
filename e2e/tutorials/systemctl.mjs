#!/usr/bin/env node
// A systemctl for the hosts of the tests, which have no systemd: it starts services as their unit files and drop-ins say, with
// what these name of environment, capabilities, notification and KillMode. What they say of restarts and order is not done.
//
//   systemctl daemon-reload | enable [--now] UNIT | start UNIT | restart UNIT | stop UNIT
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const [verb, ...words] = process.argv.slice(2);
const unit = (words.find((word) => !word.startsWith("-")) ?? "").replace(/\.service$/, "");
const cgroup = join(readFileSync("/run/cgroup", "utf8").trim(), `${unit}.service`);
const pidFile = `/run/${unit}.service.pid`;
const logFile = `/var/log/${unit}.service.log`;

/** @returns all lines of the section [Service], of the unit file and then of its drop-ins */
function settings() {
  const file = ["/etc", "/lib"]
    .map((root) => `${root}/systemd/system/${unit}.service`)
    .find((path) => existsSync(path));
  if (file === undefined) throw new Error(`Unit ${unit}.service not found.`);
  const folder = `/etc/systemd/system/${unit}.service.d`;
  const dropIns = existsSync(folder) ? readdirSync(folder).sort() : [];
  const lines = [file, ...dropIns.map((name) => `${folder}/${name}`)].flatMap((path) => {
    const [, section = ""] = /^\[Service\]$(.*?)(?=^\[|$(?![\s\S]))/ms.exec(readFileSync(path, "utf8")) ?? [];
    return section.split("\n").filter((line) => /^\w+=/.test(line));
  });
  return lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1).trim()]);
}

/** @returns the values of a list setting: an empty one takes back those before */
function listOf(all, key) {
  const values = all.filter(([name]) => name === key).map(([, value]) => value);
  return values.slice(values.lastIndexOf("") + 1);
}

/** Variables of files override those that stand in the unit. */
function environmentOf(all) {
  const written = listOf(all, "Environment").flatMap((value) => value.split(/\s+/));
  const files = listOf(all, "EnvironmentFile").flatMap((value) => {
    const path = value.replace(/^-/, "");
    if (value.startsWith("-") && !existsSync(path)) return [];
    return readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => /^\w+=/.test(line));
  });
  const pairs = [...written, ...files].map((line) => {
    const [, name, value] = /^(\w+)=(.*)$/.exec(line);
    return [name, value.trim().replace(/^(["'])(.*)\1$/, "$2")];
  });
  return { PATH: process.env.PATH, LD_LIBRARY_PATH: process.env.LD_LIBRARY_PATH ?? "", ...Object.fromEntries(pairs) };
}

/** `$NAME` as a word of its own is split at blanks, `${NAME}` is part of its word. */
const wordsOf = (command, environment) =>
  command.split(/\s+/).flatMap((word) => {
    const [, name] = /^\$(\w+)$/.exec(word) ?? [];
    if (name !== undefined) return (environment[name] ?? "").split(/\s+/).filter(Boolean);
    return [word.replaceAll(/\$\{(\w+)\}/g, (_, name) => environment[name] ?? "")];
  });

const capabilitiesOf = (all) => {
  const names = listOf(all, "CapabilityBoundingSet").flatMap((value) => value.toLowerCase().split(/\s+/));
  const set = names.map((name) => `+${name.replace(/^cap_/, "")}`).join(",");
  return set === "" ? [] : ["setpriv", `--bounding-set=-all,${set}`, "--inh-caps=-all", "--no-new-privs"];
};

const inCgroup = ["sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', cgroup];

async function start() {
  const all = settings();
  const environment = environmentOf(all);
  for (const name of listOf(all, "RuntimeDirectory")) mkdirSync(`/run/${name}`, { recursive: true });
  const [command = ""] = listOf(all, "ExecStart");
  const wantsNotice = listOf(all, "Type").includes("notify");
  const notices = wantsNotice ? await listen(`/run/${unit}.notify`) : undefined;
  if (notices) environment.NOTIFY_SOCKET = notices.path;

  const log = openSync(logFile, "a");
  mkdirSync(cgroup, { recursive: true });
  const [program, ...args] = [...inCgroup, ...capabilitiesOf(all), ...wordsOf(command, environment)];
  const child = spawn(program, args, { env: environment, detached: true, stdio: ["ignore", log, log], cwd: "/" });
  writeFileSync(pidFile, String(child.pid));
  const ended = new Promise((resolve) =>
    child.on("exit", (status) => resolve(`status ${status}`)).on("error", resolve),
  );
  const failure = notices && (await Promise.race([ended, notices.ready]));
  if (failure) throw new Error(`Job for ${unit}.service failed: ${failure}\n${readFileSync(logFile, "utf8")}`);

  for (const post of listOf(all, "ExecStartPost")) {
    const [program, ...args] = wordsOf(post.replace(/^-/, ""), environment);
    const { status } = spawnSync(program, args, { env: environment, stdio: "inherit", cwd: "/" });
    if (status !== 0 && !post.startsWith("-"))
      throw new Error(`ExecStartPost of ${unit}.service: exit status ${status}`);
  }
  process.exit(0);
}

/** `ready` ends, without a value, with the notice of the service. */
async function listen(path) {
  rmSync(path, { force: true });
  const socat = spawn("socat", ["-u", `UNIX-RECV:${path}`, "STDOUT"], {
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
  });
  while (!existsSync(path)) await sleep(10);
  let text = "";
  const ready = new Promise((resolve) => {
    socat.stdout.setEncoding("utf8").on("data", (part) => {
      text += part;
      if (/READY=1/.test(text)) resolve();
    });
  });
  return { path, ready };
}

/** All processes of the service, as systemd does it, or the first one alone with KillMode=process. */
async function stop() {
  if (!existsSync(pidFile)) return;
  const first = Number(readFileSync(pidFile, "utf8"));
  const members = readFileSync(join(cgroup, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
  rmSync(pidFile);
  const isAlone = listOf(settings(), "KillMode").at(-1) === "process";
  await Promise.all(members.filter((pid) => pid === first || !isAlone).map(end));
}

async function end(pid) {
  try {
    for (process.kill(pid, "SIGTERM"); ; await sleep(20)) process.kill(pid, 0);
  } catch (error) {
    if (error.code !== "ESRCH") throw error; // it has ended
  }
}

if (verb === "stop" || verb === "restart") await stop();
if (verb === "start" || verb === "restart" || (verb === "enable" && words.includes("--now"))) await start();
