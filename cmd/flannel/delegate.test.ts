import t from "tap";
import { parsePrefix } from "../../pkg/ip/address.ts";
import type { SubnetEnv } from "../../pkg/subnet-env/read-strict.ts";
import { delegateConf } from "./delegate.ts";
import { type FlannelConf, parseSettings } from "./netconf.ts";

const prefixes = (...texts: string[]) => texts.flatMap((text) => parsePrefix(text) ?? []);
const ipv4: SubnetEnv = {
  networks: prefixes("10.1.0.0/16"),
  subnets: prefixes("10.1.17.0/24"),
  mtu: 1472,
  ipMasq: true,
};
const dual: SubnetEnv = {
  ...ipv4,
  networks: prefixes("10.1.0.0/16", "10.2.0.0/16", "fc00::/48"),
  subnets: prefixes("10.1.17.0/24", "fc00:0:0:1::/64"),
};

const cases: { what: string; conf?: Partial<FlannelConf>; cniVersion?: string; env?: SubnetEnv; made: object }[] = [
  {
    what: "nothing but the type: bridge and host-local",
    made: {
      name: "mynet",
      type: "bridge",
      mtu: 1472,
      ipMasq: false,
      isGateway: true,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.1.17.0/24" }]], routes: [{ dst: "10.1.0.0/16" }] },
    },
  },
  {
    what: "a version, and what was given instead of defaults",
    conf: { delegate: { mtu: 1400, ipMasq: true, isGateway: false, hairpinMode: true } },
    cniVersion: "1.1.0",
    made: {
      name: "mynet",
      cniVersion: "1.1.0",
      type: "bridge",
      mtu: 1400,
      ipMasq: true,
      isGateway: false,
      hairpinMode: true,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.1.17.0/24" }]], routes: [{ dst: "10.1.0.0/16" }] },
    },
  },
  {
    what: "a delegate that is no bridge, and what the runtime adds",
    conf: { delegate: { type: "ipvlan", master: "eth0" }, runtimeConfig: { mac: "02:00:00:00:00:01" } },
    env: { ...ipv4, ipMasq: false },
    made: {
      name: "mynet",
      type: "ipvlan",
      master: "eth0",
      mtu: 1472,
      ipMasq: true,
      runtimeConfig: { mac: "02:00:00:00:00:01" },
      ipam: { type: "host-local", ranges: [[{ subnet: "10.1.17.0/24" }]], routes: [{ dst: "10.1.0.0/16" }] },
    },
  },
  {
    what: "two families, an IPAM of its own with routes and ranges",
    conf: {
      ipam: { type: "custom", pool: 7, ranges: [], routes: [{ dst: "0.0.0.0/0", gw: "10.1.17.9" }] },
    },
    env: dual,
    made: {
      name: "mynet",
      type: "bridge",
      mtu: 1472,
      ipMasq: false,
      isGateway: true,
      ipam: {
        type: "custom",
        pool: 7,
        ranges: [[{ subnet: "10.1.17.0/24" }], [{ subnet: "fc00:0:0:1::/64" }]],
        routes: [
          { dst: "0.0.0.0/0", gw: "10.1.17.9" },
          { dst: "10.1.0.0/16" },
          { dst: "10.2.0.0/16" },
          { dst: "fc00::/48" },
        ],
      },
    },
  },
  {
    what: "top-level keys that are not the delegate's stay behind",
    conf: { capabilities: { mac: true }, args: { cni: {} }, dns: { domain: "x" }, prevResult: {} },
    made: {
      name: "mynet",
      type: "bridge",
      mtu: 1472,
      ipMasq: false,
      isGateway: true,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.1.17.0/24" }]], routes: [{ dst: "10.1.0.0/16" }] },
    },
  },
];
for (const { what, conf = {}, cniVersion, env = ipv4, made } of cases) {
  t.test(`the delegate of ${what}`, async (t) => {
    const settings = parseSettings({ type: "flannel", ...conf });
    t.strictSame(delegateConf(settings, { name: "mynet", cniVersion }, env), made);
  });
}
