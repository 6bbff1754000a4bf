import t from "tap";
import { findText, removeFile, writeFile } from "../../sys/file.ts";
import { Network } from "./network.testing.ts";

const large = [[{ subnet: "10.0.0.0/24" }]];

t.test("DEL frees what the attachment has, and nothing else, however often", (t) => {
  const network = new Network(t, { sets: [[{ subnet: "10.0.0.0/29" }], [{ subnet: "fd00::/64" }]] });
  network.add("c1");
  network.add("c1", { ifName: "eth1" });
  network.add("c2");
  for (let times = 0; times < 3; times++) {
    network.del("c1");
    t.equal(network.reserved(), "10.0.0.3 10.0.0.4 fd00::3 fd00::4");
    t.equal(network.recorded(), "c1:eth1 c2:eth0");
  }
  network.del("unknown");
  network.del(" c1 ", { ifName: "eth1" });
  t.equal(network.reserved(), "10.0.0.4 fd00::4");
  t.equal(network.read("last_reserved_ip.0"), "10.0.0.4", "where the search goes on is remembered");
  t.end();
});

t.test("DEL of a network that was never used makes nothing", (t) => {
  const network = new Network(t);
  network.conf = { ...network.conf, network: "other" };
  network.del("c1");
  t.equal(network.check("c1"), false);
  t.equal(network.status(), "ok");
  t.equal(findText(`${network.dataDir}/other/lock`), undefined);
  t.end();
});

t.test("DEL frees files of old releases, which name no interface, when there is no other", (t) => {
  const network = new Network(t);
  network.write("10.0.0.2", "c1");
  network.write("10.0.0.3", "c1\n");
  network.write("10.0.0.4", "c1\r\neth0");
  network.write("10.0.0.5", "c12");
  network.del("c1");
  t.equal(network.reserved(), "10.0.0.2 10.0.0.3 10.0.0.5");
  t.equal(network.check("c1"), true);
  network.del("c1");
  t.equal(network.reserved(), "10.0.0.5");
  t.equal(network.check("c1"), false);
  t.end();
});

t.test("without range sets, DEL finds what another program has reserved since", (t) => {
  const network = new Network(t, { sets: large });
  network.add("c1");
  network.addByOther("c2", "10.0.0.9");
  network.write("10.0.0.200", "c3\r\neth0"); // not looked at by way of last_reserved_ip
  network.conf = { ...network.conf, sets: [] };
  network.del("c3");
  network.del("c2");
  t.equal(network.reserved(), "10.0.0.2");
  t.end();
});

t.test("a reservation that was written again in the old form is still its container's", (t) => {
  const network = new Network(t, { sets: large });
  network.add("c1");
  network.add("c2");
  network.write("10.0.0.2", "c1");
  t.equal(network.check("c1"), true);
  network.del("c1");
  t.equal(network.reserved(), "10.0.0.3");
  t.equal(network.recorded(), "c2:eth0");
  t.end();
});

t.test("DEL finds what another plugin has reserved, also between our calls", (t) => {
  const network = new Network(t, { sets: large });
  network.addByOther("before", "10.0.0.2");
  network.add("ours");
  network.addByOther("g1", "10.0.0.4");
  network.addByOther("g2", "10.0.0.5");
  network.add("c2");
  network.addByOther("far", "10.0.0.99");
  network.addByOther("g3", "10.0.0.100");
  for (let host = 101; host < 130; host++) network.addByOther(`g${host}`, `10.0.0.${host}`);
  for (const id of ["g2", "g3", "before", "far", "g1", "g101", "g129"]) {
    t.equal(network.check(id), true, id);
    network.del(id);
    t.equal(network.check(id), false, id);
  }
  t.match(network.reserved(), /^10.0.0.102 .* 10.0.0.128 10.0.0.3 10.0.0.6$/);
  t.end();
});

t.test("DEL looks where the runtime points", (t) => {
  const network = new Network(t, { sets: large });
  network.add("c1");
  network.addByOther("c1", "10.0.0.200", "eth1");
  network.addByOther("c1", "10.0.0.50", "eth0");
  network.write("last_reserved_ip.0", "10.0.0.2");
  network.del("c1", { hints: "10.0.0.50 10.0.0.200 10.0.0.77 192.0.2.1" });
  t.equal(network.reserved(), "10.0.0.200", "and believes only what the files say");
  t.end();
});

