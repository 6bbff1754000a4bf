// docs/runtimes: each page has the same headings, and its commands work.
//
//   ```sh node        is run on a node that has the runtime's files by which `twill install` finds it, and Debian's Go plugins
//   ```sh podman      is run on one with a real podman, all of the page in their order
//   ```sh rootless    the same for a user without rights
//   ```sh containerd  the same with a real containerd
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { inLongRunOnly, needsRoot } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";
import { newRoot } from "../lab/throw-away-root.ts";
import { newContainerd } from "./containerd.ts";
import { IMAGE } from "./node.ts";
import { cgroup, newPodman, newRootlessPodman } from "./podman.ts";

interface Page {
  name: string;
  text: string;
}

const folder = "docs/runtimes";
const pages: Page[] = readdirSync(join(projectRoot, folder)).map((file) => ({
  name: file.replace(".md", ""),
  text: readFileSync(join(projectRoot, folder, file), "utf8"),
}));

/** The commands of a page that stand in fences of this use, as one script. */
const scriptOf = ({ text }: Page, use: string): string =>
  Array.from(text.matchAll(/^```sh ([^\n]*)\n(.*?)^```$/gms), ([, is, code = ""]) => (is === use ? code : "")).join("");

const pageOf = (name: string): Page => pages.find((page) => page.name === name) ?? { name, text: "" };

const headings = [
  "Directory",
  "Install, and back",
  "A first container",
  "Verbs that it calls",
  "Host ports",
  "After a firewall reload",
  "Upgrades",
  "Limits",
];

/** What `twill install` finds each runtime by. */
const found: Readonly<Record<string, string>> = {
  podman: "install /dev/null /usr/local/bin/podman",
  "containerd-and-kubernetes": "install /dev/null /usr/local/bin/containerd",
  k3s: "install /dev/null /usr/local/bin/k3s && mkdir -p /var/lib/rancher/k3s/data/cni",
  nerdctl: "install /dev/null /usr/local/bin/nerdctl",
  "cri-o": "mkdir -p /etc/crio && echo '[crio.network]' > /etc/crio/crio.conf",
  multus: "install /dev/null /usr/local/bin/containerd",
  nomad: `mkdir -p /etc/nomad.d && echo 'cni_path = "/usr/lib/cni"' > /etc/nomad.d/client.hcl && install /dev/null /usr/local/bin/nomad`,
  docker: "install /dev/null /usr/local/bin/dockerd",
};

/** On a node with a real runtime, whose plugins are in /opt/cni/bin. */
const installed = "dist/bin/twill install --plugin-dir /opt/cni/bin && export CNI_PATH=/opt/cni/bin";

t.test("every page has the same headings, and no command that nobody runs", async (t) => {
  t.strictSame(pages.map(({ name }) => name).sort(), Object.keys(found).sort());
  for (const { name, text } of pages) {
    const own = Array.from(text.matchAll(/^## (.*)$/gm), ([, heading]) => heading);
    t.strictSame(own, headings, name);
    for (const [, use = ""] of text.matchAll(/^```sh ?([^\n]*)\n/gm))
      t.match(use, /^(node|podman|rootless|containerd)$/, name);
  }
});

for (const page of pages)
  t.test(`${page.name}: the page's commands work on a node with this runtime`, needsRoot, async (t) => {
    const root = await newRoot(t);
    root.sh(`mkdir -p /etc/cni/net.d && cp conf/10-podnet.conflist /etc/cni/net.d && ${found[page.name]}`);
    const before = root.files();
    const script = scriptOf(page, "node");
    t.match(script, "twill install", "sees the commands");
    t.match(page.text, "`twill uninstall`");
    const { status, stderr } = root.run(`${script}\ntwill uninstall`);
    t.match({ status, stderr }, { status: 0 });
    t.equal(root.files().replaceAll(/^.*\/twill\/log.*\n/gm, ""), before.replaceAll(/^.*\/twill\/log.*\n/gm, ""));
  });

t.test("podman: the page's commands work with podman", inLongRunOnly(needsRoot), async (t) => {
  const { done } = await newPodman(t);
  const script = scriptOf(pageOf("podman"), "podman").replaceAll("podman run ", `podman run ${cgroup} `);
  t.match(script, "podman run", "sees the commands");
  await done(`${installed} && podman import ${IMAGE}.tar localhost/busybox && ${script}`);
  const inSentences = Array.from(
    pageOf("podman").text.matchAll(/`(podman (?!unshare)[a-z ]+ --[^`\n]+)`/g),
    ([, command = ""]) => command,
  );
  t.match(inSentences.join("\n"), /^podman info --format .*\npodman network reload --all$/m, "sees them");
  for (const command of inSentences) await done(command);
  t.pass("no command failed");
});

t.test("podman: the page's commands for users without rights work", inLongRunOnly(needsRoot), async (t) => {
  const { done, type } = await newRootlessPodman(t, "go");
  const script = scriptOf(pageOf("podman"), "rootless");
  t.match(script, "podman unshare", "sees the commands");
  await done(installed);
  t.match(await type(`podman import -q ${IMAGE}.tar localhost/busybox\n${script}`), { status: 0 });
});

t.test("containerd: the page's commands work with containerd", inLongRunOnly(needsRoot), async (t) => {
  const { done, start } = await newContainerd(t);
  await start("a", 8080);
  const script = scriptOf(pageOf("containerd-and-kubernetes"), "containerd");
  t.match(script, "twill gc", "sees the commands");
  await done(`${installed} && ${script}`);
  t.pass("no command failed");
});
