import t from "tap";
import { sleepMs } from "../../sys/clock.ts";
import { findStat, makeDirectories, writeFile } from "../../sys/file.ts";
import { Network } from "./network.testing.ts";

const set = (...subnets: string[]) => subnets.map((subnet) => ({ subnet }));

t.test("the address given out is the first free one after the last, around the set", (t) => {
  const cases: { subnets: string[]; taken?: string; last?: string; next: string }[] = [
    { subnets: ["10.0.0.0/29"], next: "10.0.0.2/29" },
    { subnets: ["2001:db8:1::/64"], next: "2001:db8:1::2/64" },
    { subnets: ["10.0.0.0/30"], next: "10.0.0.2/30" },
    { subnets: ["10.0.0.0/29"], taken: "10.0.0.2", next: "10.0.0.3/29" },
    { subnets: ["10.0.0.0/29"], last: "10.0.0.5", next: "10.0.0.6/29" },
    { subnets: ["10.0.0.0/29"], taken: "10.0.0.4 10.0.0.5", last: "10.0.0.3", next: "10.0.0.6/29" },
    { subnets: ["10.0.0.0/29"], taken: "10.0.0.6", last: "10.0.0.5", next: "10.0.0.2/29" },
    { subnets: ["10.0.0.0/29"], taken: "10.0.0.2", last: "10.0.0.128", next: "10.0.0.3/29" },
    { subnets: ["10.0.0.0/29"], taken: "10.0.0.2 10.0.0.4 10.0.0.5 10.0.0.6", last: "10.0.0.3", next: "10.0.0.3/29" },
    { subnets: ["10.0.0.0/30", "10.0.1.0/30"], last: "10.0.0.2", next: "10.0.1.2/30" },
    { subnets: ["10.0.0.0/30", "10.0.1.0/30", "10.0.2.0/30"], last: "10.0.2.2", next: "10.0.0.2/30" },
    { subnets: ["10.0.0.0/29"], last: "nonsense", next: "10.0.0.2/29" },
    { subnets: ["10.0.0.0/29"], last: "", next: "10.0.0.2/29" },
    { subnets: ["2001:db8:1::/64"], taken: "2001:db8:1::2", last: "2001:db8:1::1", next: "2001:db8:1::3/64" },
    { subnets: ["2001:db8:1::/64"], last: "2001:db8:1::ffff", next: "2001:db8:1::1:0/64" },
  ];
  for (const { subnets, taken = "", last, next } of cases) {
    const network = new Network(t, { sets: [set(...subnets)] });
    for (const name of taken.split(" ").filter((text) => text !== "")) network.write(name, "other\r\neth0");
    if (last !== undefined) network.write("last_reserved_ip.0", last);
    t.equal(network.add("c1"), next, `${subnets} taken ${taken} last ${last}`);
  }
  t.end();
});

t.test("what lies on disk is what the reference plugin writes", (t) => {
  const network = new Network(t, { sets: [set("10.0.0.0/29"), set("2001:db8::/64")] });
  t.equal(network.add(" c1 "), "10.0.0.2/29 2001:db8::2/64");
  t.equal(network.read("10.0.0.2"), "c1\r\neth0");
  t.equal(network.read("2001:db8::2"), "c1\r\neth0");
  t.equal(network.read("last_reserved_ip.0"), "10.0.0.2");
  t.equal(network.read("last_reserved_ip.1"), "2001:db8::2");
  t.equal(network.read("lock"), "");
  const modes = ["10.0.0.2", "last_reserved_ip.0", "lock"].map(
    (name) => findStat(`${network.directory}/${name}`)?.mode,
  );
  t.strictSame(modes, [0o600, 0o600, 0o750]);
  t.strictSame(network.said, [], "and nobody is warned of anything");
  t.end();
});

t.test("a set that is used up says who holds it; its broadcast address is never given out", (t) => {
  const network = new Network(t, { sets: [set("192.168.1.0/29")] });
  const given = ["a", "b", "c", "d", "e"].map((id) => network.add(id));
  t.strictSame(
    given,
    [2, 3, 4, 5, 6].map((host) => `192.168.1.${host}/29`),
  );
  t.equal(
    network.tryAdd("f"),
    "failed to allocate for range 0: no IP addresses available in range set: 192.168.1.1-192.168.1.6; " +
      "5 of 5 addresses are held: 192.168.1.2 by container a (eth0), 192.168.1.3 by container b (eth0), " +
      '192.168.1.4 by container c (eth0) and 2 more. To fix: enlarge the range in "ipam", ' +
      "or delete containers",
  );
  t.equal(network.recorded().includes("f"), false);
  network.del("c");
  t.equal(network.add("f"), "192.168.1.4/29");
  t.end();
});

