// `npm run package`: what it makes is the same whoever makes it, and is installed, used, upgraded and removed on a Debian of its own.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { unpackedProgram } from "../../dev/unpacked.mjs";
import { type Ended, installDebian, runInDebian } from "../lab/fresh-debian.ts";
import { inLongRunOnly, needsRoot } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";

const dir = mkdtempSync(join(tmpdir(), `twill-${process.pid}-packages-`));
t.teardown(() => rmSync(dir, { recursive: true, force: true }));
const { version } = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8"));

/** Builds without anything of an earlier build, in a layer above the project, which stays as it is. @returns the folder of the packages */
function build(name: string): string {
  const layers = join(dir, name);
  for (const folder of ["files", "work", "merged"]) mkdirSync(join(layers, folder), { recursive: true });
  const script = `mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/files,workdir=$2/work" $2/merged
    cd $2/merged && rm -rf dist && exec env -u NODE_OPTIONS "$3" dev/package.mjs`;
  const { status, stderr } = spawnSync(
    "unshare",
    ["--mount", "sh", "-ec", script, "sh", projectRoot, layers, process.execPath],
    {
      encoding: "utf8",
      maxBuffer: 64 << 20,
    },
  );
  if (status !== 0) throw new Error(stderr);
  return join(layers, "files/dist/packages");
}

/** A Debian with the packages in /packages. Each call of what is returned sees what earlier ones have left. */
function debianWith(packages: string): (script: string) => Ended {
  const root = join(dir, "root");
  installDebian(root, ["iproute2", "nftables"]);
  execFileSync("cp", ["-r", packages, join(root, "packages")]);
  return (script) => runInDebian(root, script);
}

const attach = `unshare --net sh -ec '
  mkdir -p /etc/cni/net.d
  echo "{\\"cniVersion\\": \\"1.0.0\\", \\"name\\": \\"net\\", \\"plugins\\": [{\\"type\\": \\"bridge\\", \\"isGateway\\": true, \\"ipam\\": {\\"type\\": \\"host-local\\", \\"subnet\\": \\"10.1.0.0/24\\"}}]}" > /etc/cni/net.d/10-net.conflist
  ip netns add c
  CNI_PATH=/usr/lib/cni cnitool add net /run/netns/c > /dev/null
  ip -n c -br addr show eth0
  CNI_PATH=/usr/lib/cni cnitool del net /run/netns/c'`;

/** The first word of each line of a list of `twill --help`. */
const namesIn = (help: string, title: string): string[] =>
  Array.from(
    (new RegExp(`^${title}.*\\n((?: {2}.*\\n)+)`, "m").exec(help)?.[1] ?? "").matchAll(/^ {2}(\S+)/gm),
    ([, name = ""]) => name,
  );

