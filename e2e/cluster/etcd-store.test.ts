// The store of leases in a real etcd: what it writes is looked at with etcdctl, what it tells is held against etcd's content.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import t, { type Test } from "tap";
import type { LeaseEvent, Snapshot } from "../../pkg/cluster/lease/event.ts";
import { cidr, ip } from "../../pkg/cluster/lease/fake.testing.ts";
import { keyOf, type LeaseAttributes, type Subnets } from "../../pkg/cluster/lease/lease.ts";
import type { Store } from "../../pkg/cluster/lease/store.ts";
import type { Log } from "../../pkg/cluster/log/log.ts";
import { openEtcdStore } from "../../pkg/cluster/store/etcd/etcd.ts";
import { type StoreUnderTest, storeClaims } from "../../pkg/cluster/store/store.testing.ts";
import { freePort } from "../lab/free-port.ts";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";
import type { KeyPair } from "./certificates.ts";
import { type Etcd, startEtcd, startLink, startSilentEndpoint } from "./etcd.ts";

const prefix = "/coreos.com/network";
const dayMs = 24 * 3600 * 1000;

t.jobs = 4; // most of the time they wait; tap writes into the options of tests side by side, hence a copy for each

for (const { claim, holds } of storeClaims)
  t.test(claim, { ...needsRoot }, async (t) => {
    await holds(async () => underTest(t, await startEtcd(t)));
  });

t.test("configuration", { ...needsRoot }, async (t) => {
  const etcd = await startEtcd(t);
  const store = open(t, etcd);

  await t.rejects(store.readConfig(), {
    name: "NoConfig",
    message:
      `etcd ${etcd.endpoints[0]}, prefix ${prefix}: there is no network configuration. To write one: ` +
      `etcdctl --endpoints=${etcd.endpoints[0]} put ${prefix}/config '{ "Network": "10.5.0.0/16", "Backend": {"Type": "vxlan"} }'`,
  });
  const text = '{ "Network": "10.5.0.0/16",\n "Backend": {"Type": "vxlan"} }\n';
  etcd.put(`${prefix}/config`, text);
  t.equal(await store.readConfig(), text, "is returned as it was written");
  t.equal(await open(t, etcd, { prefix: "/coreos.com//x/../network/" }).readConfig(), text, "under a cleaned prefix");
});

t.test("a configuration in v2 keys only is told, with the command that copies it", { ...needsRoot }, async (t) => {
  const etcd = await startEtcd(t, { v2: true, tls: "clients", members: 2 });
  const { ca, client } = pems(etcd);
  const store = open(t, etcd, { tls: { ca, ...client } });
  etcd.etcdctlV2("set", `${prefix}/config`, '{ "Network": "10.5.0.0/16",\n  "Note": "Bob\'s" }\n');

  const refusal = await store.readConfig().catch((error: Error) => error.message);
  t.match(refusal, "the network configuration stands in etcd's v2 keys only, which flannel read until 0.17");
  const command = /To copy it: (ETCDCTL_API=3 etcdctl .*)$/s.exec(String(refusal))?.[1] ?? "";
  execFileSync("sh", ["-c", command], { env: { PATH: process.env["PATH"], ...tlsVariables(etcd) } });
  t.equal(await store.readConfig(), '{ "Network": "10.5.0.0/16", "Note": "Bob\'s" }');
});

/** etcdctl's, which the command does not have. */
function tlsVariables({ certificates }: Etcd): Record<string, string> {
  if (!certificates) return {};
  const { ca, client } = certificates;
  return { ETCDCTL_CACERT: ca, ETCDCTL_CERT: client.certificate, ETCDCTL_KEY: client.key };
}

