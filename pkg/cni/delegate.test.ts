import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { decode, encode } from "../sys/text.ts";
import { delegateAdd, delegateCheck, delegateDel, delegateGc, delegateStatus, versionsOfPlugin } from "./delegate.ts";
import { findExecutable } from "./find-executable.ts";
import type { Attachment, Gc } from "./plugin.ts";

const directory = mkdtempSync(join(tmpdir(), "twill-delegate-"));
t.teardown(() => rmSync(directory, { recursive: true }));
const empty = join(directory, "empty");
const bin = join(directory, "bin");
mkdirSync(empty);
mkdirSync(bin);
const log = join(directory, "log");

/** Makes a plugin out of a shell script. */
function plugin(name: string, script: string): string {
  const file = join(bin, name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return file;
}

const attachment: Attachment<unknown> = {
  conf: {},
  cniVersion: "0.4.0",
  network: "net",
  stdin: encode('{"cniVersion":"0.4.0","name":"net","unknown":[1,{"a":null}]}'),
  path: [empty, bin],
  delegates: {},
  containerId: "one",
  netns: "/run/netns/one",
  ifName: "eth0",
  args: "IgnoreUnknown=1;A=B",
  prevResult: undefined,
};
const gc: Gc<unknown> = { ...attachment, validAttachments: [] };

const note = `{ echo "$CNI_COMMAND|$CNI_CONTAINERID|$CNI_NETNS|$CNI_IFNAME|$CNI_ARGS|$CNI_PATH"; cat; echo; } >> ${log}`;
const noted = (): string[] => {
  const lines = readFileSync(log, "utf8").trimEnd().split("\n");
  rmSync(log);
  return lines;
};

t.test("a delegate gets the caller's parameters and configuration, unchanged but for the verb", async (t) => {
  plugin(
    "noting",
    `${note}\n[ $CNI_COMMAND = ADD ] && echo '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.1.2.3/24"}]}' || true`,
  );
  process.env["CNI_COMMAND"] = "DEL";
  process.env["CNI_IFNAME"] = "of another process";
  const stdin = decode(attachment.stdin);
  const parameters = `one|/run/netns/one|eth0|IgnoreUnknown=1;A=B|${empty}:${bin}`;

  t.strictSame(delegateAdd(attachment, "noting"), { interfaces: [], ips: [{ address: "10.1.2.3/24" }], routes: [] });
  t.strictSame(noted(), [`ADD|${parameters}`, stdin]);
  delegateDel({ ...attachment, netns: undefined }, "noting");
  t.strictSame(noted(), [`DEL|${parameters.replace("/run/netns/one", "")}`, stdin]);
  delegateCheck(attachment, "noting");
  t.strictSame(noted(), [`CHECK|${parameters}`, stdin]);
  delegateGc(gc, "noting");
  t.strictSame(noted(), [`GC|||||${empty}:${bin}`, stdin]);
  delegateStatus(attachment, "noting");
  t.strictSame(noted(), [`STATUS|||||${empty}:${bin}`, stdin]);
});

t.test("a result is read by its own version; without one by the configuration's", async (t) => {
  plugin("newer", `echo '{"cniVersion":"1.0.0","ips":[{"address":"10.1.2.3/24"}]}'`);
  plugin("older", `echo '{"cniVersion":"0.2.0","ip4":{"ip":"10.1.2.3/24"}}'`);
  plugin("silent-about-version", `echo '{"ips":[{"version":"4","address":"10.1.2.3/24"}]}'`);
  for (const name of ["newer", "older", "silent-about-version"])
    t.match(delegateAdd(attachment, name), { ips: [{ address: "10.1.2.3/24" }] }, name);
  plugin("null", "echo null");
  t.strictSame(delegateAdd(attachment, "null"), { interfaces: [], ips: [], routes: [] });
});

t.test(
  "a configuration that does not fit a pipe arrives whole, and one that nobody reads does not block",
  async (t) => {
    const large = encode(`{"x":"${"y".repeat(1 << 20)}"}`);
    plugin("counting", 'n=$(wc -c); echo \'{"cniVersion":"0.4.0","dns":{"domain":"\'$n\'"}}\'');
    t.strictSame(delegateAdd({ ...attachment, stdin: large }, "counting").dns, { domain: String(large.length) });
    plugin("deaf", "exit 0");
    delegateDel({ ...attachment, stdin: large }, "deaf");
  },
);

/** What a plugin does, and what is told of it. */
const failures: [name: string, script: string, error: { code: number; msg: string; details: string }][] = [
  [
    "typed",
    `echo '{"cniVersion":"0.4.0","code":11,"msg":"later","details":"locked"}'; exit 1`,
    { code: 11, msg: "later", details: "locked" },
  ],
  ["bare", `echo '{"msg":"no code"}'; exit 1`, { code: 0, msg: "no code", details: "" }],
  [
    "mute",
    "exit 3",
    {
      code: 999,
      msg: 'plugin "mute" exited with status 3 on ADD without an error message',
      details: `ran ${bin}/mute. To fix: see the runtime's log, which has the plugin's stderr`,
    },
  ],
  [
    "babbling",
    "echo oh no; exit 1",
    {
      code: 999,
      msg: 'plugin "babbling" exited with status 1 on ADD without an error message: "oh no"',
      details: `ran ${bin}/babbling. To fix: see the runtime's log, which has the plugin's stderr`,
    },
  ],
  [
    "dying",
    "kill -9 $$",
    {
      code: 999,
      msg: 'plugin "dying" was terminated by signal 9 on ADD without an error message',
      details: `ran ${bin}/dying. To fix: see the runtime's log, which has the plugin's stderr`,
    },
  ],
  [
    "empty",
    "exit 0",
    {
      code: 6,
      msg: 'plugin "empty" returned nothing on ADD, must return a result',
      details: `${bin}/empty exited with status 0. To fix: check that ${bin}/empty is a CNI plugin: CNI_COMMAND=VERSION ${bin}/empty`,
    },
  ],
  [
    "garbage",
    "echo Hello, world",
    {
      code: 6,
      msg: 'plugin "garbage" returned something that is not JSON on ADD: "Hello, world\\n"',
      details: `${bin}/garbage exited with status 0. To fix: check that ${bin}/garbage is a CNI plugin: CNI_COMMAND=VERSION ${bin}/garbage`,
    },
  ],
  [
    "nonsense",
    `echo '{"ips":[{"address":5}]}'`,
    {
      code: 6,
      msg: 'result of "nonsense": "ips[0].address" is 5, must be an IP address with its prefix length, as "10.1.0.0/16" or "fd00::/64"',
      details: `To fix: report it to the authors of ${bin}/nonsense`,
    },
  ],
];
for (const [name, script, error] of failures) {
  t.test(`a delegate that fails is told: ${name}`, async (t) => {
    plugin(name, script);
    t.throws(() => delegateAdd(attachment, name), error);
  });
}

t.test("the first regular file in the order of CNI_PATH is taken", async (t) => {
  const second = join(directory, "second");
  mkdirSync(second);
  mkdirSync(join(second, "noting"));
  symlinkSync(join(bin, "noting"), join(second, "linked"));
  t.equal(findExecutable("noting", [second, bin]).path, `${bin}/noting`, "a directory is none");
  t.equal(findExecutable("linked", [`${second}/`, bin]).path, `${second}/linked`, "a link is followed");
  t.equal(findExecutable("noting", ["/nowhere", bin]).path, `${bin}/noting`);
});

const notFound: [what: string, type: string, path: string[], error: { code: number; msg: string; details?: string }][] =
  [
    [
      "a name that is nowhere",
      "host-locla",
      [empty, "/nowhere"],
      {
        code: 999,
        msg: `failed to find plugin "host-locla" in path [${empty} /nowhere]`,
        details: `these directories do not exist: /nowhere. To fix: install it into ${empty}, or add its directory to CNI_PATH`,
      },
    ],
    [
      "a slip of the finger",
      "notign",
      [empty, bin],
      {
        code: 999,
        msg: `failed to find plugin "notign" in path [${empty} ${bin}]`,
        details: `To fix: did you mean "noting"? Otherwise install "notign" into ${empty}`,
      },
    ],
    [
      "no directories",
      "noting",
      [],
      {
        code: 4,
        msg: 'no paths provided to find plugin "noting": CNI_PATH is empty',
        details:
          "To fix: set CNI_PATH to the directories of the plugins, as `export CNI_PATH=/opt/cni/bin`; with sudo: `sudo CNI_PATH=/opt/cni/bin ...`",
      },
    ],
    [
      "directories that do not exist",
      "noting",
      ["/nowhere", "/nowhere/else"],
      {
        code: 999,
        msg: 'failed to find plugin "noting" in path [/nowhere /nowhere/else]',
        details:
          "these directories do not exist: /nowhere, /nowhere/else. To fix: correct CNI_PATH: none of its directories exists",
      },
    ],
    ...["", "../noting", "a/b", "..", "."].map(
      (type): [string, string, string[], { code: number; msg: string; details?: string }] => [
        `the name ${JSON.stringify(type)}`,
        type,
        [bin],
        { code: 7, msg: `"type" is ${JSON.stringify(type)}, must be the name of a plugin's executable` },
      ],
    ),
  ];
for (const [what, type, path, error] of notFound) {
  t.test(`a delegate is not found: ${what}`, async (t) => {
    t.throws(() => delegateAdd({ ...attachment, path }, type), error);
  });
}

t.test("a file that is no program for this machine is told", async (t) => {
  writeFileSync(join(bin, "plain"), "nothing", { mode: 0o755 });
  t.throws(() => delegateAdd(attachment, "plain"), {
    code: 999,
    msg: `plugin "plain" cannot be started: execve ${bin}/plain: ENOEXEC`,
    details: `To fix: check that ${bin}/plain is a program for this machine: file ${bin}/plain`,
  });
  chmodSync(join(bin, "plain"), 0o644);
  t.throws(() => delegateAdd(attachment, "plain"), {
    code: 999,
    msg: `plugin "plain" cannot be started: execve ${bin}/plain: EACCES`,
    details: `To fix: make it executable: chmod +x ${bin}/plain`,
  });
});

t.test("a file that is being written is waited for", async (t) => {
  const file = join(bin, "arriving");
  writeFileSync(file, readFileSync("/bin/true"), { mode: 0o755 });
  const writer = spawn("sh", ["-c", 'exec 3<>"$0"; echo writing; read go; sleep 0.2', file]); // "text file busy" meanwhile
  await once(writer.stdout, "data");
  t.throws(() => execFileSync(file), { code: "ETXTBSY" });
  writer.stdin.write("go\n");
  delegateDel(attachment, "arriving");
});

t.test("VERSION is asked of a plugin, also of very old ones", async (t) => {
  plugin(
    "modern",
    `[ $CNI_COMMAND$CNI_NETNS$CNI_IFNAME$CNI_PATH = VERSIONdummydummydummy ] && grep -q 1.1.0 && echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'`,
  );
  plugin("ancient", `echo '{"cniVersion":"0.1.0","code":4,"msg":"unknown CNI_COMMAND: VERSION"}'; exit 1`);
  plugin("second", `echo '{"cniVersion":"0.2.0"}'`);
  plugin("odd", `echo '{"supportedVersions":["0.4.0"]}'`);
  t.strictSame(versionsOfPlugin("modern", [bin], {}), ["0.4.0", "1.0.0"]);
  t.strictSame(versionsOfPlugin("ancient", [bin], {}), ["0.1.0"]);
  t.strictSame(versionsOfPlugin("second", [bin], {}), ["0.1.0", "0.2.0"]);
  t.throws(() => versionsOfPlugin("odd", [bin], {}), {
    code: 6,
    msg: 'plugin "odd" answered VERSION with {"supportedVersions":["0.4.0"]}, must have "cniVersion" and "supportedVersions"',
  });
  t.throws(() => versionsOfPlugin("gone", [bin], {}), {
    code: 999,
    msg: `failed to find plugin "gone" in path [${bin}]`,
  });
});
