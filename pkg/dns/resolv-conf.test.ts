import t from "tap";
import { formatAddress } from "../ip/address.ts";
import { newResolvConf, readResolvConf, withHosts, withoutResolver, withResolver } from "./resolv-conf.ts";

t.test("servers, search domains and options are read as the C libraries do", async (t) => {
  const { servers, search, options } = readResolvConf(`# by hand
domain old.example
search corp.example  example
nameserver 192.0.2.1 ; the first
nameserver fe80::1%eth0
  nameserver 2001:db8::53
nameserver nonsense
options ndots:2 timeout:1
options edns0
nameserver 192.0.2.3
nameserver 192.0.2.4
`);
  t.strictSame(servers.map(formatAddress), ["192.0.2.1", "2001:db8::53", "192.0.2.3"]);
  t.strictSame(search, ["corp.example", "example"]);
  t.strictSame(options, ["ndots:2", "timeout:1", "edns0"]);
  t.strictSame(readResolvConf(""), { servers: [], search: [], options: [] });
});

t.test("a container's resolv.conf names the resolver, and gets its lines back", async (t) => {
  for (const original of [
    "search corp.example\nnameserver 192.0.2.1\noptions ndots:5\n",
    "",
    "nameserver 192.0.2.1", // without an end of line, which it gets
    "# by hand\n\nnameserver 192.0.2.1\n",
  ]) {
    const made = withResolver(original, "127.0.0.11");
    t.strictSame(readResolvConf(made).servers.map(formatAddress), ["127.0.0.11"]);
    t.strictSame(readResolvConf(made).search, readResolvConf(original).search);
    t.equal(withResolver(made, "127.0.0.11"), made, "once");
    t.equal(withoutResolver(made), original === "" || original.endsWith("\n") ? original : `${original}\n`);
  }
  t.equal(
    withResolver("search a b\nnameserver 192.0.2.1\n", "127.0.0.11").split("# ")[0],
    "search a b\nnameserver 127.0.0.11\noptions ndots:0\n",
  );
  t.equal(withoutResolver("nameserver 192.0.2.1\n"), "nameserver 192.0.2.1\n");
});

t.test("hosts has lines of each network, which go with it", async (t) => {
  const front = withHosts("127.0.0.1\tlocalhost\n", "front", [{ address: "172.18.0.2", name: "web" }]);
  t.equal(front, "127.0.0.1\tlocalhost\n172.18.0.2\tweb\t# twill: front\n");
  const both = withHosts(front, "back", [{ address: "172.19.0.2", name: "web" }]);
  t.equal(
    withHosts(both, "front", [{ address: "172.18.0.9", name: "web" }]),
    "127.0.0.1\tlocalhost\n172.19.0.2\tweb\t# twill: back\n172.18.0.9\tweb\t# twill: front\n",
  );
  t.equal(withHosts(withHosts(both, "front", []), "back", []), "127.0.0.1\tlocalhost\n");
  t.equal(withHosts("", "front", []), "");
});

t.test(
  "a new container's resolv.conf is the host's, without servers that it cannot reach, or what was asked for",
  async (t) => {
    const host = "search corp.example\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver ::1\noptions edns0\n";
    const none = { servers: [], search: [] };
    t.equal(newResolvConf(host, none, false), "search corp.example\nnameserver 192.0.2.1\noptions edns0\n");
    t.match(newResolvConf(host, none, true), "nameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver ::1\n");
    t.equal(
      newResolvConf(host, { servers: ["192.0.2.9"], search: ["a.example", "b.example"] }, false),
      "search a.example b.example\nnameserver 192.0.2.9\noptions edns0\n",
    );
    t.equal(newResolvConf("", { servers: [], search: ["."] }, false), "", "no search domain");
  },
);
