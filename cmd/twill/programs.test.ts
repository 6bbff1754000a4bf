import t from "tap";
import { type FakeStreams, fakePlugin, fakeStreams } from "../../pkg/cni/fake.testing.ts";
import type { Tool } from "../../pkg/cni/tool.ts";
import { type Programs, runProgram } from "./programs.ts";

const tool: Tool = {
  name: "cnitool",
  about: "does things by hand",
  run(args, { streams, version, plugins }) {
    streams.stdout(`${version} ${Object.keys(plugins)} ${args.join(",")}\n`);
    return 3;
  },
};

const programs: Programs = {
  version: "1.2.3",
  plugins: { bridge: fakePlugin({ name: "bridge" }), "host-local": fakePlugin({ name: "host-local" }) },
  tools: { cnitool: tool },
  daemons: {},
  commands: {},
};

function run(args: string[], environment: Record<string, string> = {}): { status: number } & FakeStreams["written"] {
  const streams = { ...fakeStreams(environment), program: args[0] ?? "" };
  return { status: runProgram(programs, args, streams), ...streams.written };
}
const asRuntime = { CNI_COMMAND: "VERSION" };

t.test("the name it is called by decides, wherever the file lies", async (t) => {
  for (const called of ["bridge", "/opt/cni/bin/bridge", "./bridge"])
    t.match(run([called], asRuntime), { status: 0, stdout: /^\{"cniVersion":"1\.1\.0"/, stderr: "" });
  t.strictSame(run(["/usr/bin/cnitool", "add", "net"]), {
    status: 3,
    stdout: "1.2.3 bridge,host-local add,net\n",
    stderr: "",
  });
});

t.test("called twill, the first argument is the name", async (t) => {
  t.match(run(["twill", "bridge"], asRuntime), { status: 0, stdout: /^\{"cniVersion":"1\.1\.0"/ });
  t.strictSame(run(["twill", "cnitool", "gc"]), { status: 3, stdout: "1.2.3 bridge,host-local gc\n", stderr: "" });
});

t.test("called twill alone, it says what it holds and what to try", async (t) => {
  for (const args of [[], ["--help"], ["-h"], ["help"]]) {
    t.strictSame(run(["/usr/local/bin/twill", ...args]), {
      status: 0,
      stdout: `twill 1.2.3: container network plugins (CNI 0.1.0 to 1.1.0) in one executable

Plugins, called by container runtimes under their own names:
  bridge     does nothing
  host-local does nothing

Tools for the command line:
  cnitool    does things by hand

A link to this file, or a copy, with one of these names is that program; \`/usr/local/bin/twill NAME …\` runs it too.
Try: /usr/local/bin/twill cnitool --help
`,
      stderr: "",
    });
  }
});

t.test("help with the name of a command explains that command", async (t) => {
  const explained: Programs = {
    ...programs,
    commands: { install: { ...tool, name: "install" } },
  };
  const streams = { ...fakeStreams({}), program: "twill" };
  runProgram(explained, ["twill", "help", "install"], streams);
  t.equal(streams.written.stdout, "1.2.3 bridge,host-local --help\n");
  t.match(run(["twill", "help", "none"]), { status: 1, stderr: /there is no program "none"/ });
  const misspelt = { ...fakeStreams({}), program: "twill" };
  runProgram(explained, ["twill", "instal"], misspelt);
  t.equal(misspelt.written.stderr, 'twill: there is no program "instal"; did you mean "install"?\n');
});

t.test("it tells its version, and its names for those who make links", async (t) => {
  t.strictSame(run(["twill", "--version"]), {
    status: 0,
    stdout: "twill 1.2.3, CNI 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n",
    stderr: "",
  });
  for (const [option, stdout] of Object.entries({
    "--plugins": "bridge\nhost-local\n",
    "--tools": "cnitool\n",
    "--names": "bridge\nhost-local\ncnitool\n",
  }))
    t.strictSame(run(["twill", option]), { status: 0, stdout, stderr: "" });
});

t.test("a name that it does not hold is answered with the nearest one", async (t) => {
  t.strictSame(run(["twill", "brigde"]), {
    status: 1,
    stdout: "",
    stderr: 'twill: there is no program "brigde"; did you mean "bridge"?\n',
  });
  t.strictSame(run(["twill", "--colour"]), {
    status: 1,
    stdout: "",
    stderr: 'twill: there is no program "--colour"; it has bridge, host-local, cnitool\n',
  });
  t.strictSame(run(["/x/hostlocal"]), {
    status: 1,
    stdout: "",
    stderr: 'twill: "hostlocal" is not a plugin of this executable; did you mean "host-local"?\n',
  });
});

t.test("a runtime that calls it by a wrong name gets an error object", async (t) => {
  const { status, stdout, stderr } = run(["/opt/cni/bin/ptp"], asRuntime);
  t.strictSame({ status, stderr }, { status: 1, stderr: "" });
  t.strictSame(JSON.parse(stdout), {
    cniVersion: "1.1.0",
    code: 7,
    msg: '"ptp" is not a plugin of this executable',
    details:
      'it has bridge, host-local. To fix: correct "type" in the network\'s configuration, or the name of the file /opt/cni/bin/ptp',
  });
});

t.test("a tool that a runtime takes for a plugin gives an error object, and does nothing", async (t) => {
  for (const name of ["cnitool", "twill"]) {
    const { status, stdout, stderr } = run([`/opt/cni/bin/${name}`], asRuntime);
    t.strictSame({ status, stderr }, { status: 1, stderr: "" });
    t.match(JSON.parse(stdout), {
      code: 7,
      msg: `"${name}" is a tool, not a CNI plugin`,
      details: `To fix: move /opt/cni/bin/${name} out of the plugins' directory`,
    });
  }
  t.equal(run(["cnitool", "list"], asRuntime).status, 3, "with arguments it is a person who calls");
});

t.test("names of JavaScript's own are no programs", async (t) => {
  for (const name of ["constructor", "__proto__", "toString"]) t.equal(run([name]).status, 1);
  t.equal(run(["twill", "constructor"]).status, 1);
});
