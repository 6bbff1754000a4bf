// An etcd that does not talk to everybody: certificates, passwords, and one endpoint of several that says nothing.
import t from "tap";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import type { Certificates } from "./certificates.ts";
import { newCluster, startDaemons } from "./lab.ts";

const network = { Network: "10.5.0.0/16", Backend: { Type: "alloc" } };

// The others have etcd-store.test.ts in each run, without a daemon.
t.test("with client certificates hosts get their leases", needsRoot, async (t) => {
  const cluster = await newCluster(t, { network, etcd: { tls: "clients" } });
  const hosts = [cluster.addHost(), cluster.addHost()] as const;

  await startDaemons(hosts, ...tlsFlags(cluster.etcd.certificates));

  t.equal(Object.keys(cluster.leases()).length, 2);
});

t.test(
  "an etcd that a wrong authority signed is not believed, and the message says so",
  inFullRunOnly(needsRoot),
  async (t) => {
    const cluster = await newCluster(t, { network, etcd: { tls: "clients" } });
    const { certificates } = cluster.etcd;
    const host = cluster.addHost();

    const daemon = host.startDaemon(...tlsFlags(certificates), `--etcd-cafile=${certificates?.otherCa}`);

    await daemon.says(/certificate/);
    t.strictSame(cluster.leases(), {});
  },
);

t.test("a client without a certificate is told that it needs one", inFullRunOnly(needsRoot), async (t) => {
  const cluster = await newCluster(t, { network, etcd: { tls: "clients" } });
  const daemon = cluster.addHost().startDaemon(`--etcd-cafile=${cluster.etcd.certificates?.ca}`);
  await daemon.says(/--etcd-certfile/);
});

t.test(
  "with user and password hosts get their leases; the password is in no log",
  inFullRunOnly(needsRoot),
  async (t) => {
    const cluster = await newCluster(t, { network, etcd: { password: "open sesame" } });
    const [daemon] = await startDaemons([cluster.addHost()], "--etcd-username=root", "--etcd-password=open sesame");

    t.equal(Object.keys(cluster.leases()).length, 1);
    t.notMatch(daemon.printed(), "sesame");
  },
);

t.test("a wrong password is told as such", inFullRunOnly(needsRoot), async (t) => {
  const cluster = await newCluster(t, { network, etcd: { password: "open sesame" } });
  const daemon = cluster.addHost().startDaemon("--etcd-username=root", "--etcd-password=open barley");
  await daemon.says(/password/);
});

t.test("an endpoint that says nothing does not keep a host from its lease", inFullRunOnly(needsRoot), async (t) => {
  const cluster = await newCluster(t, { network, etcd: { members: 3 } });
  cluster.etcd.members[2]?.freeze();
  await startDaemons([cluster.addHost()]);
  cluster.etcd.members[2]?.thaw();
  t.equal(Object.keys(cluster.leases()).length, 1);
});

function tlsFlags(certificates: Certificates | undefined): string[] {
  if (!certificates) throw new Error("etcd runs without TLS");
  const { ca, client } = certificates;
  return [`--etcd-cafile=${ca}`, `--etcd-certfile=${client.certificate}`, `--etcd-keyfile=${client.key}`];
}
