import { readdirSync, readFileSync } from "node:fs";
import t from "tap";
import { InvalidNetworkConfig } from "../../pkg/cluster/lease/network-config.ts";
import { formatPrefix } from "../../pkg/ip/address.ts";
import { randomFrom, testSeed } from "../../pkg/sys/random.testing.ts";
import { readNetworkConfig as readConfig } from "./network-config.ts";

const readNetworkConfig = (text: string) => readConfig(text, "chosen");

function refusal(text: string): readonly string[] {
  try {
    readNetworkConfig(text);
  } catch (error) {
    if (error instanceof InvalidNetworkConfig) return error.problems;
    throw error;
  }
  throw new Error("was not refused");
}

const vxlan = '"Backend": {"Type": "vxlan"}';

t.test("keys count in any case, at every level, the last of several", async (t) => {
  const { config, warnings } = readNetworkConfig(
    '{"NETWORK": "10.9.0.0/16", "network": "10.3.0.0/16", "enableIPv6": true, "ipv6network": "fd00::/48", "backend": {"type": "VXLAN", "vni": 7}}',
  );
  t.strictSame(config.ipv4 && formatPrefix(config.ipv4.network), "10.3.0.0/16");
  t.strictSame(config.ipv6 && formatPrefix(config.ipv6.network), "fd00::/48");
  t.strictSame(config.backend, { type: "vxlan", settings: { Type: "VXLAN", VNI: 7 } });
  t.strictSame(warnings, []);
});

t.test("null and an empty address are as good as absent", async (t) => {
  const { config } = readNetworkConfig(`{"Network": "10.3.0.0/16", "SubnetLen": null, "SubnetMin": "", ${vxlan}}`);
  t.match(config.ipv4, { subnetLength: 24 });
});

t.test("where the store gives the subnets, the network is not divided", async (t) => {
  const { config } = readConfig(`{"Network": "10.3.0.0/16", "SubnetLen": 24, ${vxlan}}`, "given");
  t.strictSame(Object.keys(config.ipv4 ?? {}), ["network"]);
});

const warned: { text: string; warnings: string[] }[] = [
  {
    text: `{"Network": "10.3.0.0/16", "SubnetLength": 25, ${vxlan}}`,
    warnings: ['unknown key "SubnetLength" is ignored; did you mean "SubnetLen"?'],
  },
  {
    text: '{"Network": "10.3.0.0/16", "Backend": {"Type": "vxlan", "DirectRoute": true}}',
    warnings: ['unknown key "Backend.DirectRoute" is ignored; did you mean "DirectRouting"?'],
  },
  {
    text: `{"Network": "10.3.0.0/16", "VNI": 3, ${vxlan}}`,
    warnings: ['unknown key "VNI" is ignored; did you mean "Backend.VNI"?'],
  },
  {
    text: '{"Network": "10.3.0.0/16", "Backend": {"Type": "host-gw", "VNI": 3}}',
    warnings: ['key "Backend.VNI" is ignored: backend host-gw has no settings'],
  },
  {
    text: '{"Network": "172.21.0.0/16", "Backend": null}',
    warnings: [
      '"Backend" is missing: every host uses udp, as with flannel; vxlan is several times faster: add "Backend": {"Type": "vxlan"}, and restart flanneld on all hosts; to keep udp without this warning, add "Backend": {"Type": "udp"}',
    ],
  },
];
for (const { text, warnings } of warned) {
  t.test(`${text} is taken with a warning`, async (t) => {
    t.strictSame(readNetworkConfig(text).warnings, warnings);
  });
}

t.test("a backend that is not known here passes: whoever makes backends refuses it", async (t) => {
  const { config } = readNetworkConfig('{"Network": "10.3.0.0/16", "Backend": {"Type": "vxlam", "PSK": "x"}}');
  t.strictSame(config.backend, { type: "vxlam", settings: { Type: "vxlam", PSK: "x" } });
});

