import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { fakePlugin } from "../cni/fake.testing.ts";
import { isOwnTool, pluginFiles, pluginInfo, versionsOf } from "./plugin-info.ts";

const root = mkdtempSync(join(tmpdir(), "twill-probe-"));
t.teardown(() => rmSync(root, { recursive: true }));
const [first, second] = [join(root, "first"), join(root, "second")];
for (const directory of [first, second, join(first, "folder")]) mkdirSync(directory);

function script(path: string, text: string): { name: string; path: string } {
  writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return { name: path.slice(path.lastIndexOf("/") + 1), path };
}

t.test("plugin files are what can be executed, in the order of the search, the hidden ones marked", async (t) => {
  for (const path of [join(first, "b"), join(first, "a"), join(second, "b"), join(second, "c")]) script(path, "");
  writeFileSync(join(first, "README.md"), "");
  symlinkSync(join(first, "a"), join(second, "link"));
  t.strictSame(pluginFiles([`${first}/`, join(root, "missing"), second]), [
    { name: "a", path: join(first, "a"), hiddenBy: undefined },
    { name: "b", path: join(first, "b"), hiddenBy: undefined },
    { name: "b", path: join(second, "b"), hiddenBy: join(first, "b") },
    { name: "c", path: join(second, "c"), hiddenBy: undefined },
    { name: "link", path: join(second, "link"), hiddenBy: undefined },
  ]);
});

t.test("a foreign plugin is asked by hand, on either stream, without a runtime's variables", async (t) => {
  process.env["CNI_COMMAND"] = "ADD";
  t.teardown(() => delete process.env["CNI_COMMAND"]);
  const polite = script(join(root, "polite"), `echo "CNI polite plugin v1 \${CNI_COMMAND-by hand}" >&2; echo more >&2`);
  t.strictSame(pluginInfo(polite, {}, "1.2.3"), { about: "CNI polite plugin v1 by hand", isOurs: false });
  t.strictSame(pluginInfo(script(join(root, "mute"), "exit 1"), {}, "1.2.3"), { about: "", isOurs: false });
  const copy = script(
    join(root, "copy"),
    'echo "CNI bridge plugin v1.9.1+twill.0.1.0" >&2; echo "About: a bridge" >&2',
  );
  t.strictSame(pluginInfo(copy, {}, "1.2.3"), {
    about: "CNI bridge plugin v1.9.1+twill.0.1.0: a bridge",
    isOurs: true,
  });
});

t.test("a file that cannot be started says nothing about itself, and why when asked for its versions", async (t) => {
  const plain = script(join(root, "plain"), "");
  chmodSync(plain.path, 0o644);
  t.match(pluginInfo(plain, {}, "1.2.3"), { about: "" });
  t.throws(() => versionsOf(plain, {}), {
    code: 999,
    msg: `plugin "plain" cannot be started: execve ${plain.path}: EACCES`,
  });
});

t.test("a plugin of this executable is not started", async (t) => {
  const own = { name: "fake", path: join(root, "fake") };
  const tool = { name: "tool", path: join(root, "tool") };
  for (const { path } of [own, tool]) symlinkSync(process.execPath, path);
  const plugins = { fake: fakePlugin({ versions: ["1.1.0"] }) };
  t.strictSame(pluginInfo(own, plugins, "1.2.3"), {
    about: "CNI fake plugin v1.9.1+twill.1.2.3: does nothing",
    isOurs: true,
  });
  t.strictSame(versionsOf(own, plugins), ["1.1.0"]);
  t.strictSame([isOwnTool(tool, plugins), isOwnTool(own, plugins)], [true, false]);
});
