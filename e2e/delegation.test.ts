// A plugin that has another one called: bridge and its IPAM, whatever that one does. The executable is the built one; IPAM
// plugins are shell scripts, and a failed ADD has to leave the node as it was.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Call, type Host, newHost } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { ourBin } from "./lab/project.ts";

const network = (type: string) => ({
  cniVersion: "1.1.0",
  name: "net",
  type: "bridge",
  bridge: "br0",
  ipam: { type, ranges: [[{ subnet: "10.9.0.0/24" }]] },
});

/** A directory with IPAM plugins made of shell scripts. */
function pluginsOf(t: Test, scripts: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), "twill-ipam-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  for (const [name, script] of Object.entries(scripts))
    writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return directory;
}

/** The bridge is shared, so it stays; everything else has to go. */
function withBridge(node: Host): Host {
  node.cni("bridge", "ADD", { ...network("host-local"), ipam: {} });
  node.cni("bridge", "DEL", { ...network("host-local"), ipam: {} });
  return node;
}

const add = (node: Host, type: string, path: string) =>
  node.cni("bridge", "ADD", network(type), { path } satisfies Call);

interface Row {
  what: string;
  type: string;
  script?: string;
  code: number;
  msg: (path: string) => string;
}

const rows: Row[] = [
  {
    what: "is not there",
    type: "host-locla",
    code: 999,
    msg: (path) => `failed to find plugin "host-locla" in path [${path}]`,
  },
  {
    what: "prints garbage",
    type: "garbage",
    script: "echo Segmentation fault",
    code: 6,
    msg: () => 'plugin "garbage" returned something that is not JSON on ADD: "Segmentation fault\\n"',
  },
  {
    what: "prints half a result",
    type: "half",
    script: `printf '{"cniVersion":"1.0.0","ips":['`,
    code: 6,
    msg: () => 'plugin "half" returned something that is not JSON on ADD: "{\\"cniVersion\\":\\"1.0.0\\",\\"ips\\":["',
  },
  {
    what: "says nothing and fails",
    type: "mute",
    script: "exit 1",
    code: 999,
    msg: () => 'plugin "mute" exited with status 1 on ADD without an error message',
  },
  {
    what: "says nothing and succeeds",
    type: "silent",
    script: "exit 0",
    code: 6,
    msg: () => 'plugin "silent" returned nothing on ADD, must return a result',
  },
  {
    what: "dies",
    type: "dying",
    script: "kill -SEGV $$",
    code: 999,
    msg: () => 'plugin "dying" was terminated by signal 11 on ADD without an error message',
  },
  {
    what: "fails with an error of its own",
    type: "failing",
    script: `echo '{"code":123,"msg":"no addresses left","details":"pool 7"}'; exit 1`,
    code: 123,
    msg: () => "no addresses left",
  },
  {
    what: "gives an address that is none",
    type: "nonsense",
    script: `echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.0.300/24"}]}'`,
    code: 6,
    msg: () =>
      'result of "nonsense": "ips[0].address" is "10.9.0.300/24", must be an IP address with its prefix length, as "10.1.0.0/16" or "fd00::/64"',
  },
  {
    what: "gives no address",
    type: "generous",
    script: "echo '{}'",
    code: 999,
    msg: () => "IPAM plugin returned missing IP config",
  },
];

for (const { what, type, script, code, msg } of rows) {
  t.test(`an IPAM that ${what} fails the ADD, which leaves nothing`, needsRoot, async (t) => {
    const node = withBridge(newHost(t));
    const path = `${pluginsOf(t, script === undefined ? {} : { [type]: script })}:${ourBin}`;
    const before = node.snapshot();
    const { status, stdout } = add(node, type, path);
    const { code: told, msg: message } = stdout as { code: number; msg: string };
    t.strictSame({ status, code: told, msg: message }, { status: 1, code, msg: msg(path.replace(":", " ")) });
    t.strictSame(node.snapshot(), before);
  });
}

