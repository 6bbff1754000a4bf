// `twill install`, `uninstall`, `status` on a node with Debian's Go plugins.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { goBin, ourBin, projectRoot } from "../lab/project.ts";
import { newRoot, type Root, untouched } from "../lab/throw-away-root.ts";

const goPlugins = existsSync(goBin) ? readdirSync(goBin) : [];
const ours = readdirSync(ourBin);
const replaced = ours.filter((name) => goPlugins.includes(name));
const tools = ["cnitool", "mk-docker-opts", "mk-docker-opts.sh", "twill"];

/** Makes runtimes findable, which are not started. */
const runtimes = (...names: string[]) => names.map((name) => `install /dev/null /usr/local/bin/${name}\n`).join("");
const containerdWith = (directory: string) => `
  mkdir -p /etc/containerd
  echo 'plugins."io.containerd.grpc.v1.cri".cni.bin_dir = "${directory}"' > /etc/containerd/config.toml
  ${runtimes("containerd")}`;

async function nodeWith(t: Test, prepared: string): Promise<Root> {
  const root = await newRoot(t);
  root.sh(prepared);
  return root;
}

/** What a plugin says about itself, asked by the shell. */
const aboutLine = (root: Root, path: string): string => root.sh(`${path} 2>&1 < /dev/null | head -1`);

