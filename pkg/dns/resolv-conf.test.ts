import t from "tap";
import { formatAddress } from "../ip/address.ts";
import { readResolvConf } from "./resolv-conf.ts";

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
