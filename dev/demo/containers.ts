// Two containers on one host: a mistake, ADD, a failed ADD, a flushed firewall, a container that is gone without DEL, and DEL.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  callersSeenOutside,
  configurations,
  containers,
  forgetCallers,
  madeHere,
  makeNeighbours,
  outsideAddress,
  pingFrom,
  pluginFolder,
  root,
  toolFolder,
} from "./lab.ts";
import { command, heading, say, show, verdict } from "./tell.ts";

interface Result {
  ips: { address: string; gateway: string }[];
}

const netconfFile = "conf/10-podnet.conflist";
const times = new Map<string, number[]>();

export function containersOfOneHost(): void {
  const correct = readFileSync(join(root, netconfFile), "utf8");
  heading("Containers on one host");
  say(`A network is a list of CNI plugins, ${netconfFile} here. The host is a network namespace, and so are the containers
c1 and c2 and a computer outside, which knows the host's 192.0.2.1 and no other address.`);
  makeNeighbours();
  mkdirSync(configurations, { recursive: true });

  heading("A mistake is found before a container meets it");
  writeFileSync(join(configurations, "10-podnet.conflist"), correct.replace("ipMasq", "ipMask"));
  show(told("cnitool validate podnet"));
  writeFileSync(join(configurations, "10-podnet.conflist"), correct);

  heading("ADD: a container gets its network");
  const [one, two] = containers;
  const results = containers.map((name) => JSON.parse(ran(`cnitool add podnet /run/netns/${name}`)) as Result);
  show(results.map(oneLine).join("\n"));
  show(ran("twill network inspect --picture podnet"));
  const address = (at: number) => results[at]?.ips[0]?.address.split("/")[0] ?? "";
  ping(one, two, address(1));
  ping(one, "the host", results[0]?.ips[0]?.gateway ?? "");
  ping(one, "outside", outsideAddress);
  verdict(isMasqueraded(), "outside saw the ping come from 192.0.2.1: masqueraded");

  heading("An ADD that fails leaves nothing");
  say("This network has a second plugin, which sets a sysctl that the kernel does not know:");
  writeFileSync(join(configurations, "20-second.conflist"), withUnknownSysctl(correct));
  const before = madeHere();
  show(told(`cnitool add second /run/netns/${one} --ifname eth1`));
  verdict(madeHere() === before, "links, rules and reserved addresses are those of before");

  heading("A firewall is reloaded, and takes the containers' rules with it");
  ran("nft flush ruleset");
  const lost = pingFrom(one, outsideAddress) === undefined;
  verdict(lost, `${one} does not reach outside any more`);
  show(findingsOf("lost-rules"));
  forgetCallers();
  show(ran("twill reload"));
  ping(one, "outside", outsideAddress);
  verdict(isMasqueraded(), "masqueraded again");

  heading("A container is gone, and nobody called DEL");
  ran(`ip netns delete ${two}`);
  show(ran("cnitool list"));
  show(ran("twill gc"));

  heading("DEL: the container goes");
  ran(`cnitool del podnet /run/netns/${one}`);
  verdict(
    madeHere() === "podnet0",
    "no link, rule or reserved address of the containers is left; the bridge stays for the next one",
  );

  say(
    "Milliseconds from start to end; starting alone costs what /bin/true takes. npm run bench measures properly, beside Go's plugins.",
  );
  for (let i = 0; i < 9; i++) timed("/bin/true", () => spawnSync("/bin/true"));
  show([...times].map(([what, all]) => `${what.padEnd(12)} ${median(all).toFixed(1).padStart(6)}`).join("\n"));
}

/** Runs a command that people would type, and shows it. @returns what it printed. @throws Error: it failed */
function ran(line: string): string {
  const { status, signal, stdout, stderr } = started(line);
  if (status !== 0) throw new Error(`${line}: exit status ${status ?? signal}\n${stdout}${stderr}`);
  return `${stdout}${stderr}`.trimEnd();
}

/** Runs one that is to fail. @returns what it complained about */
function told(line: string): string {
  const { status, stdout, stderr } = started(line);
  if (status === 0) throw new Error(`${line} should have failed\n${stdout}`);
  return `${stdout}${stderr}`.trimEnd().replaceAll(`${configurations}/`, "");
}

function started(line: string) {
  command(line);
  const [program = "", ...args] = line.split(" ");
  const env = {
    PATH: `${toolFolder}:/usr/sbin:/usr/bin:/sbin:/bin`,
    CNI_PATH: pluginFolder,
    NETCONFPATH: configurations,
  };
  const verb = /^cnitool (add|del) podnet/.exec(line)?.[1];
  const start = () => spawnSync(program, args, { env, encoding: "utf8", timeout: 30_000 });
  return verb === undefined ? start() : timed(`cnitool ${verb}`, start);
}

/** Shows what doctor finds of that kind; what else is to be said of this machine is not the demo's business. */
function findingsOf(id: string): string {
  const paragraphs = told("twill doctor").split(/\n(?=\w)/);
  return paragraphs.filter((paragraph) => paragraph.includes(`[${id}]`)).join("\n");
}

function withUnknownSysctl(list: string): string {
  const document = JSON.parse(list) as { name: string; plugins: Record<string, unknown>[] };
  const sysctl = { "net.ipv4.conf.IFNAME.no_such_key": "1" };
  return JSON.stringify({ ...document, name: "second", plugins: [...document.plugins, { type: "tuning", sysctl }] });
}

const isMasqueraded = (): boolean => callersSeenOutside().join() === "192.0.2.1";

function ping(from: string, to: string, address: string): void {
  const ms = pingFrom(from, address);
  verdict(ms !== undefined, `${from} -> ${to} (${address})  ${ms === undefined ? "no answer" : `${ms} ms`}`);
}

function timed<T>(what: string, work: () => T): T {
  const started = performance.now();
  const done = work();
  times.set(what, [...(times.get(what) ?? []), performance.now() - started]);
  return done;
}

const median = (all: readonly number[]): number => all.toSorted((a, b) => a - b)[all.length >> 1] ?? 0;

/** The result without its list of interfaces, which the picture shows. */
function oneLine({ ips }: Result): string {
  return JSON.stringify({ ips, "…": "" }).replace(',"…":""}', ", …}");
}