t.test("a plugin that is no IPAM plugin is refused as one, itself and others", needsRoot, async (t) => {
  const node = withBridge(newHost(t));
  node.write(
    "/var/lib/subnet.env",
    "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.3.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n",
  );
  const prevResult = { cniVersion: "1.1.0", ips: [{ address: "10.9.0.2/24" }] };
  const keys = {
    dataDir: "/var/lib/flannel",
    subnetFile: "/var/lib/subnet.env",
    prevResult,
    "cni.dev/valid-attachments": [],
  };
  const links = () => [node, ...node.containers].map(({ sh }) => sh("ip -o link show type veth; ip tuntap"));
  const before = links();
  for (const [plugin, type] of [
    ["bridge", "bridge"],
    ["bridge", "portmap"],
    ["ptp", "bridge"],
    ["tap", "tap"],
    ["flannel", "flannel"],
    ["flannel", "bridge"],
  ] as const) {
    const conf = { ...network(type), ...keys, type: plugin, bridge: plugin === "bridge" ? "br0" : undefined };
    const what = `${plugin} with IPAM ${type}`;
    const refused = {
      status: 1,
      stdout: {
        code: 7,
        msg: `"ipam.type" is "${type}", which is not an IPAM plugin`,
        details: /use an IPAM plugin, as dhcp, host-local, static, or remove/,
      },
    };
    for (const verb of ["ADD", "GC", "STATUS"] as const)
      t.match(node.cni(plugin, verb, conf, { timeoutMs: 10_000 }), refused, `${what}: ${verb}`);
    t.match(node.cni(plugin, "DEL", conf), { status: 0, stdout: "" }, `${what}: DEL`);
  }
  t.match(node.cni("bridge", "CHECK", { ...network("bridge"), ...keys }), { status: 1, stdout: { code: 7 } });
  t.strictSame(links(), before);
});

t.test("an IPAM that hangs dies with the bridge plugin that waits for it", needsRoot, async (t) => {
  const node = withBridge(newHost(t));
  // biome-ignore lint/suspicious/noTemplateCurlyInString: for the shell
  const folder = pluginsOf(t, { hanging: 'echo $$ > "${0%/*}/pid/of"; exec sleep 1000' });
  const pidFile = join(folder, "pid", "of");
  mkdirSync(join(folder, "pid"));
  const started = new Promise<void>((resolve) => {
    const watcher = watch(join(folder, "pid"), () => {
      if (!existsSync(pidFile) || readFileSync(pidFile, "utf8") === "") return;
      watcher.close();
      resolve();
    });
  });
  const [container] = node.containers;
  const environment = {
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: container?.id ?? "",
    CNI_NETNS: container?.path ?? "",
    CNI_IFNAME: "eth0",
    CNI_PATH: folder,
  };
  const caller = spawn("ip", ["netns", "exec", node.name, join(ourBin, "bridge")], { env: environment });
  const ended = new Promise((resolve) => caller.on("exit", (_, signal) => resolve(signal)));
  caller.stdin.end(JSON.stringify(network("hanging")));
  await started;
  const ipam = Number(readFileSync(pidFile, "utf8"));
  t.ok(existsSync(`/proc/${ipam}`), "it runs");

  caller.kill("SIGKILL");
  t.equal(await ended, "SIGKILL");
  t.ok(await isGone(ipam), "no process is left");

  const { status } = node.cni("bridge", "DEL", network("hanging"), { path: pluginsOf(t, { hanging: "exit 0" }) });
  t.equal(status, 0, "and DEL takes back what the killed ADD made");
  t.strictSame(Object.keys(node.snapshot().namespaces[container?.name ?? ""]?.links ?? {}), ["lo"]);
});

/** Whether a process ends within two seconds. Nobody is told of the end of somebody else's child. */
async function isGone(pid: number): Promise<boolean> {
  for (let waited = 0; waited < 2000; waited += 5) {
    if (!existsSync(`/proc/${pid}`)) return true;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return false;
}

/** The programs that ADD, CHECK and DEL start, as strace sees them. */
function programsStarted(t: Test, node: Host, path: string): string[] {
  const trace = join(pluginsOf(t, {}), "trace");
  const under = ["strace", "-f", "-qq", "-e", "trace=execve", "-e", "signal=none", "-A", "-o", trace];
  let prevResult: unknown;
  for (const verb of ["ADD", "CHECK", "DEL"] as const) {
    const { status, stdout } = node.cni("bridge", verb, { ...network("host-local"), prevResult }, { path, under });
    t.equal(status, 0, verb);
    prevResult ??= stdout;
  }
  const started = [...readFileSync(trace, "utf8").matchAll(/execve\("([^"]+)".*= 0$/gm)].map(([, file]) => file ?? "");
  t.equal(started.filter((file) => file === join(ourBin, "bridge")).length, 3, "strace sees the plugin itself");
  return started.filter((file) => file !== join(ourBin, "bridge"));
}

t.test("an IPAM that is this very executable is called without starting a process", needsRoot, async (t) => {
  t.strictSame(programsStarted(t, newHost(t), ourBin), []);
});

t.test(
  "an IPAM that comes first in CNI_PATH is started, though the executable holds one of that name",
  needsRoot,
  async (t) => {
    const folder = pluginsOf(t, { "host-local": `exec ${ourBin}/host-local` });
    const once = [join(folder, "host-local"), join(ourBin, "host-local")];
    t.strictSame(programsStarted(t, newHost(t), `${folder}:${ourBin}`), [...once, ...once, ...once]);
  },
);
