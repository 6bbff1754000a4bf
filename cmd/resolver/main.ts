/** twill resolver: answers the names of containers in the networks of `twill network`. */
import type { Command, Flag, Flags } from "../../pkg/command-line/command.ts";
import { asTool } from "../../pkg/command-line/run-command.ts";
import { type ResolverPaths, resolverPaths, serveInForeground, syncResolver } from "../../pkg/resolver/start.ts";

const sync: Flag = {
  name: "sync",
  about: "have the running resolver read the records, start it if there is none, and end",
};
const paths = [
  { name: "socket", value: "FILE", about: `unix socket of the resolver (${resolverPaths.socket})` },
  {
    name: "records",
    value: "DIR",
    about: `directory of the attachment records (${resolverPaths.attachments.records})`,
  },
  { name: "cache", value: "DIR", about: `root of the runtimes' result cache (${resolverPaths.attachments.cache})` },
  {
    name: "dnsname",
    value: "DIR",
    about: `directory of what the plugin dnsname has added (${resolverPaths.attachments.dnsname})`,
  },
  { name: "resolv-conf", value: "FILE", about: `has the host's resolvers (${resolverPaths.resolvConf})` },
] as const satisfies readonly Flag[];

const command: Command = {
  name: "resolver",
  operands: "",
  required: 0,
  most: 0,
  about: "answer the names of containers at 127.0.0.11 in each of them",
  details: [
    "It is started by the commands of `twill network` when it is needed, or by systemd (twill-resolver.socket), and ends when no",
    "container needs it. What it does not know it asks the host's resolvers, except for internal networks.",
  ].join("\n"),
  flags: [sync, ...paths],
  examples: ["twill resolver --sync"],
  run({ flags, context: { streams } }) {
    if (!flags.has(sync.name)) {
      serveInForeground(pathsIn(flags));
      return 0;
    }
    const { namespaces, problems } = syncResolver(pathsIn(flags));
    for (const problem of problems) streams.stderr(`twill resolver: ${problem}\n`);
    streams.stdout(`names are answered in ${namespaces} namespaces\n`);
    return problems.length === 0 ? 0 : 1;
  },
};

export const resolver = asTool("twill", command);

const pathsIn = (flags: Flags): ResolverPaths => ({
  socket: flags.get("socket") ?? resolverPaths.socket,
  attachments: {
    records: flags.get("records") ?? resolverPaths.attachments.records,
    cache: flags.get("cache") ?? resolverPaths.attachments.cache,
    dnsname: flags.get("dnsname") ?? resolverPaths.attachments.dnsname,
  },
  resolvConf: flags.get("resolv-conf") ?? resolverPaths.resolvConf,
});