t.test("what somebody else removed is given out again", (t) => {
  const network = new Network(t, { sets: [[{ subnet: "10.0.0.0/30" }]] });
  network.add("c1");
  network.remove("10.0.0.2");
  t.equal(network.check("c1"), false);
  t.equal(network.add("c2"), "10.0.0.2/30");
  network.del("c1");
  t.equal(network.read("10.0.0.2"), "c2\r\neth0", "a claim of the ledger is no reason to take it away");
  network.remove("10.0.0.2");
  t.equal(network.add("c2"), "10.0.0.2/30");
  t.end();
});

t.test("a change by somebody else is noticed, also at once after ours", (t) => {
  const network = new Network(t, { sets: large });
  for (let round = 0; round < 50; round++) {
    network.add(`c${round}`);
    network.write("10.0.0.200", `g${round}\r\neth0`); // without last_reserved_ip: as if killed before
    network.del(`g${round}`);
    t.equal(network.read("10.0.0.200"), undefined);
    network.del(`c${round}`);
  }
  t.end();
});

t.test("after an ADD that was killed all files are read for its owner", (t) => {
  const network = new Network(t, { sets: large });
  network.add("other");
  const text = JSON.stringify({ containerId: "c1", ifName: "eth0", holdings: [], unfinished: true });
  writeFile(`${network.ownerIndex}/owners/c1:eth0`, `${text}\n`, { mode: 0o600 });
  network.write("10.0.0.200", "c1\r\neth0");
  t.match(network.tryAdd("c1"), /10.0.0.200 has been allocated to c1/);
  t.equal(network.add("c2"), "10.0.0.3/24");
  network.del("c1");
  t.equal(network.reserved(), "10.0.0.2 10.0.0.3");
  t.equal(network.recorded(), "c2:eth0 other:eth0");
  t.end();
});

t.test("the ledger of a network that nobody else writes stays complete", (t) => {
  const network = new Network(t, { sets: large });
  network.addByOther("before", "10.0.0.2");
  const steps: [string, () => unknown][] = [
    ["first ADD", () => network.add("c1")],
    ["ADD", () => network.add("c2")],
    ["refused ADD", () => network.tryAdd("c2")],
    ["DEL", () => network.del("c1")],
    ["DEL again", () => network.del("c1")],
    ["DEL of a stranger", () => network.del("unknown")],
    ["CHECK", () => network.check("c2")],
    ["GC", () => network.gc("c2")],
    ["STATUS", () => network.status()],
  ];
  for (const [what, step] of steps) {
    step();
    t.equal(network.isComplete(), true, what);
  }
  const full = new Network(t, { sets: [[{ subnet: "10.0.0.0/30" }]] });
  full.add("c1");
  t.match(full.tryAdd("c2"), /no IP addresses/);
  t.equal(full.isComplete(), true, "refused for want of addresses");
  const half = new Network(t, { sets: [[{ subnet: "10.0.0.0/29" }], [{ subnet: "10.0.1.0/30" }]] });
  half.add("c1");
  t.match(half.tryAdd("c2"), /no IP addresses/);
  t.equal(half.isComplete(), false, "undone: what could not be removed would be listed nowhere");

  network.addByOther("g", "10.0.0.9");
  t.equal(network.isComplete(), false);
  network.add("c3");
  t.equal(network.isComplete(), false, "what a few looks find is not all");
  network.del("unknown");
  t.equal(network.isComplete(), true, "until all files were read");
  t.end();
});

