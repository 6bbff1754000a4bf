import t from "tap";
import type { CniError } from "../cni/error.ts";
import type { Command, Flag } from "./command.ts";
import { readCommandLine, refuseWrongCount } from "./command-line.ts";
import { helpFor } from "./help.ts";

const ifname: Flag = { name: "ifname", short: "i", value: "NAME", about: "" };
const command = (name: string, flags: readonly Flag[]): Command => {
  return { name, operands: "<a> <b>", required: 2, most: 2, about: "", details: "", flags, examples: [], run: () => 0 };
};
const commands = [
  command("add", [ifname]),
  command("del", [ifname]),
  command("list", [{ name: "json", short: "j", about: "" }]),
];

const read = (line: string) => {
  const { command, operands, flags } = readCommandLine(line.split(" ").filter(Boolean), { name: "cnitool", commands });
  return `${command?.name}(${operands.join(",")}) ${JSON.stringify(Object.fromEntries(flags))}`;
};

/** Lines of add were given to the Go tool, 1.3.1, which reads them the same way. */
const understood: [line: string, meaning: string][] = [
  ["", "undefined() {}"],
  ["add net /ns", "add(net,/ns) {}"],
  ["add net /ns extra", "add(net,/ns,extra) {}"],
  ["-i net1 add net /ns", 'add(net,/ns) {"ifname":"net1"}'],
  ["add -i net1 net /ns", 'add(net,/ns) {"ifname":"net1"}'],
  ["add net -i net1 /ns", 'add(net,/ns) {"ifname":"net1"}'],
  ["add net /ns -i net1", 'add(net,/ns) {"ifname":"net1"}'],
  ["add -inet1 net /ns", 'add(net,/ns) {"ifname":"net1"}'],
  ["add -i=net1 net /ns", 'add(net,/ns) {"ifname":"net1"}'],
  ["add --ifname net1 net /ns", 'add(net,/ns) {"ifname":"net1"}'],
  ["add --ifname=net1 net /ns", 'add(net,/ns) {"ifname":"net1"}'],
  ["add --ifname=a=b net /ns", 'add(net,/ns) {"ifname":"a=b"}'],
  ["add --ifname= net /ns", 'add(net,/ns) {"ifname":""}'],
  ["add -i -x net /ns", 'add(net,/ns) {"ifname":"-x"}'],
  ["add -i one --ifname two net /ns", 'add(net,/ns) {"ifname":"two"}'],
  ["add -- net --ifname", "add(net,--ifname) {}"],
  ["add net - -i net1", 'add(net,-) {"ifname":"net1"}'],
  ["add -hi net1 net", 'add(net) {"help":"","ifname":"net1"}'],
  ["list -hj", 'list() {"help":"","json":""}'],
  ["list --json=true", 'list() {"json":""}'],
  ["list --json --json=false", "list() {}"],
];
for (const [line, meaning] of understood) {
  t.test(`cnitool ${line}`, async (t) => t.equal(read(line), meaning));
}

const refused: [line: string, msg: string, details: string][] = [
  ["ad net /ns", 'unknown command "ad" for "cnitool"', "To fix: did you mean add?"],
  ["frobnicate", 'unknown command "frobnicate" for "cnitool"', "To fix: use one of add, del, list; see cnitool help"],
  ["add --ifnam x net /ns", "unknown flag: --ifnam", "To fix: did you mean --ifname?"],
  ["add -ifname eth1 net /ns", "unknown flag: -ifname", "To fix: did you mean --ifname?"],
  ["add -x net /ns", "unknown flag: -x", "To fix: use one of --help, --ifname; see cnitool help"],
  ["-x add net /ns", "unknown flag: -x", "To fix: use one of --help, --ifname; see cnitool help"],
  ["-x", "unknown flag: -x", "To fix: use one of --help, --ifname, --json; see cnitool help"],
  ["add --json net /ns", 'unknown flag: --json for "cnitool add"', "To fix: remove it; list has this flag"],
  ["list -i net1", 'unknown flag: --ifname for "cnitool list"', "To fix: remove it; add, del have this flag"],
  ["add net /ns --ifname", "flag needs an argument: --ifname", "To fix: write --ifname NAME"],
  ["add net /ns -i", "flag needs an argument: --ifname", "To fix: write --ifname NAME"],
  ["list --json=x", 'flag --json is true or false, but has "x"', "To fix: write --json, or remove it"],
];
for (const [line, msg, details] of refused) {
  t.test(`cnitool ${line} is refused`, async (t) => {
    t.throws(() => read(line), { msg, details } as CniError);
  });
}