t.test("requested addresses", (t) => {
  const sets = [set("10.0.0.0/29", "10.0.1.0/29"), set("fd00::/64")];
  const cases: { requested: string; given: string; left?: string }[] = [
    { requested: "10.0.0.5", given: "10.0.0.5/29 fd00::3/64" },
    { requested: "fd00::77 10.0.1.3", given: "10.0.1.3/29 fd00::77/64" },
    { requested: "fd00:0::0077", given: "10.0.0.3/29 fd00::77/64" },
    {
      requested: "10.0.0.1",
      given:
        "failed to allocate for range 0: requested ip 10.0.0.1 is subnet's gateway; " +
        "To fix: request another address, or set another gateway for the range",
    },
    {
      requested: "10.0.0.2",
      given:
        "failed to allocate for range 0: requested IP address 10.0.0.2 is not available in range set " +
        "10.0.0.1-10.0.0.6,10.0.1.1-10.0.1.6; container c0 (eth0) has held it since this boot: <net>/10.0.0.2. To fix: " +
        "request another address, or have the runtime call DEL for container c0 (eth0); if the container no longer exists: rm <net>/10.0.0.2",
    },
    {
      requested: "192.0.2.1 10.0.0.4",
      given:
        "failed to allocate all requested IPs: 192.0.2.1; the range sets are 10.0.0.1-10.0.0.6,10.0.1.1-10.0.1.6 and " +
        "fd00::1-fd00::ffff:ffff:ffff:ffff. To fix: request at most one address of each range set (the addresses of CNI_ARGS IP, " +
        "args.cni.ips and runtimeConfig.ips are added up)",
    },
    {
      requested: "10.0.0.4 10.0.1.4 10.0.0.4",
      given:
        "failed to allocate all requested IPs: 10.0.1.4; the range sets are 10.0.0.1-10.0.0.6,10.0.1.1-10.0.1.6 and " +
        "fd00::1-fd00::ffff:ffff:ffff:ffff. To fix: request at most one address of each range set (the addresses of CNI_ARGS IP, " +
        "args.cni.ips and runtimeConfig.ips are added up)",
    },
  ];
  for (const { requested, given } of cases) {
    const network = new Network(t, { sets });
    network.add("c0");
    const before = [network.reserved(), network.read("last_reserved_ip.0"), network.read("last_reserved_ip.1")];
    t.equal(network.tryAdd("c1", { requested }).replaceAll(network.directory, "<net>"), given, requested);
    const after = [network.reserved(), network.read("last_reserved_ip.0"), network.read("last_reserved_ip.1")];
    if (given.startsWith("failed")) t.strictSame(after, before, `${requested}: nothing is left`);
  }
  t.end();
});

t.test("a request is not held against an address that the container has", (t) => {
  const network = new Network(t);
  t.equal(network.add("c1"), "10.0.0.2/29");
  t.equal(network.add("c1", { requested: "10.0.0.4" }), "10.0.0.4/29");
  t.equal(network.add("c2"), "10.0.0.5/29", "the search goes on behind it");
  network.del("c1");
  t.equal(network.reserved(), "10.0.0.5");
  t.end();
});

t.test("a second ADD is refused, others go on", (t) => {
  const network = new Network(t);
  network.add("c1");
  t.equal(
    network.tryAdd("c1").replaceAll(network.directory, "<net>"),
    "failed to allocate for range 0: 10.0.0.2 has been allocated to c1, duplicate allocation is not allowed; " +
      "container c1 (eth0) has held it since this boot: <net>/10.0.0.2. To fix: have the runtime call DEL before it calls " +
      "ADD again; if the container no longer exists: rm <net>/10.0.0.2",
  );
  t.equal(network.add("c1", { ifName: "eth1" }), "10.0.0.3/29");
  t.equal(network.add("c2"), "10.0.0.4/29");

  network.addByOther("c3", "10.0.0.6");
  t.match(network.tryAdd("c3"), /10.0.0.6 has been allocated to c3/, "by another plugin as well");
  network.write("10.0.0.5", "c4");
  network.write("last_reserved_ip.0", "10.0.0.5");
  t.match(network.tryAdd("c4"), /10.0.0.5 has been allocated to c4/, "in the format without interface as well");
  t.end();
});

