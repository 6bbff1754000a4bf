// The pages: their examples work, what they name and point at is there. Fences say what is done with them:
//
//   ```json           is JSON; a network is validated        ```json run   is added, checked and deleted too, on a kernel
//                                                                          that has the features named behind `run`, after
//                                                                          the commands behind a `:` were run on the host
//   ```json log       has a document on each line            ```sh run     is run, all of a page in one shell
//   ```sh one         is run on a host of its own (e2e/tutorials)
//   ```sh fresh       is run on a Debian that was just installed (e2e/setup/readme.test.ts)
//   ```sh node        is run on a node with the page's runtime (e2e/runtimes/pages.test.ts)
//   ```ts cmd/x.ts    stands in that file word for word, as does ```nft pkg/x.nft
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import t from "tap";
import { add, check, del, gc, status } from "../cmd/cnitool/attach.ts";
import { list } from "../cmd/cnitool/list.ts";
import { validate } from "../cmd/cnitool/validate.ts";
import { version } from "../cmd/cnitool/version.ts";
import type { Validate } from "../pkg/cni/plugin.ts";
import { readCommandLine, refuseWrongCount } from "../pkg/command-line/command-line.ts";
import { type JsonSchema, netconfProperties } from "../pkg/config/schema.ts";
import { newHost } from "./lab/host.ts";
import { type Feature, needsKernel, needsRoot } from "./lab/needs.ts";
import "./lab/search-path.ts";
import { ourBin, ourTools, projectRoot } from "./lab/project.ts";

interface Block {
  /** "docs/networks.md:12" */
  place: string;
  language: string;
  /** Behind the language. */
  use: string;
  text: string;
}

interface Page {
  path: string;
  text: string;
  blocks: Block[];
}

const read = (path: string): string => readFileSync(join(projectRoot, path), "utf8");

const filesBelow = (folder: string, ending: RegExp): string[] =>
  readdirSync(join(projectRoot, folder), { recursive: folder !== ".", encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => ending.test(path));

const pages: Page[] = [".", "docs", "cmd", "pkg", "bench"].flatMap((folder) => filesBelow(folder, /\.md$/)).map(pageAt);
const blocks = pages.flatMap((page) => page.blocks);
const sources = ["cmd", "pkg", "native", "dev", "e2e"].flatMap((folder) => filesBelow(folder, /\.(ts|mjs|c|h)$/));
const code = (files: readonly string[]): string => files.map(read).join("\n");
const program = code([...sources, "build.mjs"]);

function pageAt(path: string): Page {
  const text = read(path);
  const fences = [...text.matchAll(/^```(\w*) ?([^\n]*)\n(.*?)^```$/gms)];
  return {
    path,
    text,
    blocks: fences.map(({ index, 1: language = "", 2: use = "", 3: code = "" }) => {
      const line = text.slice(0, index).split("\n").length;
      return { place: `${path}:${line}`, language, use, text: code };
    }),
  };
}

/** Pages without what stands in fences. */
const prose = ({ text }: Page): string => text.replaceAll(/^```.*?^```$/gms, "");

t.ok(pages.length >= 10 && blocks.length >= 20, `sees the pages: ${pages.length}, with ${blocks.length} fences`);

const isRun = ({ language, use }: Block): boolean => language === "sh" && use === "run";

/** Folders that the commands may fill; all of it is gone with the shell, a resolver for want of containers. The working directory stays what it was. */
const privateMachine = `
mount --make-rprivate /
for folder in /run /opt /var/lib /usr/local/bin; do mount -t tmpfs none $folder; done
for folder in /usr/lib/cni /usr/libexec/cni /usr/local/lib/cni /usr/local/libexec/cni; do
  [ ! -d $folder ] || mount -t tmpfs none $folder
done
cp -a /etc /run/etc && rm -rf /run/etc/cni && mount --bind /run/etc /etc
ip link set lo up
trap 'ip -all netns delete' EXIT
trap 'exit 1' INT TERM
`;

t.test("JSON is JSON, and networks are right", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), `twill-${process.pid}-docs-`));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const json = blocks.filter(({ language }) => language === "json");
  let networks = 0;
  for (const { place, use, text } of json) {
    const documents = use === "log" ? text.trim().split("\n") : [text];
    const [value] = documents.map((document) => JSON.parse(document));
    if (use === "log" || !("plugins" in value || "type" in value)) continue;
    networks++;
    const file = join(folder, `${networks}.${"plugins" in value ? "conflist" : "conf"}`);
    writeFileSync(file, text);
    const { status, stdout, stderr } = spawnSync(join(ourTools, "cnitool"), ["validate", "--strict", file], {
      encoding: "utf8",
      env: { CNI_PATH: ourBin, NETCONFPATH: join(folder, "none") },
    });
    t.equal(status, 0, `${place}: ${stdout}${stderr}`);
  }
  t.ok(networks >= 2, `sees the networks: ${networks}`);
});

