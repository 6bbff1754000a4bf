// The README's way from a clone to a container, on a Debian 12 that was just installed: its commands as they stand, with Debian's podman.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { unpackedProgram } from "../../dev/unpacked.mjs";
import { installDebian, runInDebian } from "../lab/fresh-debian.ts";
import { inLongRunOnly, needsRoot } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";

const dir = mkdtempSync(join(tmpdir(), `twill-${process.pid}-readme-`));
t.teardown(() => rmSync(dir, { recursive: true, force: true }));

const [node = "", withPodman = ""] = Array.from(
  readFileSync(join(projectRoot, "README.md"), "utf8").matchAll(/^```sh fresh\n(.*?)^```$/gms),
  ([, commands = ""]) => commands,
);
/** What is installed comes from the Internet; containers are on a network of the test's own. */
const firstOfPodman = withPodman.search(/^podman /m);
const [fromInternet, ofPodman] = [withPodman.slice(0, firstOfPodman), withPodman.slice(firstOfPodman)];
const typed = (commands: string) =>
  `cd /root/twill && ${commands.replaceAll("apt-get install", "apt-get install -qq")}`;

/** No registry is asked: the image has the name that podman asks for. crun refuses a cgroup 2 beside cgroup 1, which some machines have. */
const image = (busybox: string) => `
  umount -l /sys/fs/cgroup/unified 2> /dev/null || true
  printf '[containers]\ncgroups = "disabled"\n' > /run/containers.conf && export CONTAINERS_CONF=/run/containers.conf
  ip link set lo up
  mkdir -p /run/image/bin && cp ${busybox} /run/image/bin/busybox && ln -s busybox /run/image/bin/httpd
  tar -C /run/image -c . | podman import -q - docker.io/library/busybox > /dev/null`;

/** Puts what a clone has below `to`, with what is not committed yet. */
function cloneInto(to: string): void {
  mkdirSync(to, { recursive: true });
  const files = "git ls-files -z --cached --others --exclude-standard";
  const copy = `cd "$1" && ${files} | tar --null --ignore-failed-read -T - -c | tar -x -C "$2"`;
  execFileSync("sh", ["-c", copy, "sh", projectRoot, to], { stdio: "pipe" });
}

t.test("README: from a clone on a fresh Debian to a container on our bridge", inLongRunOnly(needsRoot), async (t) => {
  t.match(node, "npm install -g node", "sees the commands");
  const root = join(dir, "root");
  installDebian(root, ["ca-certificates", "iproute2"]);
  cloneInto(join(root, "root/twill"));
  execFileSync("cp", ["-L", unpackedProgram(projectRoot, "busybox-static"), join(root, "root/busybox")]);
  const done = (script: string, network?: "its own") => {
    const { status, stdout, stderr } = runInDebian(root, `set -e\n${script}`, network);
    if (status !== 0) throw new Error(`${script}: exit status ${status}: ${`${stdout}\n${stderr}`.slice(-2000)}`);
    return stdout;
  };

  done(typed("apt-get install nodejs npm --no-install-recommends"));
  t.match(runInDebian(root, typed("npm run setup")), {
    status: 1,
    stderr: /this is v18\.\S+ To fix: npm install -g node@20 /,
  });
  t.match(done(typed(node)), /^v2\d\./m);
  done(typed(fromInternet));
  t.match(done("/usr/lib/cni/bridge 2>&1 < /dev/null | head -1"), "+twill.");

  t.match(ofPodman, /^podman network create web\npodman run .*\ncurl .*\n$/, "sees podman's commands");
  const container = `${image("/root/busybox")}
    cd /root/twill\n${ofPodman}
    echo
    cnitool list web --json | tr -d '\\n' && echo
    ip -br link show type bridge`;
  const [network, id = "", answer, attachments = "", bridge] = done(container, "its own").split("\n");
  t.match(
    { network, answer, bridge, attachments: JSON.parse(attachments) },
    {
      network: "web",
      answer: id.slice(0, 12),
      bridge: /^cni-podman1 +UP/,
      attachments: [{ containerId: id, network: "web", namespace: "alive" }],
    },
  );
  t.match(id, /^[0-9a-f]{64}$/);

  done("twill uninstall");
  t.equal(done("dpkg --verify containernetworking-plugins"), "", "Debian's plugins are back");
});
