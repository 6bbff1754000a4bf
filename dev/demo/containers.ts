// Two containers on one host: bridge and host-local, and a way out.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { callersSeenOutside, containers, makeNeighbours, outsideAddress, pingFrom, pluginFolder, root } from "./lab.ts";
import { picture, reservations, rules } from "./picture.ts";
import { dim, heading, say, show, verdict } from "./tell.ts";

interface Result {
  ips: { address: string; gateway: string }[];
}

const netconfFile = "conf/10-podnet.conflist";
const times = new Map<string, number[]>();
export function containersOfOneHost(): void {
  const list = JSON.parse(readFileSync(join(root, netconfFile), "utf8"));
  const [plugin] = list.plugins;
  /** What a runtime makes of the list: one plugin's settings with the network's name and version. */
  const netconf = { cniVersion: list.cniVersions.at(-1), name: list.name, ...plugin };

  heading("The machines");
  say(`A container's network is a network namespace. So that nothing of this machine is touched, the host is one as well, and so
is a computer outside, which knows the host's address 192.0.2.1 and has no route to the containers.`);
  makeNeighbours();
  show(`c1, c2     two containers, without a network so far
host       192.0.2.1, connected to outside
outside    ${outsideAddress}`);

  heading(`The network, as an administrator writes it (${netconfFile})`);
  show(readFileSync(join(root, netconfFile), "utf8").trimEnd());

  heading("ADD: the containers get their network");
  say(`A container runtime starts the plugin "bridge" with the settings above on its standard input and these variables. The plugin
prints what it made.`);
  const results = new Map(containers.map((name) => [name, call("ADD", name, netconf) as Result]));

  heading("What there is now");
  say("As ip, nft and iptables see it:");
  show(picture(plugin.bridge));
  say("Rules of the firewall, which give what leaves the subnet the host's own address:");
  show(rules().join("\n"));
  say("Reservations of addresses, which host-local keeps in files:");
  show(reservations(list.name).join("\n"));

  heading("It works");
  const [one, two] = containers;
  const address = (name: (typeof containers)[number]) => results.get(name)?.ips[0]?.address.split("/")[0] ?? "";
  ping(one, two, address(two));
  ping(two, one, address(one));
  ping(one, "the host", results.get(one)?.ips[0]?.gateway ?? "");
  ping(one, "outside", outsideAddress);
  const seen = callersSeenOutside();
  verdict(seen.join() === "192.0.2.1", `outside saw a ping from ${seen.join(" and ") || "nobody"}: masqueraded`);

  heading("CHECK: is everything as ADD made it?");
  for (const name of containers) call("CHECK", name, { ...netconf, prevResult: results.get(name) });

  heading("DEL: the containers go");
  for (const name of containers) call("DEL", name, { ...netconf, prevResult: results.get(name) });
  show(picture(plugin.bridge));
  const left = [
    ...rules().filter((line) => containers.some((name) => line.includes(`"${name}`))),
    ...reservations(list.name),
  ];
  verdict(
    left.length === 0,
    left.length === 0 ? "no rules and no reservations of the containers are left" : left.join("\n"),
  );
  say("The bridge stays for the next container, as with every CNI bridge plugin.");

  heading("How long it took");
  say(
    "From the start of the process to its end, in milliseconds. /bin/true, started in the same way, is what starting costs:",
  );
  for (let i = 0; i < 9; i++) timed("/bin/true", () => spawnSync("/bin/true"));
  show(
    [...times]
      .map(([what, all]) => `${what.padEnd(14)} ${milliseconds(what === "/bin/true" ? [median(all)] : all)}`)
      .join("\n"),
  );
  say("npm run bench measures properly, beside the Go plugins.");
}

/** Calls the plugin as a runtime does. @returns what it printed. */
function call(verb: "ADD" | "CHECK" | "DEL", container: string, netconf: { type: string }): unknown {
  const executable = join(pluginFolder, netconf.type);
  const variables = {
    CNI_COMMAND: verb,
    CNI_CONTAINERID: container,
    CNI_NETNS: `/run/netns/${container}`,
    CNI_IFNAME: "eth0",
    CNI_PATH: pluginFolder,
  };
  const input = JSON.stringify(netconf);
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...variables };
  const { status, signal, stdout, stderr } = timed(`bridge ${verb}`, () =>
    spawnSync(executable, { input, env, encoding: "utf8", timeout: 30_000 }),
  );
  const words = Object.entries({ ...variables, CNI_PATH: "dist/plugins" }).map(([name, value]) => `${name}=${value}`);
  console.log(`  ${dim(`$ ${words.join(" ")} dist/plugins/${netconf.type} < netconf`)}`);
  if (stderr) show(stderr.trimEnd());
  if (status !== 0) throw new Error(`bridge ${verb} for ${container}: exit status ${status ?? signal}\n${stdout}`);
  if (stdout !== "") show(shortJson(JSON.parse(stdout)));
  else verdict(true, `exit status 0: ${verb === "CHECK" ? "all is as it was made" : "done"}`);
  return stdout === "" ? undefined : JSON.parse(stdout);
}

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

function median(all: readonly number[]): number {
  return all.toSorted((a, b) => a - b)[all.length >> 1] ?? 0;
}

function milliseconds(all: readonly number[]): string {
  return all.map((ms) => ms.toFixed(1).padStart(6)).join("");
}

/** A line per key, and per entry of a list. */
function shortJson(value: Record<string, unknown>): string {
  const spaced = (part: unknown) => JSON.stringify(part, null, 1).replaceAll(/\n */g, " ");
  const entries = Object.entries(value).map(([key, part]) => {
    const listed = Array.isArray(part)
      ? `[\n${part.map((item) => `    ${spaced(item)}`).join(",\n")}\n  ]`
      : spaced(part);
    return `  ${JSON.stringify(key)}: ${listed}`;
  });
  return `{\n${entries.join(",\n")}\n}`;
}