const marked = blocks.filter(({ language, use }) => language === "json" && /^run\b/.test(use));
t.ok(marked.length >= 2, `sees the networks that are marked: ${marked.length}`);
/** The resolver that dnsname starts is the node's own. */
const ownRun = 'mkdir -p /run/twill /var/lib/run && mount --bind /var/lib/run /run/twill && exec "$0" "$@"';

for (const { place, use, text } of marked) {
  const [words = "", commands = ""] = use.split(/: (.*)/);
  const features = words.split(" ").slice(1) as Feature[];
  t.test(`${place}: can be added, checked and deleted`, needsKernel(...features), async (t) => {
    const node = newHost(t);
    node.sh(commands);
    node.write("/var/lib/net.d/example.conflist", text);
    const { name } = JSON.parse(text) as { name: string };
    for (const verb of ["validate", "add", "check", "del"]) {
      const operands = verb === "validate" ? [name] : [name, node.containers[0]?.path ?? ""];
      const environment = { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d" };
      t.match(
        node.runInside(["sh", "-c", ownRun, join(ourTools, "cnitool"), verb, ...operands], environment),
        { status: 0, stderr: "" },
        verb,
      );
    }
  });
}

t.test("shell commands that are marked work, in their order", needsRoot, async (t) => {
  const marked = pages.filter((page) => page.blocks.some(isRun));
  t.ok(marked.length >= 1, "sees them");
  for (const page of marked) {
    const script = [privateMachine, ...page.blocks.filter(isRun).map(({ text }) => text)].join("\n");
    const { status, stdout, stderr } = spawnSync("unshare", ["--net", "--mount", "sh", "-eux"], {
      input: script,
      cwd: projectRoot,
      encoding: "utf8",
      timeout: 300_000,
    });
    t.equal(status, 0, `${page.path}: ${stdout}${stderr}`);
  }
});

t.test("code on a page is the code in the file", async (t) => {
  const excerpts = blocks.filter(({ language, use }) => language === "nft" || (language === "ts" && use !== ""));
  t.ok(excerpts.length >= 5, "sees them");
  for (const { place, use, text } of excerpts) t.ok(read(use).includes(text), `${place}: in ${use}`);
});

t.test("links lead somewhere", async (t) => {
  const slug = (heading: string) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, "")
      .replaceAll(" ", "-");
  const headings = (path: string) =>
    prose(pageAt(path))
      .split("\n")
      .flatMap((line) => /^#+ (.*)/.exec(line)?.[1]?.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1") ?? [])
      .map(slug);
  for (const page of pages) {
    for (const [, link = ""] of prose(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link)) continue;
      const [file = "", anchor] = link.split("#");
      const path = file === "" ? page.path : join(dirname(page.path), file);
      if (!t.ok(existsSync(join(projectRoot, path)), `${page.path}: ${link}`) || anchor === undefined) continue;
      t.ok(headings(path).includes(anchor), `${page.path}: ${link}`);
    }
  }
});

t.test("files, functions, commands and switches that a page names exist", async (t) => {
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  for (const page of pages) {
    for (const [, name = ""] of prose(page).matchAll(/`([^`\n]+)`/g)) {
      const path = /^(cmd|pkg|native|dev|e2e|conf|docs|bench)\/[\w./-]+$/.test(name);
      if (path && !name.includes("NAME")) t.ok(existsSync(join(projectRoot, name)), `${page.path}: ${name}`);
      if (/^docs\/(architecture|adding)/.test(page.path) && /^[a-z]+[A-Z]\w*$/.test(name))
        t.ok(new RegExp(`\\b${name}\\b`).test(program), `${page.path}: ${name}`);
    }
    for (const [, script = ""] of page.text.matchAll(/npm run ([\w:]+)/g))
      t.ok(script in scripts, `${page.path}: npm run ${script}`);
  }
  const operations = read("docs/operations.md");
  const shipped = sources.filter((path) => /^(cmd|pkg|native)\//.test(path) && !/\.(test|testing)\.ts$/.test(path));
  const switches = new Set(code(shipped).match(/\bTWILL_(?!VERSION)[A-Z_]+\b/g));
  t.ok(switches.size >= 3, "sees the switches");
  for (const name of switches) t.match(operations, name, `docs/operations.md has ${name}`);
});

t.test("texts of errors that the troubleshooting page quotes are what programs say", async (t) => {
  const page = read("docs/troubleshooting.md");
  const tables = page.split(/^\| text \|.*\n/m).slice(1);
  const texts = tables.flatMap((table) => [...(table.split("\n\n")[0]?.matchAll(/^\| `([^`]+)` \|/gm) ?? [])]);
  t.ok(texts.length >= 20, `sees them: ${texts.length}`);
  const files = sources.map(read);
  for (const [, text = ""] of texts) {
    const parts = text
      .split("…")
      .map((part) => part.trim())
      .filter((part) => part.length > 2);
    t.ok(
      files.some((file) => parts.every((part) => file.includes(part))),
      text,
    );
  }
});

