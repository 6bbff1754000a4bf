import t from "tap";
import { formatMac, parseMac } from "./mac.ts";

const cases: { text: string; printed: string | undefined }[] = [
  { text: "02:42:0a:01:00:05", printed: "02:42:0a:01:00:05" },
  { text: "02-42-0A-01-00-05", printed: "02:42:0a:01:00:05" },
  { text: "0242.0a01.0005", printed: "02:42:0a:01:00:05" },
  { text: "02:00:5e:10:00:00:00:01", printed: "02:00:5e:10:00:00:00:01" }, // EUI-64
  { text: Array(20).fill("fe").join(":"), printed: Array(20).fill("fe").join(":") }, // InfiniBand
  { text: "", printed: undefined },
  { text: "02:42:0a:01:00", printed: undefined },
  { text: "02:42:0a:01:00:5", printed: undefined },
  { text: "02:42-0a:01:00:05", printed: undefined },
  { text: "0242.0a01", printed: undefined },
  { text: "02:42:0a:01:00:0g", printed: undefined },
];
for (const { text, printed } of cases) {
  t.test(`MAC "${text}"`, async (t) => {
    const mac = parseMac(text);
    t.equal(mac === undefined ? undefined : formatMac(mac), printed);
  });
}