t.test("a flag has its values under its name, by whichever name it is called", async (t) => {
  const network: Flag = { name: "network", aliases: ["net"], value: "NAME", about: "" };
  const { values } = readCommandLine(["add", "--net", "a", "--network=b", "--net=c"], {
    name: "twill",
    commands: [command("add", [network])],
  });
  t.strictSame(Object.fromEntries(values), { network: ["a", "b", "c"] });
});

t.test("of a flag whose values are a list, commas separate them", async (t) => {
  const alias: Flag = { name: "alias", short: "a", value: "NAME", about: "", isList: true };
  const { values } = readCommandLine(["add", "--alias", "a,b", "-a", "c", "--alias=d"], {
    name: "network",
    commands: [command("add", [alias])],
  });
  t.strictSame(values.get("alias"), ["a", "b", "c", "d"]);
});

t.test("a flag that is repeated has all its values, and the last one counts where one is wanted", async (t) => {
  const { flags, values } = readCommandLine(["add", "-i", "a", "--ifname=b", "-ic"], { name: "cnitool", commands });
  t.equal(flags.get("ifname"), "c");
  t.strictSame(values.get("ifname"), ["a", "b", "c"]);
});

t.test(
  "a letter that several commands use means the flag of the one that is called, by any of its names",
  async (t) => {
    const tool = {
      name: "twill network",
      commands: [
        command("ls", [{ name: "filter", short: "f", value: "FILTER", about: "" }]),
        { ...command("rm", [{ name: "force", short: "f", about: "" }]), aliases: ["remove"] },
      ],
    };
    for (const name of ["rm", "remove"])
      t.match(readCommandLine([name, "-f", "net"], tool), { command: { name: "rm" }, operands: ["net"] });
    t.match(readCommandLine(["ls", "-f", "net"], tool), { operands: [], values: new Map([["filter", ["net"]]]) });
  },
);

t.test("a command's own -h is not help, which is --help alone then", async (t) => {
  const run = command("run", [{ name: "hostname", short: "h", value: "NAME", about: "" }]);
  const read = (...args: string[]) => readCommandLine(["run", ...args], { name: "twill", commands: [run] }).flags;
  t.strictSame([...read("-h", "web", "ip")], [["hostname", "web"]]);
  t.strictSame([...read("--help")], [["help", ""]]);
  t.match(helpFor(run, "twill"), /^ {2}-h, --hostname NAME +\n {6}--help +print this help$/m);
  t.match(helpFor(command("add", []), "cnitool"), /^ {2}-h, --help +print this help$/m);
});

t.test("a command that lacks an operand says how it is used", async (t) => {
  t.throws(() => refuseWrongCount(command("add", []), ["net"], "cnitool"), {
    msg: "cnitool add requires at least 2 arg(s), only received 1",
    details: "To fix: write cnitool add <a> <b>; cnitool help add has an example",
  } as CniError);
  refuseWrongCount(command("add", []), ["net", "/ns"], "cnitool");
});

t.test("an operand that nobody would read is refused", async (t) => {
  t.throws(() => refuseWrongCount(command("add", []), ["net", "/ns", "eth5", "more"], "cnitool"), {
    code: 4,
    msg: '"eth5" is one argument too many for cnitool add',
    details: "To fix: remove it: cnitool add <a> <b>",
  } as CniError);
  const ifName = { name: "ifname", value: "NAME", about: "" };
  t.throws(() => refuseWrongCount(command("add", [ifName]), ["net", "/ns", "eth5"], "cnitool"), {
    details: "To fix: remove it: cnitool add <a> <b>; to set an interface name, write --ifname eth5",
  } as CniError);
});

t.test("behind a program that a command runs, nothing is a flag of the command", async (t) => {
  const commands = [{ ...command("run", [{ name: "name", value: "NAME", about: "" }]), runsProgram: true }];
  const read = (line: string) => {
    const { operands, flags } = readCommandLine(line.split(" "), { name: "twill", commands });
    return [flags.get("name"), ...operands];
  };
  t.strictSame(read("run --name web sh -c --name"), ["web", "sh", "-c", "--name"]);
  t.strictSame(read("run -- sh -x"), [undefined, "sh", "-x"]);
  t.throws(() => read("run --nme web sh"), { msg: "unknown flag: --nme" } as CniError);
});
