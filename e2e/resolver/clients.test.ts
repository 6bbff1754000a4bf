// Programs that look names up as programs do: glibc's getaddrinfo (getent, ping), musl's, and busybox, which the tutorials fail with.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { needsRoot } from "../lab/needs.ts";
import { newResolverLab } from "./lab.ts";

/** Prints the addresses that getaddrinfo gives for a name, or its error. */
const GETADDRINFO = `
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
int main(int argc, char **argv) {
  struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all;
  int error = getaddrinfo(argv[argc - 1], "80", &hints, &all);
  if (error) return puts(gai_strerror(error)), 1;
  for (char text[64], host[64]; all; all = all->ai_next) {
    getnameinfo(all->ai_addr, all->ai_addrlen, text, sizeof text, 0, 0, NI_NUMERICHOST);
    puts(text);
  }
}
`;

t.test("names resolve from glibc, musl and busybox, of one family and of both", needsRoot, async (t) => {
  const lab = newResolverLab(t);
  lab.attach(0, { network: "front", name: "web", addresses: ["172.18.0.2/16"] });
  lab.attach(1, { network: "front", name: "db", addresses: ["172.18.0.3/16", "fd00:18::3/64"], aliases: ["six"] });
  t.match(lab.sync(), { status: 0 });
  const [web = lab.node, db = lab.node] = lab.node.containers;
  for (const [container, last] of [
    [web, 2],
    [db, 3],
  ] as const)
    container.sh(`ip address add 172.18.0.${last}/32 dev lo; ip address add fd00:18::${last}/128 dev lo nodad`);
  const conf = join(lab.dir, "container-resolv.conf");
  writeFileSync(conf, "nameserver 127.0.0.11\noptions ndots:0\n");
  const inWeb = (...command: string[]) => {
    const { stdout, status } = web.run("sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', conf, ...command);
    return [...stdout.trim().split("\n"), ...(status === 0 ? [] : [`status ${status}`])];
  };

  t.match(inWeb("getent", "ahostsv4", "db")[0], /^172\.18\.0\.3 /, "glibc, A alone");
  t.match(inWeb("getent", "ahostsv6", "db")[0], /^fd00:18::3 /, "glibc, AAAA alone");
  t.match(inWeb("getent", "ahosts", "web"), [/^172\.18\.0\.2 +STREAM/], "glibc, both asked, one there");
  t.match(inWeb("getent", "hosts", "172.18.0.3")[0], /^172\.18\.0\.3 +db\.front$/, "glibc, reverse");
  t.strictSame(inWeb("getent", "ahosts", "nobody.front"), ["", "status 2"]);
  t.match(inWeb("ping", "-c1", "-W2", "web")[0], /^PING web \(172\.18\.0\.2\)/);

  const source = join(lab.dir, "getaddrinfo.c");
  const program = join(lab.dir, "getaddrinfo");
  writeFileSync(source, GETADDRINFO);
  execFileSync("musl-gcc", ["-static", "-o", program, source]);
  t.strictSame(inWeb(program, "web"), ["172.18.0.2"], "musl");
  t.strictSame([...inWeb(program, "db")].sort(), ["172.18.0.3", "fd00:18::3"], "musl");

  t.match(inWeb("busybox", "ping", "-c1", "-W2", "web")[0], /^PING web \(172\.18\.0\.2\)/, "busybox");
  t.match(inWeb("busybox", "nslookup", "web").join("\n"), /Name:\s+web\nAddress: 172\.18\.0\.2/);
  t.match(
    inWeb("busybox", "nslookup", "-type=aaaa", "web").join("\n"),
    /Server:\s+127\.0\.0\.11/,
    "AAAA of a name with A alone",
  );
  t.match(inWeb("busybox", "nslookup", "172.18.0.3").join("\n"), /name = db\.front/);
});
