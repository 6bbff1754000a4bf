// The built host-local on its own and mixed with Go's in one directory. It touches files only, so no namespaces are needed.
import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { needsRoot } from "./lab/needs.ts";
import { goBin, ourBin, projectRoot } from "./lab/project.ts";

type Verb = "ADD" | "CHECK" | "DEL" | "GC" | "STATUS";

interface Call {
  bin?: string;
  ifName?: string;
  args?: string;
  /** Keys laid over the configuration. */
  keys?: object;
  /** Keys laid over `ipam`. */
  ipam?: object;
  /** Program and arguments to run the plugin under. */
  under?: string[];
}

interface Answer {
  status: number | null;
  /** "10.1.0.2/24 fd00::2/64", or the error's message. */
  text: string;
  code: number | undefined;
  details: string;
  stderr: string;
}

/** A data directory and a network in it. */
class Network {
  readonly dataDir: string;
  readonly #ipam: object;

  constructor(t: Test, ipam: object = { subnet: "10.1.0.0/24" }) {
    this.dataDir = mkdtempSync(join(tmpdir(), "twill-host-local-"));
    this.#ipam = ipam;
    t.teardown(() => {
      spawnSync("umount", ["--quiet", "--lazy", this.dataDir]);
      rmSync(this.dataDir, { recursive: true, force: true });
    });
  }

  get directory(): string {
    return join(this.dataDir, "net");
  }

  get owners(): string {
    return join(this.dataDir, ".twill/net/owners");
  }

  /** On a file system of its own, which goes with the network. */
  mount(options: string): void {
    run("mount", "-t", "tmpfs", "-o", options, "twill-test", this.dataDir);
  }

  remount(options: string): void {
    run("mount", "-o", `remount,${options}`, this.dataDir);
  }

