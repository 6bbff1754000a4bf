import t from "tap";
import { parsePrefix } from "../../ip/address.ts";
import { conditionsOf } from "./iptables-conditions.ts";

const network = parsePrefix("192.0.2.0/24");
const one = parsePrefix("192.0.2.9/32");

t.test("addresses and interfaces are understood, each once", async (t) => {
  const cases: [string, object][] = [
    ["", {}],
    ["-s 192.0.2.0/24", { source: network }],
    ["! -s 192.0.2.9 -i eth0", { source: { not: one }, inInterface: "eth0" }],
    ["--dst 192.0.2.9 ! --out-interface eth+", { destination: one, outInterface: { not: "eth+" } }],
  ];
  for (const [text, wanted] of cases) t.strictSame(conditionsOf(text.split(" ").filter(Boolean)), wanted, text);
});

t.test("with any other word all of them are left to iptables", async (t) => {
  for (const text of [
    "-m mark --mark 1",
    "-s host.example",
    "-s 192.0.2.9 -s 192.0.2.8",
    "-s",
    "! -i",
    "-i ! eth0",
    "-d 1.2.3.4/255.0.0.0",
  ]) {
    t.strictSame(conditionsOf(text.split(" ")), { words: text.split(" ") }, text);
  }
});