t.test("leases", { ...needsRoot }, async (t) => {
  const etcd = await startEtcd(t);
  const store = open(t, etcd);
  const key = `${prefix}/subnets/10.5.1.0-24`;

  await t.test("have flannel's keys and values, and an end", async (t) => {
    const beforeMs = Date.now();
    const lease = await store.create(subnets("10.5.1.0/24"), host("1.2.3.4"), dayMs);
    t.ok(lease?.expiresMs && lease.expiresMs >= beforeMs + dayMs && lease.expiresMs <= Date.now() + dayMs);
    t.strictSame(etcd.get(prefix), { [key]: '{"PublicIP":"1.2.3.4","PublicIPv6":null}' });
    t.match(timeToLive(etcd, key), /granted with TTL\(86400s\), remaining\(863\d\ds\), attached keys\(\[/);
    t.strictSame((await store.list()).leases, [lease]);
  });
  await t.test("are made once", async (t) => {
    t.equal(await store.create(subnets("10.5.1.0/24"), host("5.6.7.8"), dayMs), undefined);
    t.equal(
      etcd
        .etcdctl("lease", "list")
        .split("\n")
        .filter((line) => /^[0-9a-f]{16}$/.test(line)).length,
      1,
    );
    t.strictSame(etcd.get(prefix), { [key]: '{"PublicIP":"1.2.3.4","PublicIPv6":null}' });
  });
  await t.test("are written over, with a new end", async (t) => {
    const before = timeToLive(etcd, key);
    await store.put(subnets("10.5.1.0/24"), host("5.6.7.8", "vxlan"), dayMs);
    t.strictSame(etcd.get(prefix), { [key]: '{"PublicIP":"5.6.7.8","PublicIPv6":null,"BackendType":"vxlan"}' });
    t.not(timeToLive(etcd, key), before);
  });
  await t.test("of both families have both in their key", async (t) => {
    const both = subnets("10.5.2.0/24", "fd00:5:2::/64");
    await store.create(both, host("1.2.3.5"), dayMs);
    t.ok(etcd.get(`${prefix}/subnets/10.5.2.0-24&fd00:5:2::-64`));
    t.strictSame((await store.list()).leases.map(keyOf), ["10.5.1.0-24", "10.5.2.0-24&fd00:5:2::-64"]);
    await store.delete(both);
    t.strictSame(Object.keys(etcd.get(prefix)), [key]);
  });
  await t.test("without an end are reservations", async (t) => {
    const reserved = subnets("10.5.3.0/24");
    etcd.put(`${prefix}/subnets/10.5.3.0-24`, '{"PublicIP":"1.2.3.6"}');
    const { leases } = await store.list();
    t.strictSame(leases[1], { id: "10.5.3.0-24", ...reserved, attributes: host("1.2.3.6") });
    t.strictSame(await store.put(reserved, host("1.2.3.6", "vxlan"), undefined), {
      id: "10.5.3.0-24",
      ...reserved,
      attributes: host("1.2.3.6", "vxlan"),
    });
    t.match(etcd.etcdctl("get", `${prefix}/subnets/10.5.3.0-24`, "-w", "fields"), '"Lease" : 0\n');
    await store.delete(reserved);
  });
  await t.test("of others are told to last until now at least", async (t) => {
    etcd.put(`${prefix}/subnets/10.5.4.0-24`, '{"PublicIP":"1.2.3.7"}', 3600);
    const lease = (await store.list()).leases[1];
    t.ok(lease?.expiresMs && lease.expiresMs <= Date.now());
    etcd.del(`${prefix}/subnets/10.5.4.0-24`);
  });
  await t.test("that are none are skipped, with the reason", async (t) => {
    etcd.put(`${prefix}/subnets/10.5.5.0`, '{"PublicIP":"1.2.3.7"}');
    etcd.put(`${prefix}/subnets/10.5.6.0-24`, "{");
    etcd.put(`${prefix}/subnets/a/10.5.6.0-24`, '{"PublicIP":"1.2.3.7"}');
    etcd.put(`${prefix}/subnets-old/10.5.7.0-24`, '{"PublicIP":"1.2.3.7"}'); // not below subnets/
    const { leases, malformed } = await store.list();
    t.strictSame(leases.map(keyOf), ["10.5.1.0-24"]);
    t.strictSame(
      malformed.map(({ id }) => id),
      ["10.5.5.0", "10.5.6.0-24", "a/10.5.6.0-24"],
    );
    t.match(malformed[0]?.reason, "its name is not a subnet");
  });
});

t.test("of fifty that want one lease at once, one gets it", { ...needsRoot }, async (t) => {
  const etcd = await startEtcd(t);
  const stores = Array.from({ length: 5 }, () => open(t, etcd));
  const wanted = Array.from({ length: 50 }, (_, i) => `192.0.2.${i + 1}`);
  const made = await Promise.all(
    wanted.map((address, i) => stores[i % 5]?.create(subnets("10.5.1.0/24"), host(address), dayMs)),
  );
  const winners = wanted.filter((_, i) => made[i]);
  t.equal(winners.length, 1);
  t.match(etcd.get(prefix)[`${prefix}/subnets/10.5.1.0-24`], `"PublicIP":"${winners[0]}"`);
  t.match(etcd.etcdctl("lease", "list"), "found 1 leases");
});

t.test("the watch", { ...needsRoot }, async (t) => {
  const etcd = await startEtcd(t);
  const store = open(t, etcd);
  await store.create(subnets("10.5.1.0/24"), host("192.0.2.1"), dayMs);
  const seen = follow(t, store);

  await seen.until("snapshot 10.5.1.0-24=192.0.2.1");
  await t.test("tells of what is made, renewed, deleted and expires, in that order", async (t) => {
    const from = seen.lines.length;
    const made = await store.create(subnets("10.5.2.0/24", "fd00:5:2::/64"), host("192.0.2.2"), dayMs);
    etcd.put(`${prefix}/subnets/10.5.3.0-24`, '{"PublicIP":"192.0.2.3"}', 1);
    await store.put(subnets("10.5.1.0/24"), host("192.0.2.9"), dayMs);
    etcd.put(`${prefix}/subnets/nonsense`, "?");
    etcd.del(`${prefix}/subnets/nonsense`);
    etcd.put(`${prefix}/config`, "{}");
    etcd.del(`${prefix}/subnets/10.5.2.0-24&fd00:5:2::-64`);
    await seen.until("gone 10.5.3.0-24");
    t.strictSame(seen.lines.slice(from), [
      "put 10.5.2.0-24&fd00:5:2::-64=192.0.2.2",
      "put 10.5.3.0-24=192.0.2.3",
      "put 10.5.1.0-24=192.0.2.9",
      "malformed nonsense",
      "gone nonsense",
      "gone 10.5.2.0-24&fd00:5:2::-64",
      "gone 10.5.3.0-24",
    ]);
    const told = seen.events.find((event) => event.kind === "put");
    t.strictSame(told?.kind === "put" && told.lease, made, "with the end of leases that we have made");
  });
  await t.test("goes on after an outage, with what has changed meanwhile", async () => {
    await etcd.stop();
    await seen.until(/^trouble etcd: cannot watch the leases: http:.*ECONNREFUSED.*start etcd there/);
    await etcd.start();
    await seen.until("well");
    etcd.put(`${prefix}/subnets/10.5.4.0-24`, '{"PublicIP":"192.0.2.4"}');
    await seen.until("put 10.5.4.0-24=192.0.2.4");
  });
  await t.test("goes on after a compaction", async () => {
    etcd.compact();
    etcd.put(`${prefix}/subnets/10.5.5.0-24`, '{"PublicIP":"192.0.2.5"}');
    await seen.until("put 10.5.5.0-24=192.0.2.5");
  });
  await t.test("leaves a member that has connections and says nothing", async () => {
    etcd.members[0]?.freeze();
    await seen.until(/^trouble .*Connection dropped\. To fix: check that etcd runs there/);

    etcd.members[0]?.thaw();
    await seen.until("well");
  });
  await t.test("tells nothing once it is stopped", async (t) => {
    seen.stop();
    const { length } = seen.lines;
    const later = follow(t, store);
    await later.until(/^snapshot/);
    await store.delete(subnets("10.5.1.0/24"));
    await later.until("gone 10.5.1.0-24");
    t.equal(seen.lines.length, length);
  });
});

t.test(
  "changes while the link was cut, compacted away: a new snapshot tells them",
  { ...inFullRunOnly(needsRoot) },
  async (t) => {
    const etcd = await startEtcd(t, { members: 3 });
    const [first] = etcd.members;
    const store = open(t, etcd, { endpoints: [first?.endpoint ?? ""] }); // sees this member only
    for (const last of [1, 2, 3]) await store.create(subnets(`10.5.${last}.0/24`), host(`192.0.2.${last}`), dayMs);
    const seen = follow(t, store);
    await seen.until(/^snapshot/);

    await first?.kill();
    await seen.until(/^trouble/);
    const others = open(t, etcd, { endpoints: etcd.endpoints.slice(1) });
    await others.delete(subnets("10.5.2.0/24"));
    await others.put(subnets("10.5.3.0/24"), host("192.0.2.33"), dayMs);
    await others.create(subnets("10.5.4.0/24"), host("192.0.2.4"), dayMs);
    etcd.compact();
    await first?.start();
    await seen.until("snapshot 10.5.1.0-24=192.0.2.1 10.5.3.0-24=192.0.2.33 10.5.4.0-24=192.0.2.4");
  },
);

t.test("with passwords", { ...needsRoot }, async (t) => {
  const password = "sesame";
  const etcd = await startEtcd(t, { password });
  const root = { username: "root", password };

  await t.test("the watch lives through a restart, which forgets all logins", async () => {
    const seen = follow(t, open(t, etcd, root));
    await seen.until("snapshot");
    await etcd.stop();
    await seen.until(/^trouble/);
    await etcd.start();
    await seen.until("well");
    etcd.put(`${prefix}/subnets/10.5.1.0-24`, '{"PublicIP":"192.0.2.1"}');
    await seen.until("put 10.5.1.0-24=192.0.2.1");
  });
  await t.test("so do calls", async (t) => {
    const store = open(t, etcd, root);
    await store.list();
    await etcd.stop();
    await etcd.start();
    t.equal((await store.list()).leases.length, 1);
  });
  await t.test("a wrong one is told", async (t) => {
    await fails(t, open(t, etcd, { username: "root", password: "wrong" }).list(), [
      /^etcd: cannot list the leases: http:\S+: etcdserver: authentication failed, invalid user ID or password\. /,
      /To fix: correct --etcd-username and --etcd-password$/,
    ]);
  });
  await t.test("a missing one is told", async (t) => {
    await fails(t, open(t, etcd).list(), [/user name is empty\. To fix: set --etcd-username and --etcd-password/]);
  });
  await t.test("a missing permission is told", async (t) => {
    etcd.etcdctl("user", "add", "flannel:secret");
    const store = open(t, etcd, { username: "flannel", password: "secret" });
    await fails(t, store.put(subnets("10.5.2.0/24"), host("192.0.2.2"), dayMs), [
      /^etcd: cannot write the lease 10\.5\.2\.0-24: http:\S+: etcdserver: permission denied\. /,
      /To fix: give the user's role this permission: etcdctl role grant-permission ROLE --prefix readwrite \/coreos\.com\/network\/$/,
    ]);
    etcd.etcdctl("role", "add", "flannel");
    etcd.etcdctl("role", "grant-permission", "flannel", "--prefix", "readwrite", `${prefix}/`);
    etcd.etcdctl("user", "grant-role", "flannel", "flannel");
    t.ok(await store.put(subnets("10.5.2.0/24"), host("192.0.2.2"), dayMs), "and the remedy helps");
  });
});

t.test("passwords may be switched on and off under way", { ...inFullRunOnly(needsRoot) }, async (t) => {
  const etcd = await startEtcd(t);
  const store = open(t, etcd, { username: "root", password: "sesame" });
  t.strictSame((await store.list()).leases, [], "off: the login is left out");
  etcd.etcdctl("user", "add", "root:sesame");
  etcd.etcdctl("user", "grant-role", "root", "root");
  etcd.etcdctl("auth", "enable");
  t.strictSame((await store.list()).leases, [], "on");
  etcd.etcdctl("--user", "root:sesame", "auth", "disable");
  t.strictSame((await store.list()).leases, [], "off again");
});

t.test("with TLS", { ...needsRoot }, async (t) => {
  const etcd = await startEtcd(t, { tls: "clients" });
  const { ca, otherCa, client } = pems(etcd);

  await t.test("a client with a certificate is served", async (t) => {
    const store = open(t, etcd, { tls: { ca, ...client } });
    const seen = follow(t, store);
    await store.create(subnets("10.5.1.0/24"), host("192.0.2.1"), dayMs);
    await seen.until(/10\.5\.1\.0-24=192\.0\.2\.1/);
  });
  await t.test("one without is told so", async (t) => {
    await fails(t, open(t, etcd, { tls: { ca } }).list(), [
      /SSL routines:ssl3_read_bytes:\S+ alert (bad certificate|certificate required)/,
      /To fix: set --etcd-certfile and --etcd-keyfile to a certificate that etcd accepts, and its key$/,
    ]);
  });
  await t.test("a server of another authority is refused", async (t) => {
    const store = open(t, etcd, { tls: { ca: otherCa, ...client } });
    await fails(t, store.list(), [
      /: unable to verify the first certificate\. To fix: set --etcd-cafile to the certificate of the CA that signed the server's$/,
    ]);
  });
  await t.test("a key of another certificate, and what is none, are refused", async (t) => {
    const { key } = certificateOf(etcd.certificates?.server);
    for (const [pair, reason] of [
      [
        { ...client, key },
        /x509 certificate routines::key values mismatch\. To fix: set --etcd-certfile and --etcd-keyfile to PEM files/,
      ],
      [
        { certificate: "x", key: "y" },
        /PEM routines::no start line\. To fix: set --etcd-certfile and --etcd-keyfile to PEM files/,
      ],
    ] as const)
      await fails(t, open(t, etcd, { tls: { ca, ...pair } }).list(), [reason]);
  });
  await t.test("without an authority the system's count", async (t) => {
    await fails(t, open(t, etcd, { tls: client }).list(), [/certificate\. To fix: set --etcd-cafile/]);
    const { SSL_CERT_FILE: before } = process.env;
    process.env["SSL_CERT_FILE"] = etcd.certificates?.ca;
    const listing = open(t, etcd, { tls: client }).list();
    if (before === undefined) delete process.env["SSL_CERT_FILE"];
    else process.env["SSL_CERT_FILE"] = before;
    t.strictSame((await listing).malformed, []);
  });
  await t.test("http:// is told to be the wrong scheme", async (t) => {
    const plain = etcd.endpoints.map((endpoint) => endpoint.replace("https", "http"));
    await fails(t, open(t, etcd, { endpoints: plain }).list(), [/To fix: write https:\/\/ in --etcd-endpoints/]);
  });
  await t.test("an authority alone is enough where etcd asks for no certificate", async (t) => {
    const open1 = await startEtcd(t, { tls: "server" });
    t.strictSame((await open(t, open1, { tls: { ca: pems(open1).ca } }).list()).leases, []);
  });
});

t.test("several endpoints", { ...inFullRunOnly(needsRoot) }, async (t) => {
  const etcd = await startEtcd(t, { members: 3 });
  const silent = await startSilentEndpoint(t);
  const refusing = `http://127.0.0.1:${await freePort()}`;

  await t.test("a silent and a refusing one do not matter", async (t) => {
    const store = open(t, etcd, { endpoints: [silent, refusing, ...etcd.endpoints] });
    const seen = follow(t, store);
    await store.create(subnets("10.5.1.0/24"), host("192.0.2.1"), dayMs);
    await seen.until(/10\.5\.1\.0-24=192\.0\.2\.1/);
    etcd.put(`${prefix}/subnets/10.5.2.0-24`, '{"PublicIP":"192.0.2.2"}');
    await seen.until("put 10.5.2.0-24=192.0.2.2");
    t.notOk(seen.lines.some((line) => line.startsWith("trouble")));
  });
  await t.test("another leader is nothing that is seen", async (t) => {
    const seen = follow(t, open(t, etcd));
    await seen.until(/^snapshot/);
    etcd.moveLeader();
    etcd.put(`${prefix}/subnets/10.5.3.0-24`, '{"PublicIP":"192.0.2.3"}');
    await seen.until(/10\.5\.3\.0-24=192\.0\.2\.3/);
  });
  await t.test("the leader's death costs time, not an error", async (t) => {
    const leader = etcd.members.find(({ endpoint }) => endpoint === etcd.moveLeader());
    const store = open(t, etcd);
    await store.list();
    await leader?.kill();
    t.ok(await store.put(subnets("10.5.5.0/24"), host("192.0.2.5"), dayMs));
    await leader?.start();
  });
  await t.test("a member that has lost the others is left for one that has not", async (t) => {
    const [one, two, three] = etcd.members;
    const store = open(t, etcd);
    const seen = follow(t, store);
    await seen.until(/^snapshot/);
    await Promise.all([two?.kill(), three?.kill()]);
    await seen.until(/^trouble .*(no leader|no answer)/);
    await t.rejects(store.list(), { name: "StoreError" });
    await two?.start();
    await seen.until("well");
    await one?.kill();
    await three?.start();
    etcd.put(`${prefix}/subnets/10.5.4.0-24`, '{"PublicIP":"192.0.2.4"}');
    await seen.until(/10\.5\.4\.0-24=192\.0\.2\.4/);
  });
  await t.test("all down: one sentence tells why of each", async (t) => {
    await fails(t, open(t, etcd, { endpoints: [silent, refusing] }).list(), [
      `etcd: cannot list the leases: ${silent}: no answer within 2 s; ${refusing}: connect ECONNREFUSED ${refusing.slice(7)}. `,
      "To fix: check that etcd runs there, and that no firewall drops packets to it; start etcd there, or set --etcd-endpoints",
    ]);
  });
});

t.test(
  "what the watch tells adds up to what etcd holds, whatever happens meanwhile",
  { ...inFullRunOnly(needsRoot) },
  async (t) => {
    const etcd = await startEtcd(t, { members: 3 });
    const writer = open(t, etcd);
    const seen = follow(t, open(t, etcd));
    const disturbances = (async () => {
      for (const member of etcd.members) {
        await member.kill();
        etcd.compact();
        await member.start();
        await seen.until(/^put/);
        etcd.moveLeader();
      }
    })();
    let isDone = false;
    disturbances
      .catch(() => {})
      .finally(() => {
        isDone = true;
      });
    for (let i = 0; !isDone || i < 100; i++) {
      const lease = subnets(`10.5.${i % 20}.0/24`);
      const work =
        i % 7 === 0 ? writer.delete(lease) : writer.put(lease, host(`192.0.${(i >> 8) & 255}.${i & 255}`), dayMs);
      await work.catch((error: Error) => t.equal(error.name, "StoreError"));
    }
    await disturbances;
    await writer.put(subnets("10.5.200.0/24"), host("192.0.2.1"), dayMs);
    await seen.until(/10\.5\.200\.0-24/);
    const held = Object.entries(etcd.get(`${prefix}/subnets/`)).map(
      ([key, value]) => `${key.slice(`${prefix}/subnets/`.length)}=${JSON.parse(value).PublicIP}`,
    );
    t.ok(held.length > 10);
    t.strictSame(seen.leases(), held);
  },
);

t.test("what is compacted between the list and the watch is listed again", { ...needsRoot }, async (t) => {
  const etcd = await startEtcd(t);
  const snapshots: string[] = [];
  const compactOnce = () => {
    for (const last of [1, 2]) etcd.put(`${prefix}/subnets/10.5.${last}.0-24`, `{"PublicIP":"192.0.2.${last}"}`);
    etcd.compact();
  };
  const seen = follow(t, open(t, etcd), (line) => {
    if (line.startsWith("snapshot") && snapshots.push(line) === 1) compactOnce(); // the watch is asked for after that
  });
  await seen.until("snapshot 10.5.1.0-24=192.0.2.1 10.5.2.0-24=192.0.2.2");
  etcd.del(`${prefix}/subnets/10.5.1.0-24`);
  await seen.until("gone 10.5.1.0-24");
  t.strictSame(snapshots.length, 2);
  t.strictSame(
    seen.lines.filter((line) => line.startsWith("trouble")),
    [],
  );
});

t.test("a connection that has died unnoticed is made anew", { ...needsRoot }, async (t) => {
  const etcd = await startEtcd(t);
  const link = await startLink(t, etcd.endpoints[0] ?? "");
  const store = open(t, etcd, { endpoints: [link.endpoint] });
  const seen = follow(t, store);
  await seen.until("snapshot");
  link.cut();
  t.ok(await store.create(subnets("10.5.1.0/24"), host("192.0.2.1"), dayMs), "for the next call");
  await seen.until("snapshot 10.5.1.0-24=192.0.2.1"); // and for the watch
});

t.test("who has another address connects anew without a word", { ...needsRoot }, async (t) => {
  const etcd = await startEtcd(t);
  const link = await startLink(t, etcd.endpoints[0] ?? "");
  const store = open(t, etcd, { endpoints: [link.endpoint] });
  const seen = follow(t, store);
  await seen.until("snapshot");
  await store.list();
  link.cut();
  etcd.put(`${prefix}/subnets/10.5.1.0-24`, '{"PublicIP":"192.0.2.1"}');
  const listing = store.list();
  store.reconnect();
  t.equal((await listing).leases.length, 1, "calls under way are answered");
  await seen.until("snapshot 10.5.1.0-24=192.0.2.1");
  etcd.members[0]?.freeze();
  store.reconnect();
  await new Promise(setImmediate);
  store.reconnect(); // while it asks
  etcd.members[0]?.thaw();
  await seen.until("snapshot 10.5.1.0-24=192.0.2.1");
  etcd.put(`${prefix}/subnets/10.5.2.0-24`, '{"PublicIP":"192.0.2.2"}');
  await seen.until(/10\.5\.2\.0-24=192\.0\.2\.2/);
  t.notOk(seen.lines.some((line) => line.startsWith("trouble")));
});

t.test("after close() nothing keeps the process, and nothing is told", { ...needsRoot }, async (t) => {
  const etcd = await startEtcd(t);
  const script = `
    const { openEtcdStore } = await import("./pkg/cluster/store/etcd/etcd.ts");
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const stores = process.argv.slice(1).map((endpoint) => openEtcdStore({ endpoints: [endpoint], prefix: "/x", log }));
    const tell = (name) => (what) => console.log(name, what);
    for (const store of stores) store.watch(tell("event"), tell("trouble"));
    await stores[0].list(); // the watch is about as far
    for (const store of stores) await store.close();
    console.log("closed");
    for (const store of stores) await store.list().catch(({ message }) => console.log(message));`;
  const command = ["--import", "tsx", "--input-type=module", "-e", script];
  const endpoints = [...etcd.endpoints, await startSilentEndpoint(t)];
  const { NODE_OPTIONS: _, ...env } = process.env;
  const ran = spawn(process.execPath, [...command, ...endpoints], { cwd: projectRoot, env, timeout: deadlineMs });
  const [stdout, stderr, [status]] = await Promise.all([text(ran.stdout), text(ran.stderr), once(ran, "exit")]);
  t.equal(stderr, "");
  t.strictSame(
    stdout.slice(stdout.indexOf("closed\n")).trim().split("\n").slice(1),
    endpoints.map(
      (url) =>
        `etcd: cannot list the leases: ${url}: the store is closed. To fix: this is a bug in twill; please report it`,
    ),
  );
  t.equal(status, 0);
});

t.test("what cannot be an endpoint or a certificate is refused at once", async (t) => {
  const given = { prefix, log: noLog };
  for (const endpoint of ["ftp://etcd:2379", "http://etcd", "", "http://etcd:2379/v2"]) {
    t.throws(() => openEtcdStore({ ...given, endpoints: [endpoint] }), {
      message: `"${endpoint}" is not an etcd endpoint: write it as http://10.0.0.1:2379 or https://etcd1:2379`,
    });
  }
  t.throws(() => openEtcdStore({ ...given, endpoints: [] }), { message: /^no etcd endpoint is given/ });
  t.throws(() => openEtcdStore({ ...given, endpoints: ["https://etcd:2379"], tls: { key: "x" } }), {
    message: "a client certificate needs its key. To fix: give both --etcd-certfile and --etcd-keyfile, or none",
  });
  const { description } = openEtcdStore({ ...given, endpoints: ["127.0.0.1:2379", "https://[::1]:2379/"] });
  t.equal(description, "etcd http://127.0.0.1:2379, https://[::1]:2379, prefix /coreos.com/network");
});

const silence = () => {};
const noLog: Log = { debug: silence, info: silence, warn: silence, error: silence };

type Options = Partial<Parameters<typeof openEtcdStore>[0]>;

function open(t: Test, { endpoints }: Etcd, options: Options = {}): Store {
  const store = openEtcdStore({ endpoints, prefix, log: noLog, ...options });
  t.teardown(() => store.close());
  return store;
}

function underTest(t: Test, etcd: Etcd): StoreUnderTest {
  return {
    store: open(t, etcd),
    beside: open(t, etcd),
    write: async (key, value) => etcd.put(`${prefix}/subnets/${key}`, value),
    remove: async (key) => etcd.del(`${prefix}/subnets/${key}`),
    writeConfig: async (text) => etcd.put(`${prefix}/config`, text),
  };
}

function subnets(ipv4: string, ipv6?: string): Subnets {
  return { ipv4: cidr(ipv4), ...(ipv6 && { ipv6: cidr(ipv6) }) };
}

function host(publicIP: string, backendType = ""): LeaseAttributes {
  return { publicIP: ip(publicIP), backendType };
}

function pems({ certificates }: Etcd) {
  const [ca, otherCa] = [certificates?.ca, certificates?.otherCa].map((file = "") => readFileSync(file, "utf8"));
  return { ca: ca ?? "", otherCa: otherCa ?? "", client: certificateOf(certificates?.client) };
}

function certificateOf({ certificate, key }: KeyPair = { certificate: "", key: "" }): KeyPair {
  return { certificate: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") };
}

/** What etcd says of the lease that a key is attached to. */
function timeToLive(etcd: Etcd, key: string): string {
  const id = /"Lease" : (\d+)/.exec(etcd.etcdctl("get", key, "-w", "fields"))?.[1] ?? "";
  return etcd.etcdctl("lease", "timetolive", BigInt(id).toString(16), "--keys");
}

async function fails(t: Test, work: Promise<unknown>, texts: readonly (string | RegExp)[]): Promise<void> {
  const error = await work.then(
    () => new Error("did not fail"),
    (error: Error) => error,
  );
  t.equal(error.name, "StoreError");
  for (const text of texts) t.match(error.message, text);
}

interface Seen {
  events: LeaseEvent[];
  /** "put 10.5.1.0-24=192.0.2.1", "trouble etcd: cannot ..." */
  lines: string[];
  /** Resolves when such a line has come since the last one that was waited for. */
  until(wanted: string | RegExp): Promise<void>;
  /** What all events together say: "10.5.1.0-24=192.0.2.1", sorted as etcd does. */
  leases(): string[];
  stop(): void;
}

const deadlineMs = 20_000;

/** @param told Called with each line as it comes. */
function follow(t: Test, store: Store, told: (line: string) => void = () => {}): Seen {
  const [events, lines, leases] = [[] as LeaseEvent[], [] as string[], new Map<string, string>()];
  let at = 0;
  let look = () => {};
  const add = (line: string) => {
    lines.push(line);
    told(line);
    look();
  };
  const watch = store.watch(
    (event) => {
      events.push(event);
      apply(event, leases);
      add(lineOf(event));
    },
    (why) => add(why ? `trouble ${why.message}` : "well"),
  );
  t.teardown(() => watch.stop());
  return {
    events,
    lines,
    leases: () => [...leases].map(([key, address]) => `${key}=${address}`).sort(),
    stop: () => watch.stop(),
    until(wanted) {
      return new Promise((resolve, reject) => {
        const late = () => reject(new Error(`no ${wanted} after ${lines.slice(0, at).at(-1)}, but ${lines.slice(at)}`));
        const deadline = setTimeout(late, deadlineMs);
        look = () => {
          const found = lines.findIndex(
            (line, i) => i >= at && (line === wanted || (wanted instanceof RegExp && wanted.test(line))),
          );
          if (found < 0) return;
          at = found + 1;
          look = () => {};
          clearTimeout(deadline);
          resolve();
        };
        look();
      });
    },
  };
}

function lineOf(event: LeaseEvent): string {
  if (event.kind === "snapshot") return ["snapshot", ...textsOf(event.snapshot)].join(" ");
  if (event.kind === "put") return `put ${textsOf({ leases: [event.lease], malformed: [] })}`;
  if (event.kind === "gone") return `gone ${event.id}`;
  return `malformed ${event.malformed.id}`;
}

function textsOf({ leases }: Snapshot): string[] {
  return leases.map((lease) => `${keyOf(lease)}=${lease.attributes.publicIP?.join(".")}`);
}

function apply(event: LeaseEvent, leases: Map<string, string>): void {
  if (event.kind === "snapshot") leases.clear();
  const put = event.kind === "snapshot" ? event.snapshot.leases : event.kind === "put" ? [event.lease] : [];
  for (const lease of put) leases.set(keyOf(lease), lease.attributes.publicIP?.join(".") ?? "");
  if (event.kind === "gone") leases.delete(event.id);
}
