// Names of containers, as dig, glibc and busybox ask for them.
import t from "tap";
import type { Namespace } from "../lab/host.ts";
import { needsRoot } from "../lab/needs.ts";
import { newResolverLab } from "./lab.ts";

t.test("names are answered in each namespace, of its own networks alone", needsRoot, async (t) => {
  const lab = newResolverLab(t, { containers: 3 });
  lab.attach(0, { network: "front", name: "web", addresses: ["172.18.0.2/16"], aliases: ["www", "Pool"] });
  lab.attach(1, { network: "front", name: "db", addresses: ["172.18.0.3/16", "fd00:18::3/64"], aliases: ["pool"] });
  lab.attach(2, { network: "back", name: "secret", addresses: ["172.19.0.2/16"] });
  t.match(lab.sync(), { status: 0, stdout: "names are answered in 3 namespaces\n", stderr: "" });
  const [web = lab.node, db = lab.node, secret = lab.node] = lab.node.containers;
  const dig = (from: Namespace, ...args: string[]) => from.run("dig", "@127.0.0.11", "+short", ...args).stdout.trim();

  t.equal(dig(web, "db"), "172.18.0.3");
  t.equal(dig(web, "DB.Front"), "172.18.0.3", "with the network, in any case");
  t.equal(dig(web, "db", "AAAA"), "fd00:18::3");
  t.equal(dig(db, "www"), "172.18.0.2", "an alias");
  t.equal(dig(web, "web"), "172.18.0.2", "its own name");
  t.equal(dig(web, "-x", "172.18.0.3"), "db.front.");
  t.equal(dig(web, "+tcp", "db"), "172.18.0.3");
  t.strictSame(dig(web, "pool").split("\n").sort(), ["172.18.0.2", "172.18.0.3"], "an alias of two");
  t.match(web.run("dig", "@127.0.0.11", "secret").stdout, /status: NXDOMAIN/);
  t.match(web.run("dig", "@127.0.0.11", "secret.back").stdout, /status: NXDOMAIN/);
  t.match(web.run("dig", "@127.0.0.11", "web", "AAAA").stdout, /status: NOERROR.*ANSWER: 0/s);
  t.match(web.run("dig", "@127.0.0.11", "db").stdout, /flags: qr rd ra;.*db\.\s+600\s+IN\s+A\s+172\.18\.0\.3/s);
  t.match(web.run("busybox", "nslookup", "db", "127.0.0.11").stdout, /Name:\s+db\s+Address: 172\.18\.0\.3/);
  t.equal(dig(secret, "secret"), "172.19.0.2");
});
