import t from "tap";
import type { Dns } from "../../cni/result.ts";
import { parseResolvConf } from "./resolv-conf.ts";

const cases: { name: string; text: string; dns: Dns }[] = [
  { name: "an empty file", text: "", dns: {} },
  {
    name: "name servers",
    text: "nameserver 192.0.2.0\nnameserver 192.0.2.1\n",
    dns: { nameservers: ["192.0.2.0", "192.0.2.1"] },
  },
  { name: "no newline at the end", text: "nameserver 192.0.2.0", dns: { nameservers: ["192.0.2.0"] } },
  { name: "the last domain counts", text: "domain one\ndomain two", dns: { domain: "two" } },
  { name: "search lines add up", text: "search a b\nsearch c", dns: { search: ["a", "b", "c"] } },
  {
    name: "options lines add up",
    text: "options ndots:5 rotate\noptions trust-ad",
    dns: { options: ["ndots:5", "rotate", "trust-ad"] },
  },
  {
    name: "comments and blank lines",
    text: "# nameserver 1\n;nameserver 2\n\n  \nnameserver 3",
    dns: { nameservers: ["3"] },
  },
  { name: "white space and CR", text: "  nameserver \t 192.0.2.0 \r\n", dns: { nameservers: ["192.0.2.0"] } },
  { name: "words without a value", text: "nameserver\nsearch\noptions\ndomain", dns: {} },
  { name: "unknown words", text: "sortlist 130.155.160.0\nlookup file bind", dns: {} },
];
for (const { name, text, dns } of cases) {
  t.test(`resolv.conf: ${name}`, async (t) => {
    t.strictSame(parseResolvConf(text), { nameservers: [], domain: undefined, search: [], options: [], ...dns });
  });
}