t.test("an ADD that fails at its second set gives the first back, and nothing else", (t) => {
  const network = new Network(t, { sets: [set("10.0.0.0/29"), set("10.0.1.0/30")] });
  t.equal(network.add("c1"), "10.0.0.2/29 10.0.1.2/30");
  const files = ["10.0.0.2", "last_reserved_ip.0", "last_reserved_ip.1"];
  const before = files.map((name) => network.read(name));
  t.match(
    network.tryAdd("c2"),
    /^failed to allocate for range 1: no IP addresses available in range set: 10.0.1.1-10.0.1.2/,
  );
  t.match(
    network.tryAdd("c1", { requested: "10.0.0.4" }),
    /^failed to allocate for range 1: 10.0.1.2 has been allocated/,
  );
  t.equal(network.reserved(), "10.0.0.2 10.0.1.2", "the reference plugin would release c1's earlier addresses too");
  t.strictSame(
    files.map((name) => network.read(name)),
    before,
  );
  network.del("c1");
  t.equal(network.reserved(), "");
  t.end();
});

t.test("a record lists what its owner has got, and a killed ADD's record without a file is no reservation", (t) => {
  const network = new Network(t);
  network.write("10.0.0.2", "other\r\neth0");
  t.equal(network.add("c1"), "10.0.0.3/29");
  t.strictSame(network.holdingsOf("c1"), ["10.0.0.3"], "not the one that was tried first");
  network.remove("10.0.0.3"); // as if the ADD had been killed before the file got its name
  t.equal(network.add("c1"), "10.0.0.4/29");
  t.strictSame(network.holdingsOf("c1"), ["10.0.0.4"]);
  network.del("c1");
  t.equal(network.reserved(), "10.0.0.2");
  t.equal(network.recorded(), "other:eth0");
  t.end();
});

t.test("many taken addresses in a row", (t) => {
  const network = new Network(t, { sets: [set("10.0.0.0/24")] });
  for (let host = 2; host < 200; host++) network.write(`10.0.0.${host}`, `o${host}\r\neth0`);
  t.equal(network.add("c1"), "10.0.0.200/24");
  t.equal(network.add("c2"), "10.0.0.201/24");
  t.end();
});

t.test("files without an owner count as free when the set is full, and not before", (t) => {
  const network = new Network(t);
  network.write("10.0.0.2", "");
  network.write("10.0.0.3", "\0\0\0\0");
  network.write("10.0.0.4", "c4\r\neth0");
  t.equal(network.add("c1"), "10.0.0.5/29");
  t.equal(network.add("c2"), "10.0.0.6/29");
  t.equal(network.status(), "ok");
  t.equal(network.add("c3"), "10.0.0.2/29");
  t.strictSame(network.said, [
    "freed 10.0.0.2: its file <dataDir>/net/10.0.0.2 has no container",
    "freed 10.0.0.3: its file <dataDir>/net/10.0.0.3 has no container",
  ]);
  t.equal(network.add("c5"), "10.0.0.3/29");
  t.match(network.tryAdd("c6"), /no IP addresses available/);

  network.remove("10.0.0.3");
  network.write("10.0.0.3", "");
  t.equal(network.add("c6", { requested: "10.0.0.3" }), "10.0.0.3/29", "also for who requests that very address");
  network.del("c6");
  network.write("10.0.0.3", "");
  network.del("unknown"); // reads all files
  t.equal(network.add("c7"), "10.0.0.3/29", "also when it happened after a set was found to have none");
  t.end();
});

t.test("what an earlier boot left makes room in a full set", (t) => {
  const network = new Network(t);
  for (const id of ["a", "b", "c"]) network.add(id);
  network.reboot();
  t.equal(network.add("d"), "10.0.0.5/29", "as long as there is room nothing is taken back");
  t.equal(network.add("e"), "10.0.0.6/29");
  t.equal(network.reserved(), "10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6");
  t.equal(network.status(), "ok");
  t.equal(network.add("f"), "10.0.0.2/29");
  t.equal(network.reserved(), "10.0.0.2 10.0.0.5 10.0.0.6");
  t.strictSame(network.said.toSorted(), [
    "freed 10.0.0.2 of container a (eth0): reserved before this boot",
    "freed 10.0.0.3 of container b (eth0): reserved before this boot",
    "freed 10.0.0.4 of container c (eth0): reserved before this boot",
  ]);
  network.del("a");
  t.equal(network.read("10.0.0.2"), "f\r\neth0", "a late DEL of the former owner takes nothing away");
  network.add("g");
  network.add("h");
  t.match(network.tryAdd("i"), /no IP addresses available.*5 of 5 addresses are held/, "this boot's stay");
  t.match(network.status(), /no IP addresses available.*5 of 5 addresses are held/);
  t.end();
});