const refused: { text: string; problems: string[] }[] = [
  {
    text: "",
    problems: [
      'it is not JSON: line 1, column 1: nothing where a value is expected; correct it; an example: {"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}',
    ],
  },
  {
    text: `{"Network": "10.3.0.0/16", ${vxlan}} trailing`,
    problems: [
      'it is not JSON: line 1, column 58: "trailing" after the end of the value; correct it; an example: {"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}',
    ],
  },
  {
    text: `{"Network": "10.3.0.0/16", ${vxlan},}`,
    problems: ['it is not JSON: line 1, column 57: "}" after a comma; remove the comma before it'],
  },
  {
    text: "null",
    problems: [
      'it is null, must be a JSON object; an example: {"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}',
    ],
  },
  {
    text: `{"Network": "10.3.0.0", ${vxlan}}`,
    problems: [
      '"Network" is "10.3.0.0", must be an IP address with its prefix length, as "10.1.0.0/16" or "fd00::/64"',
    ],
  },
  {
    text: `{"Network": "10.3.0.0/16", "SubnetLen": "24", ${vxlan}}`,
    problems: ['"SubnetLen" is "24", must be a whole number; write it without quotes: "SubnetLen": 24'],
  },
  {
    text: `{"Network": "10.3.0.0/16", "SubnetMin": "10.3.1", "EnableIPv6": "true", ${vxlan}}`,
    problems: [
      '"EnableIPv6" is "true", must be true or false; write it without quotes: "EnableIPv6": true',
      '"SubnetMin" is "10.3.1", must be an IP address, as "10.1.2.3" or "fd00::1"',
    ],
  },
  {
    text: '{"Network": "10.3.0.0/16", "Backend": "vxlan"}',
    problems: ['"Backend" is "vxlan", must be an object'],
  },
  {
    text: '{"Network": "10.3.0.0/16", "Backend": {"Type": "vxlan", "VNI": 0}}',
    problems: ['"Backend.VNI" is 0, must be from 1 to 16777215'],
  },
  {
    text: '{"Network": "10.3.0.0/16", "Backend": {"Type": "vxlan", "VNI": 16777216, "Port": 65536, "TxChecksum": "auot"}}',
    problems: [
      '"Backend.VNI" is 16777216, must be from 1 to 16777215',
      '"Backend.Port" is 65536, must be from 0 to 65535',
      '"Backend.TxChecksum" is "auot", must be one of "auto", "on", "off"; did you mean "auto"?',
    ],
  },
  {
    text: `{"Network": "10.3.0.0/16", "NoMasqueradeCIDRs": ["10.0.0.0/8", "10.1.2.3"], ${vxlan}}`,
    problems: [
      '"NoMasqueradeCIDRs[1]" is "10.1.2.3", must be an IP address with its prefix length, as "10.1.0.0/16" or "fd00::/64"',
    ],
  },
];
for (const { text, problems } of refused) {
  t.test(`${JSON.stringify(text)} is refused`, async (t) => {
    t.strictSame(refusal(text), problems);
  });
}

t.test("any document is taken or refused, nothing else", async (t) => {
  const seed = testSeed();
  const random = randomFrom(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const keys = ["Network", "IPv6Network", "SubnetLen", "SubnetMin", "IPv6SubnetMax", "EnableIPv6", "Backend"];
  const values = ["10.0.0.0/8", "fd00::/8", "10.0.0.1", "::", "", "vxlan", 0, -1, 1e300, 0.5, 64, true, null, [], {}];
  const valid = { Network: "10.3.0.0/16", IPv6Network: "fd00::/48", Backend: { Type: "vxlan" } };
  let refusals = 0;
  for (let round = 0; round < 2000; round++) {
    try {
      readNetworkConfig(JSON.stringify({ ...valid, [pick(keys)]: pick(values), [pick(keys)]: pick(values) }));
    } catch (error) {
      if (!(error instanceof InvalidNetworkConfig)) throw error;
      refusals++;
    }
  }
  t.ok(refusals > 0 && refusals < 2000, `${refusals} of 2000 refused, seed ${seed}`);
});

t.test("the samples in conf are taken as they are", async (t) => {
  const folder = new URL("../../conf/", import.meta.url);
  const samples = readdirSync(folder).filter((name) => /^net-conf-.*\.json$/.test(name));
  t.ok(samples.length > 3, "sees the samples");
  for (const sample of samples) {
    t.strictSame(readNetworkConfig(readFileSync(new URL(sample, folder), "utf8")).warnings, [], sample);
  }
});