t.test("what the ledger says is a claim", (t) => {
  const owners = (network: Network, name: string) => `${network.ownerIndex}/owners/${name}`;
  const claim = (name: string) =>
    `${JSON.stringify({ containerId: "c1", ifName: "eth0", holdings: [{ name, bootId: "b", file: "f" }] })}\n`;
  const cases: { what: string; change(network: Network): void }[] = [
    { what: "is empty", change: (n) => writeFile(owners(n, "c1:eth0"), "", { mode: 0o600 }) },
    { what: "is cut", change: (n) => writeFile(owners(n, "c1:eth0"), '{"holdings":[{"na', { mode: 0o600 }) },
    { what: "is something else", change: (n) => writeFile(owners(n, "c1:eth0"), "[1,null]\n", { mode: 0o600 }) },
    {
      what: "names another's address",
      change: (n) => writeFile(owners(n, "c1:eth0"), claim("10.0.0.3"), { mode: 0o600 }),
    },
    { what: "names no address", change: (n) => writeFile(owners(n, "c1:eth0"), claim("../secret"), { mode: 0o600 }) },
    { what: "has lost its note", change: (n) => removeFile(`${n.ownerIndex}/note`) },
    { what: "has a torn note", change: (n) => writeFile(`${n.ownerIndex}/note`, '{"bootId":', { mode: 0o600 }) },
  ];
  for (const { what, change } of cases) {
    const network = new Network(t);
    network.add("c1");
    network.add("c2");
    writeFile(`${network.dataDir}/secret`, "c1\r\neth0", { mode: 0o600 });
    change(network);
    network.write("x", ""); // a change of the directory: the ledger may not be complete
    network.del("c1");
    t.equal(network.reserved(), "10.0.0.3", `the ledger ${what}`);
    t.equal(findText(`${network.dataDir}/secret`), "c1\r\neth0");
  }
  t.end();
});

t.test("an owner's name cannot lead out of the ledger", (t) => {
  const network = new Network(t);
  network.write("10.0.0.2", "../../../x\r\n../eth0");
  network.write("10.0.0.3", `${"long".repeat(100)}\r\neth0`);
  network.add("c1");
  t.equal(network.recorded(), "..%2F..%2F..%2Fx:..%2Feth0 c1:eth0");
  network.gc("c1");
  t.equal(network.recorded(), "c1:eth0");
  t.equal(network.reserved(), "10.0.0.4");
  t.end();
});

t.test("GC frees what belongs to nobody alive", (t) => {
  const network = new Network(t);
  for (const id of ["c1", "c2", "c3"]) network.add(id);
  network.write("10.0.0.5", "c2"); // an old release's
  network.write("10.0.0.6", "");
  network.write("10.9.9.9", "c9\r\neth0"); // of a range that is configured no more
  network.write("README", "c9\r\neth0");
  network.gc("c1", "c2");
  t.equal(network.reserved(), "10.0.0.2 10.0.0.3 10.0.0.5");
  t.equal(network.read("README"), "c9\r\neth0", "files that are no reservations stay");
  t.equal(network.read("last_reserved_ip.0"), "10.0.0.4");
  t.equal(network.recorded(), "c1:eth0 c2: c2:eth0");
  network.gc();
  t.equal(network.reserved(), "");
  t.equal(network.recorded(), "");
  t.equal(network.add("c4"), "10.0.0.5/29");
  t.end();
});

t.test("STATUS finds a set that has nothing left", (t) => {
  const network = new Network(t, { sets: [[{ subnet: "10.0.0.0/24" }], [{ subnet: "10.0.1.0/30" }]] });
  t.equal(network.status(), "ok");
  network.add("c1");
  t.match(
    network.status(),
    /^no IP addresses available in range set: 10.0.1.1-10.0.1.2; 1 of 1 addresses are held: 10.0.1.2 by container c1 \(eth0\)/,
  );
  network.del("c1");
  for (let host = 2; host < 254; host++) network.write(`10.0.0.${host}`, `c${host}\r\neth0`);
  t.equal(network.status(), "ok");
  network.write("10.0.0.254", "c254\r\neth0");
  t.match(
    network.status(),
    /^no IP addresses available in range set: 10.0.0.1-10.0.0.254; 253 of 253 addresses are held/,
  );
  t.end();
});

t.test("thousands of foreign reservations are learned by and by", (t) => {
  const network = new Network(t, { sets: [[{ subnet: "10.0.0.0/20" }]] });
  const name = (i: number) => `10.0.${i >> 8}.${i & 255}`;
  const count = 2500;
  for (let i = 2; i < count; i++) network.write(name(i), `g${i}\r\neth0`);
  network.write("last_reserved_ip.0", name(count - 1));
  t.equal(network.add("c1"), `${name(count)}/20`);
  t.equal(network.recorded().split(" ").length, 1024 + 1);
  for (const i of [2, 700, 1300, 2000, count - 1]) {
    network.del(`g${i}`);
    t.equal(network.read(name(i)), undefined);
  }
  network.del("unknown");
  t.ok(network.recorded().split(" ").length > 2400);
  t.end();
});
