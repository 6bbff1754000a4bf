// A network is found without a look at hundreds of others, and never another one than runtimes use.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { watch } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import t from "tap";
import type { CniError } from "../cni/error.ts";
import { ownNetworkCalled, writeNetwork } from "./network-directory.ts";

function directoryWith(t: Tap, files: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), "twill-networks-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}
type Tap = Pick<typeof t, "teardown">;

const listOf = (name: string) => JSON.stringify({ cniVersion: "1.0.0", name, plugins: [{ type: "loopback" }] });

t.test("the file of a network is parsed, and no other that has not its name", async (t) => {
  const told: string[] = [];
  const directory = directoryWith(t, { "twill-front.conflist": listOf("front"), "twill-other.conflist": "{" });
  t.match(
    ownNetworkCalled("front", directory, (text) => told.push(text)),
    {
      name: "front",
      file: join(directory, "twill-front.conflist"),
    },
  );
  t.strictSame(told, []);
  t.equal(
    ownNetworkCalled("back", directory, (text) => told.push(text)),
    undefined,
  );
  t.equal(
    ownNetworkCalled("front", `${directory}/missing`, (text) => told.push(text)),
    undefined,
  );
});

t.test("who watches the directory for writes alone, as containerd does, sees a new network", async (t) => {
  const directory = directoryWith(t, {});
  const ended = new AbortController();
  t.teardown(() => ended.abort());
  const events = watch(directory, { signal: ended.signal })[Symbol.asyncIterator]();
  const first = events.next(); // from here on it watches
  const file = writeNetwork(directory, "front", { name: "front" });
  writeFileSync(join(directory, "end"), "");
  const written: unknown[] = [];
  for (let { value } = await first; value?.filename !== "end"; { value } = await events.next())
    if (value?.eventType === "change") written.push(value.filename);
  t.ok(written.includes(basename(file)), `written: ${written.join()}`);
  t.match(JSON.parse(readFileSync(file, "utf8")), { name: "front" });
  t.throws(() => writeNetwork(directory, "front", { name: "back" }), { code: 7 } as CniError);
  t.match(JSON.parse(readFileSync(file, "utf8")), { name: "front" });
});

const others: Record<string, Record<string, string>> = {
  "another program's file defines it as well": { "10-net.conflist": listOf("front") },
  "a file of one plugin does": { "10-net.conf": '{"cniVersion": "1.0.0", "name": "front", "type": "loopback"}' },
  "it may, in escapes": { "10-net.conflist": listOf("front").replace("front", "\\u0066ront") },
  "the file has another network": { "twill-front.conflist": listOf("moved") },
  "the file is damaged": { "twill-front.conflist": "{" },
};
for (const [why, files] of Object.entries(others))
  t.test(`all files have to be looked at: ${why}`, async (t) => {
    const directory = directoryWith(t, { "twill-front.conflist": listOf("front"), ...files });
    t.equal(
      ownNetworkCalled("front", directory, () => {}),
      undefined,
    );
  });

t.test(
  "other programs' files with other networks are in nobody's way, and twill network's own are not read",
  async (t) => {
    const files = {
      "twill-front.conflist": listOf("front"),
      "10-net.conflist": listOf("net"),
      "front.txt": '"front"',
      "twill-a.conflist": listOf("front"),
    };
    t.match(
      ownNetworkCalled("front", directoryWith(t, files), () => {}),
      { name: "front" },
    );
  },
);