  call(verb: Verb, id: string, call: Call = {}): Answer {
    const { command, args, options } = this.#process(verb, id, call);
    return answer(spawnSync(command, args, { ...options, input: this.#stdin(call), timeout: 60_000 }));
  }

  callAtOnce(verb: Verb, id: string, call: Call = {}): Promise<Answer> {
    const { command, args, options } = this.#process(verb, id, call);
    const child = spawn(command, args, { env: options.env });
    const texts = { stdout: "", stderr: "" };
    child.stdout.on("data", (chunk) => {
      texts.stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      texts.stderr += chunk;
    });
    child.stdin.end(this.#stdin(call));
    return new Promise((resolve) => child.on("close", (status) => resolve(answer({ status, ...texts }))));
  }

  /** Number of system calls, start-up included. */
  cost(verb: Verb, id: string): number {
    const trace = join(this.dataDir, "trace");
    const { status, text } = this.call(verb, id, { under: ["strace", "-f", "-qq", "-o", trace] });
    if (status !== 0) throw new Error(`${verb} ${id}: ${text}`);
    return readFileSync(trace, "utf8").trim().split("\n").length;
  }

  /** Number of system calls and of kilobytes that they read. */
  work(verb: Verb, id: string): number {
    const trace = join(this.dataDir, "trace");
    const valid = { "cni.dev/valid-attachments": [{ containerID: id, ifname: "eth0" }] };
    const prevResult = { cniVersion: "1.1.0", ips: [{ address: "10.1.0.3/24" }] };
    const under = ["strace", "-f", "-qq", "-s", "0", "-o", trace];
    const { status, text } = this.call(verb, id, { under, keys: { ...valid, prevResult } });
    if (status !== 0) throw new Error(`${verb} ${id}: ${text}`);
    const calls = readFileSync(trace, "utf8").trim().split("\n");
    const read = calls.map((line) => Number(/ (?:read|pread64)\(.* = (\d+)$/.exec(line)?.[1] ?? 0));
    return calls.length + read.reduce((sum, count) => sum + count, 0) / 1000;
  }

  reserved(): string[] {
    if (!existsSync(this.directory)) return [];
    return readdirSync(this.directory)
      .filter((name) => /^[0-9a-f.:]+$/.test(name))
      .sort();
  }

  read(name: string): string {
    return readFileSync(join(this.directory, name), "utf8");
  }

  write(name: string, content: string): void {
    mkdirSync(this.directory, { recursive: true });
    writeFileSync(join(this.directory, name), content);
  }

  /** `count` reservations of another plugin, from 10.1.0.2 on. */
  fill(count: number): void {
    const name = (i: number) => `10.1.${(i + 2) >> 8}.${(i + 2) & 255}`;
    for (let i = 0; i < count; i++) this.write(name(i), `filler-${i}\r\neth0`);
    this.write("last_reserved_ip.0", name(count - 1));
  }

  /** As if all that is recorded had been recorded before the machine was started. */
  reboot(): void {
    for (const file of ["../note", ...readdirSync(this.owners)].map((name) => join(this.owners, name))) {
      const text = readFileSync(file, "utf8");
      writeFileSync(file, text.replaceAll(/"bootId":"[^"]*"/g, '"bootId":"3f1c6f0e-0000-4000-8000-000000000000"'));
    }
  }

  #process(verb: Verb, id: string, { bin = ourBin, ifName = "eth0", args = "", under = [] }: Call) {
    const [command = "", ...rest] = [...under, join(bin, "host-local")];
    const env = {
      CNI_COMMAND: verb,
      ...(verb !== "GC" &&
        verb !== "STATUS" && { CNI_CONTAINERID: id, CNI_IFNAME: ifName, CNI_NETNS: "/run/netns/none" }),
      CNI_PATH: bin,
      CNI_ARGS: args,
      TWILL_CALLS: "off", // the file would be the machine's own
    };
    return { command, args: rest, options: { env, encoding: "utf8", timeout: 120_000 } as const };
  }

  #stdin({ bin, keys, ipam }: Call): string {
    return JSON.stringify({
      cniVersion: bin === goBin ? "1.0.0" : "1.1.0", // Debian's release knows no later one
      name: "net",
      type: "bridge",
      bridge: "br0",
      ...keys,
      ipam: { type: "host-local", dataDir: this.dataDir, ...this.#ipam, ...ipam },
    });
  }
}

const go: Call = { bin: goBin };

t.test(
  "200 ADDs at once, Go's among them: no address twice, and either plugin's DEL frees them",
  needsRoot,
  async (t) => {
    const network = new Network(t);
    const ids = Array.from({ length: 200 }, (_, i) => `c${i}`);
    const binOf = (i: number): Call => (i % 2 ? go : {});
    const added = await Promise.all(ids.map((id, i) => network.callAtOnce("ADD", id, binOf(i))));

    t.strictSame(
      added.filter(({ status }) => status !== 0),
      [],
    );
    t.equal(new Set(added.map(({ text }) => text)).size, 200);
    for (const [i, { text }] of added.entries()) t.equal(network.read(text.replace("/24", "")), `c${i}\r\neth0`);

    const checks = await Promise.all(ids.map((id) => network.callAtOnce("CHECK", id)));
    t.ok(checks.every(({ status }) => status === 0));

    const deleted = await Promise.all(ids.map((id, i) => network.callAtOnce("DEL", id, binOf(i + 1))));
    t.ok(deleted.every(({ status }) => status === 0));
    t.strictSame(network.reserved(), []);
  },
);

t.test("either plugin sees at once what the other does", needsRoot, async (t) => {
  const network = new Network(t, { ranges: [[{ subnet: "10.1.0.0/29" }], [{ subnet: "fd00:1::/64" }]] });
  const steps: { verb: Verb; id: string; call?: Call; text: string | RegExp }[] = [
    { verb: "ADD", id: "a", text: "10.1.0.2/29 fd00:1::2/64" },
    { verb: "ADD", id: "b", call: go, text: "10.1.0.3/29 fd00:1::3/64" },
    { verb: "ADD", id: "c", text: "10.1.0.4/29 fd00:1::4/64" },
    { verb: "ADD", id: "a", call: go, text: /10.1.0.2 has been allocated to a, duplicate allocation is not allowed/ },
    { verb: "ADD", id: "b", text: /10.1.0.3 has been allocated to b, duplicate allocation is not allowed/ },
    { verb: "CHECK", id: "a", call: go, text: "" },
    { verb: "CHECK", id: "b", text: "" },
    { verb: "DEL", id: "b", text: "" },
    { verb: "CHECK", id: "b", call: go, text: /Failed to find address added by container b/ },
    { verb: "DEL", id: "a", call: go, text: "" },
    { verb: "CHECK", id: "a", text: /Failed to find address added by container a/ },
    { verb: "ADD", id: "d", call: { ...go, args: "IP=10.1.0.6" }, text: "10.1.0.6/29 fd00:1::5/64" },
    { verb: "ADD", id: "e", text: "10.1.0.2/29 fd00:1::6/64" },
    { verb: "ADD", id: "f", call: { args: "IP=10.1.0.6" }, text: /requested IP address 10.1.0.6 is not available/ },
    { verb: "ADD", id: "f", call: go, text: "10.1.0.3/29 fd00:1::7/64" },
    { verb: "ADD", id: "g", text: "10.1.0.5/29 fd00:1::8/64" },
    { verb: "ADD", id: "h", call: go, text: /no IP addresses available in range set: 10.1.0.1-10.1.0.6/ },
    { verb: "ADD", id: "h", text: /no IP addresses available in range set: 10.1.0.1-10.1.0.6/ },
    { verb: "DEL", id: "d", text: "" },
    { verb: "ADD", id: "h", call: go, text: "10.1.0.6/29 fd00:1::9/64" },
  ];
  for (const { verb, id, call = {}, text } of steps) {
    t.match(network.call(verb, id, call), { text }, `${call.bin === goBin ? "Go" : "ours"}: ${verb} ${id}`);
  }
  for (const id of ["c", "e", "f", "g", "h"]) t.match(network.call("DEL", id, id < "f" ? go : {}), { status: 0 });
  t.strictSame(network.reserved(), []);
});

t.test("ADD and DEL ask the kernel as much with 60,000 reservations as with 10", needsRoot, async (t) => {
  const [few, many] = [10, 60_000].map((count) => {
    const network = new Network(t, { subnet: "10.1.0.0/16" });
    network.mount("size=600m,nr_inodes=200k,mode=755"); // a disk would take minutes
    network.fill(count);
    network.call("ADD", "first"); // learns a part of what there is
    const costs = {
      add: network.cost("ADD", "c1"),
      del: network.cost("DEL", "c1"),
      addMixed: 0,
      delMixed: 0,
      delGo: 0,
    };
    network.call("ADD", "g1", go);
    costs.addMixed = network.cost("ADD", "c2");
    network.call("ADD", "g2", go);
    costs.delMixed = network.cost("DEL", "c2");
    costs.delGo = network.cost("DEL", "g2");
    costs.delGo += network.cost("DEL", "g1");
    return costs;
  });
  t.comment(JSON.stringify({ few, many }));
  for (const key of ["add", "del", "addMixed", "delMixed", "delGo"] as const) {
    t.ok(Number(many?.[key]) <= Number(few?.[key]) * 1.2, `${key}: ${many?.[key]} system calls, ${few?.[key]} with 10`);
  }
});

t.test(
  "a reservation file of ten times the size costs at most five times the work, since it is not read to its end",
  needsRoot,
  async (t) => {
    const fillings: Record<string, (size: number) => string> = {
      "one line": (size) => "x".repeat(size),
      "lines only": (size) => "\n".repeat(size),
      "many owners": (size) => "c\r\n".repeat(size / 3),
    };
    for (const [what, filling] of Object.entries(fillings)) {
      const [small, large] = [1_000_000, 10_000_000].map((size) => {
        const network = new Network(t);
        network.write("10.1.0.2", filling(size));
        return (["ADD", "CHECK", "STATUS", "GC", "DEL"] as const).map((verb) => network.work(verb, "c1"));
      });
      t.comment(JSON.stringify({ what, small, large }));
      small?.forEach((work, i) => {
        t.ok(Number(large?.[i]) <= 5 * work, `${what}: ${large?.[i]} with 10 MB, ${work} with 1 MB`);
      });
    }
  },
);

t.test("a reboot leaks no address", needsRoot, async (t) => {
  const network = new Network(t, { subnet: "10.1.0.0/29" });
  for (const id of ["a", "b", "c", "d"]) network.call("ADD", id);
  network.call("ADD", "e", go);
  const refused = network.call("ADD", "f");
  t.match(refused, {
    status: 1,
    code: 999,
    text: "failed to allocate for range 0: no IP addresses available in range set: 10.1.0.1-10.1.0.6",
    details: /^5 of 5 addresses are held: 10.1.0.2 by container a \(eth0\), .* To fix: /,
    stderr: "",
  });
  network.reboot();
  t.match(network.call("ADD", "c"), { text: "10.1.0.4/29", stderr: /freed 10.1.0.4 of container c \(eth0\)/ });
  t.match(network.call("ADD", "f"), { status: 0, text: "10.1.0.5/29", stderr: /freed 10.1.0.6 of container e/ });
  t.strictSame(network.reserved(), ["10.1.0.4", "10.1.0.5"]);
  t.match(
    network.call("ADD", "c"),
    { status: 1, text: /10.1.0.4 has been allocated to c/ },
    "in this boot it is refused",
  );
});

t.test(
  "an ADD that was killed anywhere, and its repetition without DEL, leave nothing after DEL",
  needsRoot,
  async (t) => {
    const network = new Network(t, { ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] });
    network.call("ADD", "other");
    const others = network.reserved();
    for (const [call, nth] of systemCalls(network, {})) {
      const inject = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        `trace=${call}`,
        "-e",
        `inject=${call}:signal=KILL:when=${nth}`,
      ];
      network.call("ADD", "c1", { under: inject });
      network.call("ADD", "c1");
      t.equal(network.call("DEL", "c1").status, 0);
      t.strictSame(network.reserved(), others, `killed in ${call} ${nth}`);
    }
  },
);

t.test("what Go's plugin leaves when it is killed does not cost an address", needsRoot, async (t) => {
  const network = new Network(t, { subnet: "10.1.0.0/29" });
  network.call("ADD", "other", go);
  const steps = systemCalls(network, go).filter(([call]) => ["openat", "write", "close", "flock"].includes(call));
  for (const [call, nth] of steps) {
    const inject = [
      "strace",
      "-f",
      "-qq",
      "-o",
      "/dev/null",
      "-e",
      `trace=${call}`,
      "-e",
      `inject=${call}:signal=KILL:when=${nth}`,
    ];
    network.call("ADD", "c1", { ...go, under: inject });
    t.equal(network.call("DEL", "c1").status, 0);
  }
  const left = network.reserved();
  t.ok(left.length > 1, `empty files are left, as we know it: ${left}`);
  const given = ["a", "b", "c", "d"].map((id) => network.call("ADD", id).text);
  t.strictSame(
    given.filter((text) => !/^10.1.0.[2-6]\/29$/.test(text)),
    [],
    "but they count as free",
  );
});

/** What may lie where a reservation is expected, as a shell makes it in the network's directory under the name `$0`. */
const notReservations = [
  { what: "an encoded lone surrogate", make: "printf '\\355\\240\\200\\r\\neth0' > $0" },
  { what: "an overlong form", make: "printf '\\300\\257\\r\\neth0' > $0" },
  { what: "a sequence that is cut off", make: "printf 'abc\\r\\neth\\360\\237\\230' > $0" },
  { what: "above U+10FFFF", make: "printf '\\364\\220\\200\\200\\r\\neth0' > $0" },
  { what: "three lines", make: "printf 'x\\r\\neth0\\r\\ny' > $0" },
  { what: "a directory", make: "mkdir $0" },
  { what: "a FIFO", make: "mkfifo $0" },
  { what: "a symbolic link to itself", make: "ln -s $0 $0" },
  { what: "an endless file", make: "ln -s /dev/zero $0" },
  { what: "a huge file", make: "truncate -s 100M $0; printf x | dd of=$0 conv=notrunc 2>/dev/null" },
];

for (const { what, make } of notReservations) {
  t.test(`${what} in a reservation's place is nobody's: told, passed over, and stays`, needsRoot, async (t) => {
    const network = new Network(t, { subnet: "10.1.0.0/29" });
    network.call("ADD", "old");
    const damage = (name: string) => run("sh", "-c", `cd ${network.directory} && ${make}`, name);
    damage("10.1.0.4");
    damage("10.1.0.5");
    run("sh", "-c", `mkfifo '${network.owners}/%zz:eth0' '${network.owners}/fifo:eth0'`); // nor is this an owner
    const calls = [
      network.call("ADD", "new"),
      network.call("DEL", "unknown"),
      network.call("CHECK", "new"),
      network.call("ADD", "third"),
      network.call("DEL", "new"),
      network.call("GC", "", { keys: { "cni.dev/valid-attachments": [{ containerID: "third", ifname: "eth0" }] } }),
    ];
    t.strictSame(
      calls.map(({ status, text }) => [status, text]),
      [
        [0, "10.1.0.3/29"],
        [0, ""],
        [0, ""],
        [0, "10.1.0.6/29"],
        [0, ""],
        [0, ""],
      ],
    );
    t.strictSame(network.reserved(), ["10.1.0.4", "10.1.0.5", "10.1.0.6"]);
    const warning = /10\.1\.0\.[45] \(and 1 more\) stays reserved: .*10\.1\.0\.[45] is not a reservation; .*rm /g;
    for (const { stderr } of [calls[1], calls[5]] as Answer[]) t.equal(stderr.match(warning)?.length, 1, stderr);
    t.match(network.call("ADD", "asks", { args: "IP=10.1.0.4" }), {
      status: 1,
      code: 999,
      details: /10\.1\.0\.4 is not a reservation.*To fix: request another address; if nothing uses this one: rm /,
    });
    for (const id of ["a", "b"]) t.equal(network.call("ADD", id).status, 0);
    t.match(network.call("ADD", "c"), { status: 1, details: /5 of 5 addresses are held/ }, "full without them");
    run("rm", "-r", join(network.directory, "10.1.0.4"));
    t.match(network.call("ADD", "c"), { status: 0, text: "10.1.0.4/29" }, "what the warning says, done");
  });
}

t.test("a warning that cannot be written fails no call", needsRoot, async (t) => {
  const network = new Network(t);
  t.equal(network.call("ADD", "a").status, 0);
  mkdirSync(join(network.directory, "10.1.0.9"));
  t.match(network.call("DEL", "unknown"), { status: 0, stderr: /10\.1\.0\.9 stays reserved/ }, "one is to be written");
  mkdirSync(join(network.directory, "10.1.0.10")); // looks again, and warns again
  const full = { under: ["sh", "-c", 'exec "$@" 2> /dev/full', "sh"] };
  t.match(network.call("DEL", "unknown", full), { status: 0, text: "" });
  t.strictSame(network.reserved(), ["10.1.0.10", "10.1.0.2", "10.1.0.9"]);
});

t.test("something else in the place of last_reserved_ip costs the order only", needsRoot, async (t) => {
  for (const make of ["mkdir $0", "mkfifo $0", "ln -s $0 $0", "printf '\\355\\240\\200' > $0"]) {
    const network = new Network(t);
    mkdirSync(network.directory, { recursive: true });
    run("sh", "-c", `cd ${network.directory} && ${make}`, "last_reserved_ip.0");
    t.match(network.call("ADD", "a"), { status: 0, text: "10.1.0.2/24" }, make);
    t.match(network.call("ADD", "b"), { status: 0, text: "10.1.0.3/24" }, make);
    t.match(network.call("DEL", "a"), { status: 0 }, make);
    t.strictSame(network.reserved(), ["10.1.0.3"]);
  }
});

t.test("a full disk refuses, leaves nothing, and is forgotten when there is space", needsRoot, async (t) => {
  const network = new Network(t);
  network.mount("size=64k,mode=755");
  network.call("ADD", "a");
  const files = network.reserved();
  const filler = join(network.dataDir, "filler");
  spawnSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=4k"], { stdio: "ignore" });
  t.match(network.call("ADD", "b"), { status: 1, code: 5, text: /ENOSPC/, details: /To fix: free space/ });
  t.strictSame(network.reserved(), files);
  t.match(network.call("CHECK", "a"), { status: 0 });
  t.match(network.call("DEL", "a"), { status: 0 }, "frees even so");
  rmSync(filler);
  t.match(network.call("ADD", "b"), { status: 0, text: "10.1.0.3/24" });
});

t.test(
  "with room for some files an ADD works, without its index if need be, or leaves nothing",
  needsRoot,
  async (t) => {
    const outcomes: (number | null)[] = [];
    for (let room = 0; room < 12; room++) {
      const network = new Network(t);
      network.mount("nr_inodes=64,mode=755");
      const freeInodes = () => Number(run("stat", "-f", "-c", "%d", network.dataDir));
      for (let i = 0; freeInodes() > room; i++) writeFileSync(join(network.dataDir, `filler${i}`), "");
      const { status, text, code } = network.call("ADD", "a");
      outcomes.push(status);
      t.match({ text, code }, status === 0 ? { text: "10.1.0.2/24" } : { text: /ENOSPC/, code: 5 }, `${room} files`);
      t.strictSame(network.reserved(), status === 0 ? ["10.1.0.2"] : []);
      if (status === 0) t.match(network.call("ADD", "a"), { text: /10.1.0.2 has been allocated to a/ });
      t.equal(network.call("DEL", "a").status, 0);
      t.strictSame(network.reserved(), []);
    }
    t.ok(outcomes.includes(0) && outcomes.includes(1), `sees both: ${outcomes}`);
  },
);

t.test("a read-only data directory is said to be that", needsRoot, async (t) => {
  const network = new Network(t);
  network.mount("size=1m,mode=755");
  network.call("ADD", "a");
  network.remount("ro");
  t.match(network.call("ADD", "b"), { status: 1, code: 5, text: /EROFS/, details: /read-only: mount it writable/ });
  t.match(network.call("DEL", "a"), { status: 1, code: 5, text: /EROFS/ }, "Go's says that it is done, and it is not");
  t.match(network.call("STATUS", ""), { status: 1, code: 50, text: /no address of network "net" can be reserved/ });
  network.remount("rw");
  t.match(network.call("DEL", "a"), { status: 0 });
  t.strictSame(network.reserved(), []);
});

t.test("GC and STATUS", needsRoot, async (t) => {
  const network = new Network(t, { subnet: "10.1.0.0/29" });
  t.match(network.call("STATUS", ""), { status: 0, text: "" });
  t.notOk(existsSync(network.directory), "asking makes nothing");
  for (const id of ["a", "b", "c", "d"]) network.call("ADD", id, id < "c" ? {} : go);
  network.write("10.1.0.6", "old-format");
  const exhausted = "no IP addresses available in range set: 10.1.0.1-10.1.0.6";
  const { status, text, stderr } = network.call("STATUS", "");
  t.match({ status, text }, { status: 0, text: "" }, "healthy containers hold them");
  t.match(stderr, `STATUS: ADD fails until an address is free: ${exhausted}; 5 of 5 addresses are held`);
  t.match(network.call("STATUS", "", { ipam: { failStatusWhenFull: true } }), {
    status: 1,
    code: 50,
    text: exhausted,
    details: /5 of 5 addresses are held/,
  });

  const alive = [
    { containerID: "b", ifname: "eth0" },
    { containerID: "c", ifname: "eth1" },
    { containerID: "old-format", ifname: "eth7" },
  ];
  t.match(network.call("GC", "", { keys: { "cni.dev/valid-attachments": alive } }), { status: 0, text: "" });
  t.strictSame(network.reserved(), ["10.1.0.3", "10.1.0.6"]);
  t.match(network.call("STATUS", ""), { status: 0, stderr: "" });
  t.match(
    network.call("GC", "", {}),
    { status: 0, stderr: /removes nothing/ },
    "without a list nothing is taken for gone",
  );
  t.strictSame(network.reserved(), ["10.1.0.3", "10.1.0.6"]);
  t.match(network.call("GC", "", { keys: { "cni.dev/valid-attachments": [] } }), { status: 0 });
  t.strictSame(network.reserved(), []);
  t.strictSame(readdirSync(network.owners), []);
});

t.test("STATUS fails where no reservation can be written, before and after the first", needsRoot, async (t) => {
  const network = new Network(t);
  network.mount("size=64k,mode=755");
  const files = () => readdirSync(network.dataDir, { recursive: true }).sort();
  const fill = () => spawnSync("dd", ["if=/dev/zero", `of=${network.dataDir}/filler`, "bs=4k"], { stdio: "ignore" });
  const refuses = (claim: string, why: RegExp) => {
    const before = files();
    t.match(
      network.call("STATUS", ""),
      { status: 1, code: 50, text: why, details: /its file system is not full/ },
      claim,
    );
    t.strictSame(files(), before, `${claim}: asking makes nothing`);
  };
  network.remount("ro");
  refuses("read-only, no directory", /no address of network "net" can be reserved: .*EROFS/);
  network.remount("rw");
  fill();
  refuses("full, no directory", /ENOSPC/);
  t.match(network.call("ADD", "a"), { status: 1, code: 5, text: /ENOSPC/ });
  rmSync(`${network.dataDir}/filler`);
  t.match(network.call("STATUS", ""), { status: 0, stderr: "" });
  t.match(network.call("ADD", "a"), { status: 0 });
  fill();
  refuses("full, with a reservation", /ENOSPC/);
  t.match(network.call("ADD", "b"), { status: 1, code: 5, text: /ENOSPC/ });
});

t.test("STATUS and GC work where the runtime gives the ranges with each call", needsRoot, async (t) => {
  const network = new Network(t, {});
  const keys = { capabilities: { ipRanges: true } };
  const attached = { keys: { ...keys, runtimeConfig: { ipRanges: [[{ subnet: "10.7.0.0/24" }]] } } };
  t.match(network.call("ADD", "a", attached), { status: 0, text: "10.7.0.2/24" });
  t.match(network.call("STATUS", "", { keys }), { status: 0, text: "", stderr: "" });
  t.match(network.call("GC", "", { keys: { ...keys, "cni.dev/valid-attachments": [] } }), { status: 0, text: "" });
  t.strictSame(network.reserved(), []);
  t.match(network.call("STATUS", ""), { status: 1, code: 7, text: "no IP ranges specified" });
  t.match(network.call("ADD", "a", { keys }), { status: 1, code: 7, text: "no IP ranges specified" });
});

t.test("it is silent about other plugins' keys, and helps with its own", needsRoot, async (t) => {
  const network = new Network(t);
  t.equal(network.call("ADD", "a").stderr, "");
  t.match(
    network.call("ADD", "b", { ipam: { rangestart: "10.1.0.9" } }),
    { text: "10.1.0.9/24", stderr: "" },
    "any case",
  );
  t.match(network.call("ADD", "c", { ipam: { rangeStrat: "10.1.0.90" } }), { status: 0, stderr: /rangeStart/ });
  t.match(network.call("ADD", "d", { ipam: { subnet: 7 } }), { status: 1, code: 7, text: /ipam.*subnet/ });
  t.match(network.call("ADD", "d", { ipam: { routes: [{ dst: "nowhere" }] } }), { status: 1, code: 7, text: /routes/ });
});

t.test("a directory's time of modification is near the present", needsRoot, async (t) => {
  const network = new Network(t);
  network.call("ADD", "a");
  const ageMs = Date.now() - statSync(network.directory).mtimeMs;
  t.ok(ageMs > -1 && ageMs < 60_000, `${ageMs} ms`);
  utimesSync(network.directory, new Date(0), new Date(0)); // as a backup program may do
  t.match(network.call("DEL", "a"), { status: 0 });
  t.strictSame(network.reserved(), []);
});

t.test("the page's example works as it stands", needsRoot, async (t) => {
  const network = new Network(t);
  const [, script = ""] =
    readFileSync(join(projectRoot, "docs/plugins/host-local.md"), "utf8").match(/```sh\n(.*?)```/s) ?? [];
  const own = script.replaceAll("/tmp/demo", join(network.dataDir, "demo"));
  const { status, stdout, stderr } = spawnSync("sh", ["-ec", own], {
    cwd: projectRoot,
    encoding: "utf8",
    env: { ...process.env, TWILL_CALLS: "off" },
  });
  t.match({ status, stderr }, { status: 0, stderr: "" });
  t.match(JSON.parse(stdout), { ips: [{ address: "10.1.0.2/24", gateway: "10.1.0.1" }] });
});

/** Names of the system calls of an ADD with their number among those of that name. */
function systemCalls(network: Network, call: Call): [name: string, nth: number][] {
  const trace = join(network.dataDir, "trace");
  network.call("ADD", "probe", { ...call, under: ["strace", "-f", "-qq", "-o", trace] });
  network.call("DEL", "probe", call);
  const counts = new Map<string, number>();
  const calls = [...readFileSync(trace, "utf8").matchAll(/^\d+ +(\w+)\(/gm)].map(([, name = ""]): [string, number] => {
    counts.set(name, (counts.get(name) ?? 0) + 1);
    return [name, counts.get(name) ?? 0];
  });
  rmSync(trace);
  return calls.filter(([name]) => name !== "execve");
}

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
  return stdout;
}

interface Printed {
  ips?: { address: string }[];
  code?: number;
  msg?: string;
  details?: string;
}

function answer({ status, stdout, stderr }: { status: number | null; stdout: string; stderr: string }): Answer {
  const printed: Printed = stdout === "" ? {} : JSON.parse(stdout);
  const text = printed.msg ?? (printed.ips ?? []).map(({ address }) => address).join(" ");
  return { status, text, code: printed.code, details: printed.details ?? "", stderr };
}