t.test("a reservation of another plugin is of the boot in which it was first seen", (t) => {
  const network = new Network(t, { sets: [set("10.0.0.0/30")] });
  network.addByOther("a", "10.0.0.2");
  t.match(network.tryAdd("b"), /no IP addresses available/);
  network.reboot();
  t.equal(network.add("b"), "10.0.0.2/30");
  t.end();
});

t.test("a file that is not the one recorded before the boot stays, whoever it names", (t) => {
  const network = new Network(t, { sets: [set("10.0.0.0/30")] });
  network.add("a");
  network.reboot();
  network.write("elsewhere", "");
  network.remove("10.0.0.2");
  sleepMs(10); // the clock of files ticks every 4 ms, and inodes are used again
  network.addByOther("a", "10.0.0.2");
  t.match(network.tryAdd("b"), /no IP addresses available/);
  t.match(network.tryAdd("a"), /has been allocated to a, duplicate/);
  network.reboot();
  t.equal(network.add("b"), "10.0.0.2/30", "until the boot after");
  t.end();
});

t.test("a container that starts again after a reboot gets an address", (t) => {
  const network = new Network(t, { sets: [set("10.0.0.0/29"), set("fd00::/64")] });
  t.equal(network.add("c1"), "10.0.0.2/29 fd00::2/64");
  network.reboot();
  t.equal(network.add("c1"), "10.0.0.3/29 fd00::3/64");
  t.equal(network.reserved(), "10.0.0.3 fd00::3");
  t.match(network.tryAdd("c1"), /10.0.0.3 has been allocated to c1, duplicate/);
  network.reboot();
  t.equal(network.add("c1", { requested: "10.0.0.3" }), "10.0.0.3/29 fd00::4/64", "the same one, if it asks for it");
  network.reboot();
  t.equal(network.add("c2", { requested: "10.0.0.3" }), "10.0.0.3/29 fd00::5/64", "and so does another");
  t.equal(network.reserved(), "10.0.0.3 fd00::4 fd00::5");
  t.end();
});

t.test("reclaimAfterReboot takes everything back at the first call", (t) => {
  const network = new Network(t, { reclaimAfterReboot: true });
  network.add("a");
  network.add("b");
  network.write("10.0.0.6", "");
  t.equal(network.add("c"), "10.0.0.4/29");
  network.reboot();
  network.addByOther("g", "10.0.0.5");
  t.equal(network.check("g"), true);
  t.equal(network.reserved(), "10.0.0.5", "also files without an owner, but not what is new");
  t.equal(network.recorded(), "g:eth0");
  t.end();
});

t.test("reuseDelay keeps an address that was given back for a while", (t) => {
  const network = new Network(t, { sets: [set("10.0.0.0/30")], reuseDelayMs: 3600_000 });
  t.equal(network.add("a"), "10.0.0.2/30");
  network.del("a");
  t.match(
    network.tryAdd("b"),
    /^failed to allocate for range 0: no IP addresses available in range set: 10\.0\.0\.1-10\.0\.0\.2; the free addresses were released less than 3600 s ago \("reuseDelay"\)\. To fix: try again in \d+ s, enlarge the range or lower "reuseDelay"$/,
  );
  t.equal(network.add("c", { requested: "10.0.0.2" }), "10.0.0.2/30", "not from who requests it");
  network.del("c");
  network.conf = { ...network.conf, reuseDelayMs: 1 };
  sleepMs(2);
  t.equal(network.add("b"), "10.0.0.2/30", "when the time is over");
  network.del("b");
  network.conf = { ...network.conf, reuseDelayMs: 0 };
  t.equal(network.add("d"), "10.0.0.2/30", "nor when it is switched off");
  t.end();
});

t.test("without a ledger everything works as it does for the reference plugin", (t) => {
  const network = new Network(t);
  writeFile(`${network.dataDir}/.twill`, "in the way", { mode: 0o600 });
  t.equal(network.add("c1"), "10.0.0.2/29");
  t.equal(network.add("c2"), "10.0.0.3/29");
  t.match(network.tryAdd("c1"), /10.0.0.2 has been allocated to c1, duplicate/);
  t.equal(network.check("c2"), true);
  network.del("c1");
  t.equal(network.check("c1"), false);
  network.gc();
  t.equal(network.reserved(), "");
  t.end();
});

t.test("a directory named as an address is taken, and passed over by walks", (t) => {
  const network = new Network(t);
  makeDirectories(`${network.directory}/10.0.0.2`, 0o755);
  t.equal(network.add("c1"), "10.0.0.3/29");
  network.del("unknown");
  t.equal(network.reserved(), "10.0.0.2 10.0.0.3");
  t.end();
});
