import t from "tap";
import { formatMac } from "../../pkg/link/mac.ts";
import { type BridgeConf, parseSettings } from "./netconf.ts";

const conf = (keys: Partial<BridgeConf> = {}): BridgeConf => ({ type: "bridge", ...keys });

t.test("without keys: a plain layer 2 bridge", async (t) => {
  t.strictSame(parseSettings(conf(), undefined), {
    bridge: "cni0",
    isGateway: false,
    isDefaultGateway: false,
    forceAddress: false,
    masquerade: undefined,
    mtu: 0,
    hairpin: false,
    promiscuous: false,
    isolated: false,
    internal: false,
    vlan: 0,
    trunk: undefined,
    preserveDefaultVlan: false,
    macSpoofCheck: false,
    duplicateAddressDetection: false,
    containerInterfaceDown: false,
    ipam: undefined,
    mac: undefined,
  });
});

t.test("isDefaultGateway implies isGateway", async (t) => {
  t.equal(parseSettings(conf({ isDefaultGateway: true }), undefined).isGateway, true);
});

t.test("masquerade needs addresses", async (t) => {
  t.equal(parseSettings(conf({ ipMasq: true }), undefined).masquerade, undefined);
  t.equal(parseSettings(conf({ ipMasq: true, ipam: {} }), undefined).masquerade, undefined);
  t.strictSame(parseSettings(conf({ ipMasq: true, ipam: { type: "host-local" } }), undefined).masquerade, {
    backend: undefined,
  });
});

t.test("the MAC of runtimeConfig goes before args.cni, and that before CNI_ARGS", async (t) => {
  const [one, two, three] = ["02:00:00:00:00:01", "02-00-00-00-00-02", "0200.0000.0003"];
  const mac = (keys: Partial<BridgeConf>, args?: string) =>
    formatMac(parseSettings(conf(keys), args).mac ?? new Uint8Array());
  t.equal(mac({ runtimeConfig: { mac: one }, args: { cni: { mac: two } } }, three), one);
  t.equal(mac({ args: { cni: { mac: two } } }, three), "02:00:00:00:00:02");
  t.equal(mac({}, three), "02:00:00:00:00:03");
  t.equal(mac({ runtimeConfig: { mac: "" } }, three), "02:00:00:00:00:03", "empty is absent");
});

const refusals: { keys: Partial<BridgeConf>; args?: string; msg: string }[] = [
  {
    keys: { hairpinMode: true, promiscMode: true },
    msg: "cannot set hairpin mode and promiscuous mode at the same time",
  },
  {
    keys: { disableContainerInterface: true, ipam: { type: "host-local" } },
    msg: "cannot use IPAM when DisableContainerInterface flag is set",
  },
  { keys: { internal: true, isGateway: true }, msg: "the host cannot be the gateway of a network that is internal" },
  { keys: { vlan: -1 }, msg: "invalid VLAN ID -1 (must be between 0 and 4094)" },
  { keys: { vlan: 4095 }, msg: "invalid VLAN ID 4095 (must be between 0 and 4094)" },
  {
    keys: { vlanTrunk: [{ minID: 1 }] },
    msg: "minID and maxID should be configured simultaneously, maxID is missing",
  },
  {
    keys: { vlanTrunk: [{ maxID: 1 }] },
    msg: "minID and maxID should be configured simultaneously, minID is missing",
  },
  { keys: { vlanTrunk: [{ id: 5000 }] }, msg: "incorrect trunk id parameter" },
  { keys: { vlanTrunk: [{ id: -1 }] }, msg: "incorrect trunk id parameter" },
  { keys: { vlanTrunk: [{ minID: -1, maxID: 3 }] }, msg: "incorrect trunk minID parameter" },
  { keys: { vlanTrunk: [{ minID: 1, maxID: 5000 }] }, msg: "incorrect trunk maxID parameter" },
  { keys: { vlanTrunk: [{ minID: 1000, maxID: 100 }] }, msg: "minID is greater than maxID in trunk parameter" },
  { keys: {}, args: "02:zz", msg: '"02:zz" is not a MAC address' },
];
for (const { keys, args, msg } of refusals) {
  t.test(`refused with code 7 and a remedy: ${msg}`, async (t) => {
    try {
      parseSettings(conf(keys), args);
      t.fail("was accepted");
    } catch (error) {
      t.match(error, { code: 7, msg, details: /^To fix: ./ });
    }
  });
}

const trunks: { entries: NonNullable<BridgeConf["vlanTrunk"]>; ids: number[] }[] = [
  { entries: [], ids: [] },
  { entries: [{ id: 10 }, { minID: 100, maxID: 105 }], ids: [10, 100, 101, 102, 103, 104, 105] },
  { entries: [{ id: 7, minID: 5, maxID: 6 }], ids: [5, 6, 7] },
  { entries: [{ minID: 3, maxID: 5 }, { minID: 4, maxID: 6 }, { id: 1 }], ids: [1, 3, 4, 5, 6] },
];
for (const { entries, ids } of trunks) {
  t.test(`the trunk ${JSON.stringify(entries)} has ${ids.length} VLANs`, async (t) => {
    t.strictSame(parseSettings(conf({ vlanTrunk: entries }), undefined).trunk, ids);
  });
}
