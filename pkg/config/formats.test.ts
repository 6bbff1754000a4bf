import t from "tap";
import { formats } from "./formats.ts";

const examples: Record<keyof typeof formats, { fits: string[]; refused: string[] }> = {
  ip: {
    fits: ["10.1.2.3", "fd00::1", "::", "::ffff:10.0.0.1"],
    refused: ["", "10.1.2", "10.1.2.03", "10.1.2.256", "fe80::1%eth0", "10.1.2.3/24", " 10.1.2.3"],
  },
  cidr: {
    fits: ["10.1.2.3/24", "0.0.0.0/0", "::/0", "fd00::1/128"],
    refused: ["", "10.1.2.3", "10.1.2.3/33", "10.1.2.3/", "/24", "fd00::/129", "10.1.2.3/-1"],
  },
  mac: {
    fits: [
      "0a:58:0a:01:00:02",
      "0A-58-0A-01-00-02",
      "0a58.0a01.0002",
      "02:00:5e:10:00:00:00:01",
      "00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01",
    ],
    refused: ["", "0a:58", "0a:58:0a:01:00", "0a:58-0a:01:00:02", "0a580a010002", "0g:58:0a:01:00:02", "0a58.0a01"],
  },
  interfaceMac: {
    fits: [
      "0a:58:0a:01:00:02",
      "0a58.0a01.0002",
      "fe:ff:ff:ff:ff:ff",
      "00:00:00:00:00:01",
      "03:00:5e:10:00:00:00:01",
      "80:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01",
    ],
    refused: ["", "0a:58", "00:00:00:00:00:00", "0000.0000.0000", "01:00:5e:00:00:01", "FF-FF-FF-FF-FF-FF"],
  },
  ethernetMac: {
    fits: ["0a:58:0a:01:00:02", "0A-58-0A-01-00-02", "0a58.0a01.0002"],
    refused: ["00:00:00:00:00:00", "01:00:5e:00:00:01", "02:00:5e:10:00:00:00:01", "0a:58:0a:01:00"],
  },
  linkAddress: {
    fits: ["0a:58:0a:01:00:02", "0a58.0a01.0002", "0a:0a:00:01", "00", "ff:".repeat(31).concat("ff")],
    refused: ["", "0a:58:", "x", "0a:58:0a:01:00:0", "0a:58\0", "ff:".repeat(32).concat("ff"), "0a580a010002"],
  },
  linkName: {
    fits: ["eth0", "a", "enp0s31f6-uplink-of-the-rack", "a b", "a:b", "ä".repeat(63), "x".repeat(127)],
    refused: ["", "a\0b", "ä".repeat(64), "x".repeat(128)],
  },
  ifname: {
    fits: ["eth0", "a", "exactly15bytes.", "äöüäöüä", "eth0.100", "…", "br+", "br*", "+"],
    refused: [
      "",
      ".",
      "..",
      "a/b",
      "a:b",
      "a b",
      "a\tb",
      "a\u0085",
      "a\u00a0",
      "a\u2003b",
      "a\0b",
      "voilà",
      "a\u0820",
      "sixteen-bytes-xx",
      "äöüäöüäö",
    ],
  },
};

for (const [name, { fits, refused }] of Object.entries(examples)) {
  const format = formats[name as keyof typeof formats];
  for (const text of fits) t.ok(format.fits(text), `${name}: ${JSON.stringify(text)}`);
  for (const text of refused) t.notOk(format.fits(text), `not ${name}: ${JSON.stringify(text)}`);
}