t.test("install puts plugins where podman and containerd look, uninstall restores each byte", needsRoot, async (t) => {
  const root = await nodeWith(t, `${runtimes("podman")}${containerdWith("/opt/cni/bin")}`);
  const before = root.files();
  t.match(root.run("twill status"), { status: 1, stdout: /^podman: 0 of 21 plugins are twill's: none/m });

  const installed = root.run("twill install");
  t.match(installed, { status: 0, stderr: "" });
  t.match(installed.stdout, /^containerd \(\/usr\/local\/bin\/containerd\) looks in \/opt\/cni\/bin \(bin_dir in /m);
  t.match(installed.stdout, `/usr/lib/cni: 21 plugins of twill 0.1.0; ${replaced.length} that were there are kept in`);
  for (const directory of ["/usr/lib/cni", "/opt/cni/bin"])
    for (const name of ours)
      t.match(aboutLine(root, `${directory}/${name}`), new RegExp(`^CNI ${name} plugin v.+\\+twill\\.`));
  t.equal(root.sh("stat -c %i /opt/cni/bin/* | sort -u | wc -l"), "1", "the plugins of a directory are one file");
  t.equal(root.sh("find /usr/lib/cni /opt /usr/local/bin -name '.twill-*'"), "");
  t.match(root.sh("/usr/local/bin/cnitool --version"), /^cnitool /);
  const status = root.run("twill status");
  t.match(status, { status: 0, stderr: "" });
  t.match(status.stdout, /^podman: 21 of 21 plugins are twill's: twill 0.1.0 in \/usr\/lib\/cni /m);
  t.match(status.stdout, /^containerd: 21 of 21 plugins are twill's: twill 0.1.0 in \/opt\/cni\/bin /m);

  t.match(root.run("/usr/local/bin/twill uninstall"), { status: 0, stderr: "" });
  t.equal(root.files(), before);
  t.equal(root.sh("ls -d /opt/cni /var/lib/twill 2>/dev/null || true"), "", "directories that it made are gone");
  t.match(root.run("twill uninstall"), { status: 0, stdout: /has put nothing on this node/ });
});

t.test(
  "--units and --completion put texts with the paths of this installation, uninstall removes them",
  needsRoot,
  async (t) => {
    const root = await nodeWith(
      t,
      `${runtimes("podman")}mkdir -p /etc/systemd/system; echo mine > /etc/systemd/system/twill-gc.timer`,
    );
    const before = root.files();
    const installed = root.run("twill install --units --completion --tool-dir /usr/local/sbin");
    t.match(installed, { status: 0, stderr: "" });
    t.match(installed.stdout, /^To use the units: systemctl daemon-reload && /m);
    const execStarts = root.sh("cd /etc/systemd/system; grep -h '^Exec' *.service */twill.conf | sort -u").split("\n");
    t.ok(execStarts.includes("ExecStart=/usr/local/sbin/twill gc"));
    t.ok(execStarts.includes("ExecStart=/usr/lib/cni/dhcp daemon"));
    t.ok(execStarts.includes("ExecStartPost=-/usr/local/sbin/twill reload"));
    t.notOk(
      execStarts.some((line) => line.includes("/usr/local/bin/") || line.includes("/opt/")),
      execStarts.join("\n"),
    );
    const names = (directory: string) => root.sh(`cd ${directory}; find * -type f | sort`).split("\n");
    t.strictSame(
      names("/etc/systemd/system").filter((name) => name !== "flanneld.service"),
      readdirSync(join(projectRoot, "conf"), { recursive: true, encoding: "utf8" })
        .filter((name) => /\.(service|socket|timer|conf)$/.test(name) && name !== "flanneld.service")
        .sort(),
      "none of conf is forgotten",
    );
    t.strictSame(
      names("/usr/local/share").filter((name) => /twill|cnitool/.test(name)),
      [
        ...["cnitool", "twill"].map((tool) => `bash-completion/completions/${tool}`),
        ...["cnitool", "twill"].map((tool) => `fish/vendor_completions.d/${tool}.fish`),
        ...["cnitool", "twill"].map((tool) => `zsh/site-functions/_${tool}`),
      ],
    );
    t.equal(root.sh("stat -c %a /etc/systemd/system/twill-gc.service"), "644");
    t.equal(root.run("twill status").status, 0);
    root.sh(`
      cp -p /etc/systemd/system/twill-gc.service /etc/kept; echo '# mine' >> /etc/systemd/system/twill-gc.service
      mv /usr/local/share/zsh/site-functions/_twill /etc/kept2`);
    const changed = root.run("twill status");
    t.match(changed, {
      status: 1,
      stdout: /_twill was installed, and is now: absent\nTo fix: twill install --completion,/,
    });
    t.notMatch(changed.stdout, /twill-gc/, "who edits a unit means it");
    t.match(root.run("twill doctor").stdout, /\n {2}To fix: twill install --completion puts twill's there again/);
    root.sh(`
      mv /etc/kept /etc/systemd/system/twill-gc.service
      mv /etc/kept2 /usr/local/share/zsh/site-functions/_twill`);
    t.match(root.run("/usr/local/sbin/twill uninstall"), { status: 0, stderr: "" });
    t.equal(root.files(), before, "the administrator's own timer is back");
  },
);

t.test("units name programs in directories with odd names as systemd reads them", needsRoot, async (t) => {
  const root = await nodeWith(t, "mkdir -p '/opt/my cni%h' '/opt/my tools $&'");
  const directories = "--plugin-dir '/opt/my cni%h' --tool-dir '/opt/my tools $&'";
  const installed = root.run(`twill install --units ${directories} && cat /etc/systemd/system/*.service`);
  t.equal(installed.status, 0);
  t.match(installed.stdout, '\nExecStart="/opt/my tools $&/twill" gc\n');
  t.match(installed.stdout, '\nExecStart="/opt/my cni%%h/dhcp" daemon\n');
});

t.test("--dry-run prints each step, and changes nothing", needsRoot, async (t) => {
  const root = await nodeWith(t, runtimes("podman"));
  const before = root.files();
  const dry = root.run("twill install --dry-run").stdout;
  t.equal(root.files(), before);
  const named = (what: string, text: string) =>
    Array.from(text.matchAll(new RegExp(`^would ${what} (/usr\\S+)`, "gm")), ([, path = ""]) => path).sort();
  const inDirectory = (names: readonly string[]) => names.map((name) => `/usr/lib/cni/${name}`).sort();
  t.strictSame(named("keep", dry), inDirectory(replaced));
  t.strictSame(named("replace", dry), inDirectory(replaced));
  const added = inDirectory(ours.filter((name) => !goPlugins.includes(name)));
  t.strictSame(named("create", dry), [...added, ...tools.map((name) => `/usr/local/bin/${name}`)].sort());

  root.sh("twill install");
  const installed = root.files();
  const back = root.run("twill uninstall --dry-run").stdout;
  t.equal(root.files(), installed);
  t.strictSame(named("restore", back), inDirectory(replaced));
  t.strictSame(named("remove", back), named("create", dry));
});

/** As dpkg does: a new file beside the old one, which it then replaces. */
const upgrade = (name: string) => `
  cp ${untouched}/${name} /usr/lib/cni/${name}.dpkg-new && printf newer >> /usr/lib/cni/${name}.dpkg-new
  mv /usr/lib/cni/${name}.dpkg-new /usr/lib/cni/${name}`;

t.test("a package that puts its plugins back is told by status, and stays when twill goes", needsRoot, async (t) => {
  const root = await nodeWith(t, runtimes("podman"));
  root.sh(`twill install\n${upgrade("bridge")}\n${upgrade("portmap")}\nrm /usr/lib/cni/tap`);
  const told = root.run("/usr/local/bin/twill status");
  t.equal(told.status, 1);
  t.match(told.stdout, /^podman: 18 of 21 plugins/m);
  t.match(told.stdout, /^ {2}bridge, portmap in \/usr\/lib\/cni: CNI … plugin /m);
  t.match(told.stdout, /^\/usr\/lib\/cni\/bridge was installed, and is now: CNI bridge plugin /m);
  t.match(told.stdout, /^\/usr\/lib\/cni\/tap was installed, and is now: absent$/m);
  t.match(told.stdout, /^To fix: twill install, as after the upgrade of a package$/m);
  const { version, runtimes: found, changed } = JSON.parse(root.run("twill status --json").stdout);
  t.match(
    { version, found, changed },
    {
      version: "0.1.0",
      found: [
        {
          name: "podman",
          plugins: [
            { type: "bandwidth", origin: "ours" },
            { type: "bridge", origin: "foreign" },
          ],
        },
      ],
      changed: [{ path: "/usr/lib/cni/bridge" }, { path: "/usr/lib/cni/portmap" }, { path: "/usr/lib/cni/tap" }],
    },
  );

  const undone = root.run("/usr/local/bin/twill uninstall");
  t.match(undone, { status: 0, stdout: /^left \/usr\/lib\/cni\/bridge: something else has been put there since$/m });
  t.match(undone.stdout, /^left \/usr\/lib\/cni\/tap: it is gone$/m);
  t.equal(root.sh("tail -c 5 /usr/lib/cni/bridge"), "newer");
  for (const name of replaced.filter((one) => !["bridge", "portmap"].includes(one)))
    root.sh(`cmp ${untouched}/${name} /usr/lib/cni/${name}`);
});

t.test("install after such an upgrade keeps the newer plugin for the way back", needsRoot, async (t) => {
  const root = await nodeWith(t, runtimes("podman"));
  root.sh(`twill install\n${upgrade("bridge")}\ntwill install`);
  t.match(aboutLine(root, "/usr/lib/cni/bridge"), /\+twill\./);
  root.sh("twill uninstall");
  t.equal(root.sh("tail -c 5 /usr/lib/cni/bridge"), "newer");
  for (const name of replaced.filter((one) => one !== "bridge"))
    root.sh(`cmp ${untouched}/${name} /usr/lib/cni/${name}`);
});

t.test("install can be repeated, also by the file that it replaces", needsRoot, async (t) => {
  const root = await nodeWith(t, runtimes("podman"));
  const before = root.files();
  root.sh("twill install && /usr/local/bin/twill install && twill install --plugin-dir /opt/cni/bin --no-tools");
  t.match(root.run("twill status"), { status: 0 });
  root.sh("/usr/local/bin/twill uninstall");
  t.equal(root.files(), before);
});

t.test("plugins and tools of an earlier copy by hand come back too, symbolic links as such", needsRoot, async (t) => {
  const root = await nodeWith(
    t,
    `${runtimes("podman")}
    ln -sf /usr/lib/cni/bridge /usr/local/bin/cnitool
    cp -a dist/plugins/tap dist/plugins/bridge /usr/lib/cni
    mv /usr/lib/cni/vlan /opt/vlan && ln -s ../../../opt/vlan /usr/lib/cni/vlan`,
  );
  const before = root.files();
  root.sh("twill install");
  t.match(root.sh("/usr/local/bin/cnitool --version"), /^cnitool /);
  t.equal(root.sh("find /usr/lib/cni/vlan -type f"), "/usr/lib/cni/vlan");
  root.sh("/usr/local/bin/twill uninstall");
  t.equal(root.files(), before);
});

interface Refusal {
  what: string;
  prepared: string;
  command?: string;
  stderr: RegExp;
}

const refusals: Refusal[] = [
  {
    what: "no runtime on the node",
    prepared: "",
    stderr: /no container runtime was found on this node\n {2}To fix: install one first, or name .*--plugin-dir/,
  },
  {
    what: "only runtimes that call no plugins",
    prepared: `${runtimes("podman", "dockerd")} mkdir /etc/containers && printf '[network]\\nnetwork_backend = "netavark"' > /etc/containers/containers.conf`,
    stderr: /no container runtime of this node calls CNI plugins\n.*netavark[\s\S]*Docker/,
  },
  {
    what: "a read-only directory",
    prepared: `${runtimes("podman")} mount -o remount,ro /usr/lib/cni`,
    stderr: /\/usr\/lib\/cni is on a read-only file system\n[\s\S]*To fix: mount it writable/,
  },
  {
    what: "a directory without room for the new files",
    prepared: `${runtimes("podman")} mount -o remount,size=$(($(du -sk /usr/lib/cni | cut -f 1) + 3000))k /usr/lib/cni`,
    stderr: /no room for the files in \/usr\/lib\/cni\n[\s\S]*To fix: free 20 MB/,
  },
  {
    what: "no room for the copies half-way",
    prepared: `${runtimes("podman")} mount -o remount,size=20m /var/lib`,
    stderr: /no room for the files in \/var\/lib\/twill\/replaced\/usr\/lib\/cni\n/,
  },
  {
    what: "a directory whose programs do not run",
    prepared: `${runtimes("podman")} mount -o remount,noexec /usr/lib/cni`,
    stderr: /\/usr\/lib\/cni\/bandwidth is in the way|programs do not run in \/usr\/lib\/cni\n[\s\S]*noexec/,
  },
  {
    what: "a new directory whose programs do not run",
    prepared: "mkdir -p /opt/cni/bin && mount -t tmpfs -o noexec none /opt/cni/bin",
    command: "twill install --plugin-dir /opt/cni/bin",
    stderr: /programs do not run in \/opt\/cni\/bin\n[\s\S]*without noexec/,
  },
  {
    what: "another program with a plugin's name",
    prepared: `mkdir -p /opt/cni/bin && printf '#!/bin/sh\\n[ -n "$CNI_COMMAND" ] || touch /opt/was-run\\n' > /opt/cni/bin/vlan && chmod +x /opt/cni/bin/vlan`,
    command: "twill install --plugin-dir /opt/cni/bin",
    stderr: /\/opt\/cni\/bin\/vlan is in the way\n[\s\S]*To fix: move it/,
  },
  {
    what: "a plugin that does not answer VERSION",
    prepared: `mkdir -p /opt/cni/bin && printf '#!/bin/sh\\nexec sleep 1000\\n' > /opt/cni/bin/vlan && chmod +x /opt/cni/bin/vlan`,
    command: "twill install --plugin-dir /opt/cni/bin",
    stderr:
      /\/opt\/cni\/bin\/vlan is in the way\n {2}plugin "vlan" has not answered VERSION within 5 s, and was killed\n {2}To fix: move it/,
  },
  {
    what: "a directory with a plugin's name",
    prepared: "mkdir -p /opt/cni/bin/vlan",
    command: "twill install --plugin-dir /opt/cni/bin",
    stderr: /\/opt\/cni\/bin\/vlan is in the way\n {2}it is a directory/,
  },
  {
    what: "a directory of commands",
    prepared: "ln -s /usr/sbin /opt/commands",
    command: "twill install --plugin-dir /opt/commands",
    stderr: /\/usr\/sbin is a directory of commands: the plugin "bridge" would be in the place of iproute2's/,
  },
  {
    what: "a file where the directory should be",
    prepared: "mkdir /opt/cni && touch /opt/cni/bin",
    command: "twill install --plugin-dir /opt/cni/bin",
    stderr: /\/opt\/cni\/bin is not a directory/,
  },
  {
    what: "a symbolic link that leads nowhere",
    prepared: "mkdir /opt/cni && ln -s /none /opt/cni/bin",
    command: "twill install --plugin-dir /opt/cni/bin",
    stderr: /\/opt\/cni\/bin is not a directory\n {2}it is a symbolic link that leads nowhere/,
  },
  {
    what: "a plugin that is a mount point",
    prepared: `${runtimes("podman")} mount --bind /usr/lib/cni/bridge /usr/lib/cni/bridge`,
    stderr: /a file in \/usr\/lib\/cni is a mount point\n.*\n {2}To fix: unmount it/,
  },
  {
    what: "a path that depends on the working directory",
    prepared: "",
    command: "twill install --plugin-dir cni",
    stderr: /"cni" is not a whole path/,
  },
  {
    what: "an empty variable",
    prepared: "",
    command: 'twill install --plugin-dir "$NOTHING"',
    stderr: /--plugin-dir is empty/,
  },
  {
    what: "a damaged record",
    prepared: `${runtimes("podman")} mkdir /var/lib/twill && echo '{"files": [{}]' > /var/lib/twill/install.json`,
    stderr: /install\.json is damaged\n {2}To fix: move it away/,
  },
  {
    what: "units for a directory with quotes",
    prepared: "mkdir '/opt/my \"tools\"'",
    command: `twill install --units --plugin-dir /opt/cni/bin --tool-dir '/opt/my "tools"'`,
    stderr:
      /systemd starts no program with the path "\/opt\/my \\"tools\\"\/twill"\n.*\n {2}To fix: choose another directory/,
  },
  {
    what: "a directory in the place of a tool",
    prepared: `${runtimes("podman")} mkdir /usr/local/bin/cnitool`,
    stderr: /\/usr\/local\/bin\/cnitool is in the way\n {2}it is a directory/,
  },
  {
    what: "an unknown flag",
    prepared: "",
    command: "twill install --plugindir /x",
    stderr: /unknown flag: --plugindir\n {2}To fix: did you mean --plugin-dir\?/,
  },
];

t.test("install refuses, says what to do, and has changed nothing", needsRoot, async (t) => {
  for (const { what, prepared, command = "twill install", stderr } of refusals) {
    await t.test(what, async (t) => {
      const root = await nodeWith(t, prepared);
      const before = root.files();
      t.match(root.run(command), { status: 1, stderr });
      t.equal(root.files(), before);
    });
  }
});

t.test("a directory that has two names, one of them a symbolic link, is served once", needsRoot, async (t) => {
  const root = await nodeWith(
    t,
    `${runtimes("podman")} mkdir -p /opt/cni && ln -s ../../usr/lib/cni /opt/cni/bin\n${containerdWith("/opt/cni/bin/")}`,
  );
  const before = root.files();
  const { stdout } = root.run("twill install --no-tools");
  t.equal(stdout.match(/^\/\S+: 21 plugins/gm)?.join(), "/usr/lib/cni: 21 plugins");
  t.match(root.run("twill status"), { status: 0 });
  root.sh("twill uninstall");
  t.equal(root.files(), before);
});

t.test("names with odd characters are printed as they can be read", needsRoot, async (t) => {
  const root = await nodeWith(t, "mkdir -p \"/opt/a b$(printf '\\033[2J')\"");
  const { status, stdout } = root.run('twill install --no-tools --plugin-dir "$(echo /opt/a*)"');
  t.equal(status, 0);
  t.match(stdout, '"/opt/a b\\u001b[2J": 21 plugins');
  for (const command of ["status", "uninstall --dry-run", "uninstall"])
    t.notMatch(root.run(`twill ${command}`).stdout, "\u001b", command);
});

t.test(
  "names with odd characters in a runtime's configuration are printed as they can be read",
  needsRoot,
  async (t) => {
    const root = await nodeWith(t, containerdWith("/opt/a\\\\u001b[2J"));
    for (const command of [
      "status",
      "install --dry-run",
      "install",
      "status",
      "status --json",
      "doctor",
      "uninstall",
    ]) {
      const { stdout, stderr } = root.run(`twill ${command}`);
      t.notMatch(stdout + stderr, "\u001b", command);
      if (command.startsWith("install")) t.match(stdout, "/opt/a\\u001b[2J", command);
    }
  },
);

const faults = [
  ...[1, 2, 9, 20, 21, 25].map((nth) => ({ call: "renameat2", nth })),
  ...[1, 5, 20].map((nth) => ({ call: "linkat", nth })),
  { call: "fsync", nth: 3 },
];

t.test("an install that fails at any step leaves all as it was", inFullRunOnly(needsRoot), async (t) => {
  const root = await nodeWith(t, runtimes("podman"));
  const before = root.files();
  for (const { call, nth } of faults) {
    const inject = `inject=${call}:error=EIO:when=${nth}`;
    const { status, stderr } = root.run(`strace -qq -o /dev/null -e trace=${call} -e ${inject} twill install`);
    t.equal(status, 1, `${call} ${nth}`);
    t.match(stderr, /cannot be replaced|EIO/, `${call} ${nth}`);
    t.equal(root.files(), before, `${call} ${nth}`);
  }
});

t.test("an install that is killed at any step can be undone, and repeated", inFullRunOnly(needsRoot), async (t) => {
  const root = await nodeWith(t, runtimes("podman"));
  const before = root.files();
  for (const { call, nth } of faults) {
    const inject = `inject=${call}:signal=KILL:when=${nth}`;
    const killed = root.run(`strace -qq -o /dev/null -e trace=${call} -e ${inject} twill install; true`);
    t.match(killed.stdout + killed.stderr, /Killed/, `${call} ${nth}`);
    if (nth % 2 === 0) root.sh("twill install");
    root.sh("twill uninstall");
    t.equal(root.files(), before, `${call} ${nth}`);
  }
});

t.test("an uninstall that is killed at any step is completed by the next", inFullRunOnly(needsRoot), async (t) => {
  const root = await nodeWith(t, runtimes("podman"));
  const before = root.files();
  for (const { call, nth } of [
    { call: "sendfile", nth: 1 },
    { call: "renameat2", nth: 1 },
    { call: "renameat2", nth: 2 },
    { call: "unlinkat", nth: 3 },
  ]) {
    root.sh("twill install");
    const inject = `inject=${call}:signal=KILL:when=${nth}`;
    const killed = root.run(`strace -qq -o /dev/null -e trace=${call} -e ${inject} twill uninstall; true`);
    t.match(killed.stdout + killed.stderr, /Killed/, `${call} ${nth}`);
    root.sh("twill uninstall");
    t.equal(root.files(), before, `${call} ${nth}`);
  }
});