t.test("packages", inLongRunOnly(needsRoot), async (t) => {
  const packages = build("one");
  const [twill, flanneld] = ["twill", "twill-flanneld"].map(
    (name) => `${name}_${version}_${process.arch === "x64" ? "amd64" : "arm64"}.deb`,
  );

  await t.test("two builds give the same bytes, which the checksums are of", async (t) => {
    t.equal(spawnSync("sha256sum", ["--check", "--quiet", "SHA256SUMS"], { cwd: packages }).status, 0);
    const sums = readFileSync(join(packages, "SHA256SUMS"), "utf8");
    t.match(sums, `  twill_${version}_arm64.deb\n`);
    t.equal(readFileSync(join(build("other"), "SHA256SUMS"), "utf8"), sums);
    rmSync(join(dir, "other"), { recursive: true });
  });

  await t.test("the packages for arm64 have executables for arm64", async (t) => {
    const root = join(dir, "arm64");
    for (const name of ["twill", "twill-flanneld"])
      execFileSync("dpkg-deb", ["-x", join(packages, `${name}_${version}_arm64.deb`), root]);
    const start = process.arch === "arm64" ? [] : [unpackedProgram(projectRoot, "qemu-user-static")];
    const [command = "", ...args] = [...start, join(root, "usr/bin/twill"), "--version"];
    t.match(execFileSync(command, args, { encoding: "utf8" }), `twill ${version}, CNI`);
    for (const file of [
      "usr/bin/twill",
      "usr/lib/cni/bridge",
      "usr/lib/twill-flanneld/node",
      "usr/lib/twill-flanneld/koffi.node",
    ])
      t.equal(readFileSync(join(root, file)).readUInt16LE(18), 183, `${file}: EM_AARCH64`);
  });

  const run = debianWith(packages);
  const ok = (t: Test, script: string) => {
    const { status, stdout, stderr } = run(script);
    t.equal(status, 0, `${script.split("\n")[0]}${status === 0 ? "" : `: ${stdout}${stderr}`}`);
    return stdout;
  };

  await t.test("twill takes the place of the reference plugins, and gives it back", async (t) => {
    ok(t, "apt-get install -qq --no-install-recommends containernetworking-plugins");
    ok(t, `apt-get install -qq /packages/${twill}`);
    t.match(
      ok(t, `dpkg-query -W -f '\${db:Status-Abbrev}\${Package}\\n' twill containernetworking-plugins; true`),
      /^ii twill$/m,
    );
    t.equal(ok(t, "dpkg --verify twill"), "", "each file is as the package has it");
    t.match(ok(t, attach), /eth0.* 10\.1\.0\.\d+\/24/);
    t.match(ok(t, "twill --version"), `twill ${version},`);
    t.match(ok(t, "zcat /usr/share/man/man1/twill-doctor.1.gz"), /^\.SH SYNOPSIS\n\.nf\ntwill doctor/m);
    const commands = namesIn(ok(t, "twill --help"), "Commands of twill itself");
    for (const name of ["install", "uninstall", "doctor", "gc", "log", "metrics", "network", "ping", "report", "run"])
      t.ok(commands.includes(name), name);
    t.strictSame(
      ok(t, "cd /usr/share/man/man1 && ls twill* | sed 's/\\.1\\.gz$//'").split("\n").filter(Boolean).sort(),
      ["twill", ...commands.map((name) => `twill-${name}`)].sort(),
      "a page for each command",
    );
    const files = ok(t, "dpkg -L twill").split("\n");
    for (const tool of ["cnitool", "twill"])
      for (const file of [
        `/usr/share/bash-completion/completions/${tool}`,
        `/usr/share/zsh/vendor-completions/_${tool}`,
        `/usr/share/fish/vendor_completions.d/${tool}.fish`,
      ])
        t.ok(files.includes(file), file);
    ok(t, "bash -n /usr/share/bash-completion/completions/twill");
    t.strictSame(
      files
        .flatMap((file) => /^\/lib\/systemd\/system\/(.+\.(?:service|socket|timer|conf))$/.exec(file)?.[1] ?? [])
        .sort(),
      readdirSync(join(projectRoot, "conf"), { recursive: true, encoding: "utf8" })
        .filter((name) => /\.(service|socket|timer|conf)$/.test(name) && name !== "flanneld.service")
        .sort(),
      "the units that twill install --units puts",
    );
    t.match(ok(t, "cat /lib/systemd/system/twill-gc.service"), "ExecStart=/usr/bin/twill gc\n");
    t.equal(
      ok(
        t,
        "cat /lib/systemd/system/*.service /lib/systemd/system/*/twill.conf | grep -E '/usr/local|/opt/cni' ; true",
      ),
      "",
    );
    ok(t, "apt-get install -qq --no-install-recommends containernetworking-plugins");
    t.equal(ok(t, "ls /usr/bin/twill /usr/bin/cnitool 2>/dev/null; true"), "");
    t.match(ok(t, "dpkg -S /usr/lib/cni/bridge"), /^containernetworking-plugins:/);
    ok(t, "dpkg --purge twill containernetworking-plugins");
  });

  await t.test(
    "twill is refused on a node with plugins of twill install, and taken after twill uninstall",
    async (t) => {
      ok(
        t,
        `dpkg-deb -x /packages/${twill} /copy && mkdir -p /usr/lib/cni && /copy/usr/bin/twill install --plugin-dir /usr/lib/cni`,
      );
      t.match(run(`dpkg -i /packages/${twill}`), { status: 1, stderr: /To fix: run 'twill uninstall', then/ });
      ok(t, "twill uninstall");
      ok(t, `dpkg -i /packages/${twill}`);
    },
  );

  await t.test("an upgrade replaces all files, and removal leaves none", async (t) => {
    ok(
      t,
      `cd /tmp && rm -rf new && dpkg-deb -R /packages/${twill} new && sed -i 's/^Version: .*/Version: 99/' new/DEBIAN/control &&
      rm new/usr/lib/cni/tap && echo later >> new/usr/share/doc/twill/copyright && dpkg-deb -b new new.deb && dpkg -i new.deb`,
    );
    t.equal(ok(t, "ls /usr/lib/cni/tap 2>/dev/null; tail -n 1 /usr/share/doc/twill/copyright"), "later\n");
    ok(t, `dpkg -i /packages/${flanneld}`);
    t.match(ok(t, "flanneld --version 2>&1"), version, "on the Node that it brings");
    ok(t, "dpkg --purge twill twill-flanneld");
    const left = ok(
      t,
      "find / -xdev '(' -path /packages -o -path /copy -o -path /tmp -o -path /proc -o -path /var/lib/cni -o -path /var/lib/twill -o -path /var/cache/flanneld ')' -prune -o '(' -iname '*twill*' -o -name '*flanneld*' ')' -print",
    );
    t.equal(left, "", "but for state, which stays as containers do");
  });
});