t.test("each command of cnitool on a page has flags and arguments that it takes", async (t) => {
  const commands = [add, check, del, gc, status, list, validate, version];
  const text = pages.map((page) => page.text).join("\n");
  const lines = Array.from(
    text.matchAll(/(?<=^|[`(\s])cnitool ((?:add|check|del|gc|status|list|validate|version)\b[^`\n#|&;>]*)/g),
    ([, line = ""]) => line.trim(),
  );
  const whole = [...new Set(lines)].filter((line) => !/[…[<"]|\s{2}/.test(line) && line.includes(" "));
  t.ok(whole.length >= 10, `sees the commands: ${whole.length}`);
  for (const line of whole) {
    t.doesNotThrow(() => {
      const { command, operands } = readCommandLine(line.split(" "), { name: "cnitool", commands });
      if (command !== undefined) refuseWrongCount(command, operands, "cnitool");
    }, `cnitool ${line}`);
  }
});

/** Commands of a page: what stands alone between backquotes, in fences of shells, or in lines that are set in. Comments are left out. */
const commandLines = ({ text, blocks }: Page): string[] => [
  ...Array.from(prose({ text } as Page).matchAll(/`([^`\n]+)`/g), ([, inline = ""]) => inline),
  ...Array.from(prose({ text } as Page).matchAll(/^ {4}(\S.*)$/gm), ([, line = ""]) => line),
  ...blocks.filter(({ language }) => language === "sh").flatMap(({ text }) => text.split("\n")),
];

/** Words of a shell up to the end of the command, without those that stand for others. */
function wordsOf(command: string): string[] {
  const words = command.match(/'[^']*'|"[^"]*"|[|;&>#)]|[^\s;|&>)]+/g) ?? [];
  const end = words.findIndex((word) => /^[|;&>#)…]/.test(word));
  return words.slice(0, end < 0 ? words.length : end).map((word) => word.replaceAll(/^['"]|['"]$/g, ""));
}

t.test("each command of twill on a page is one that twill has, with flags that it takes", needsRoot, async (t) => {
  const twill = join(ourTools, "twill");
  const ofItself = new Set(["--help", "--plugins", "--tools", "--version", "help", "cnitool"]);
  const asks = pages.flatMap((page) =>
    commandLines(page).flatMap((line) =>
      Array.from(line.matchAll(/(?:^|[;&|(] *|sudo |=\S* )(?:[\w./]*bin\/)?twill ([^…]+)/g), ([, rest = ""]) => ({
        path: page.path,
        words: wordsOf(rest),
      })),
    ),
  );
  const lines = new Map(asks.map(({ path, words }) => [words.join(" "), { path, words }]));
  t.ok(lines.size >= 60, `sees them: ${lines.size}`);
  for (const [line, { path, words }] of lines) {
    const [name = "", second = ""] = words;
    if (ofItself.has(name)) continue;
    const names = (name === "network" || name === "ipam") && /^[a-z]/.test(second) ? 2 : 1;
    const asked = [...words.slice(0, names), "--help", ...words.slice(names)]; // flags are read, nothing is done
    const { status, stdout, stderr } = spawnSync(twill, asked, { encoding: "utf8" });
    if (words.at(-1)?.startsWith("-") && /^twill: flag needs an argument: /.test(stderr)) continue; // it is named, no more
    t.match({ status, stderr }, { status: 0, stderr: "" }, `${path}: twill ${line}`);
    t.match(stdout, new RegExp(`^(Usage: )?twill ${name}\\b`), `${path}: twill ${line}`);
  }
});

t.test("every plugin has a page with a picture, an example, its keys and its differences", needsRoot, async (t) => {
  let plugins = 0;
  for (const file of readdirSync(join(projectRoot, "dist/validate")).filter((name) => /^[^_].*\.js$/.test(name))) {
    const { validate } = (await import(`../dist/validate/${file}`)) as { validate: Validate };
    if (!("prevResult" in (validate.schema().properties ?? {}))) continue; // a tool's
    plugins++;
    const plugin = file.replace(".js", "");
    const page = pages.find(({ path }) => path === `docs/plugins/${plugin}.md`);
    if (page === undefined) {
      t.fail(`docs/plugins/${plugin}.md is missing`);
      continue;
    }
    for (const key of ownKeys(validate.schema())) t.match(page.text, `\`${key}\``, `${page.path}: key ${key}`);
    const isExample = ({ language, text }: Block) => language === "json" && text.includes(`"${plugin}"`);
    t.ok(page.blocks.some(isExample), `${page.path}: example`);
    const isPicture = ({ language, text }: Block) => language === "" && text.length > 80;
    t.ok(page.blocks.some(isPicture), `${page.path}: picture`);
    t.match(page.text, /^## Differences from the Go plugin$/m, page.path);
  }
  t.ok(plugins >= 4, `sees the plugins: ${plugins}`);
});

/** Of the plugin itself, and of what it wants under `ipam`. */
function ownKeys({ properties = {} }: JsonSchema): string[] {
  const { ipam, ...keys } = properties as Record<string, JsonSchema>;
  const own = Object.keys(keys).filter((key) => !(key in netconfProperties));
  return [...own, ...Object.keys(ipam?.properties ?? {}).filter((key) => key !== "type")];
}

t.test("the README's network is the first sample", async (t) => {
  t.ok(read("README.md").includes(read("conf/10-podnet.conflist")));
});
