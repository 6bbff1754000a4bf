import t from "tap";
import type { Link } from "../../pkg/link/link.ts";
import { type DeviceRecord, isDevice } from "./record.ts";

const card = { kind: "", device: "0000:00:10.0", permanentMac: "52:54:00:00:00:01", mac: "52:54:00:00:00:01" };
const veth = { kind: "veth", device: "", permanentMac: "", mac: "02:00:00:00:00:05" };
const tunnel = { kind: "wireguard", device: "", permanentMac: "", mac: "" };

const cases: { claim: string; record: typeof card; link: Partial<Link>; is: boolean }[] = [
  { claim: "a card as it went", record: card, link: { ...card, alias: "eth1" }, is: true },
  { claim: "a card with another MAC", record: card, link: { ...card, mac: "02:00:00:00:00:09", alias: "" }, is: true },
  {
    claim: "a card whose permanent MAC its parent has changed",
    record: card,
    link: { ...card, mac: "02:00:00:00:00:09", permanentMac: "02:00:00:00:00:09", alias: "eth1" },
    is: true,
  },
  {
    claim: "another interface of the same card",
    record: card,
    link: { ...card, mac: "52:54:00:00:00:02", permanentMac: "52:54:00:00:00:02", alias: "" },
    is: false,
  },
  {
    claim: "another card with that alias",
    record: card,
    link: { ...card, device: "0000:00:11.0", alias: "eth1" },
    is: false,
  },
  {
    claim: "a bridge that has its MAC",
    record: card,
    link: { ...card, kind: "bridge", device: "", alias: "" },
    is: false,
  },
  { claim: "a veth with its MAC", record: veth, link: { ...veth, alias: "" }, is: true },
  {
    claim: "a veth with the alias",
    record: veth,
    link: { ...veth, mac: "02:00:00:00:00:09", alias: "eth1" },
    is: true,
  },
  { claim: "another veth", record: veth, link: { ...veth, mac: "02:00:00:00:00:09", alias: "" }, is: false },
  { claim: "a tunnel, which has no MAC, with the alias", record: tunnel, link: { ...tunnel, alias: "eth1" }, is: true },
  { claim: "another tunnel", record: tunnel, link: { ...tunnel, alias: "" }, is: false },
];
for (const { claim, record, link, is } of cases) {
  t.test(`${is ? "is" : "is not"} the device that went as eth1: ${claim}`, async (t) => {
    t.equal(isDevice({ ...record, name: "eth1" } as DeviceRecord, link as Link), is);
  });
}
