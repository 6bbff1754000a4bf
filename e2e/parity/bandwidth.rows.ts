// bandwidth behind a veth pair that is there already: both directions, where limits come from, and what is refused.
import { codes } from "./deviations.ts";
import { intended, type Json, type Row } from "./row.ts";

/** The kernel handles a carrier at once only where the indices of a pair differ, and else once a second. */
const pair =
  "ip link add host0 index 9 type veth peer name eth0 netns $C0 address 02:00:00:00:00:01; ip -n $C0 link set eth0 up; ip link set host0 mtu 1400 up";
const prevResult = {
  cniVersion: "1.0.0",
  interfaces: [{ name: "host0" }, { name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/c0" }],
  ips: [{ address: "10.1.0.2/24", interface: 1 }],
};
const ingress = { ingressRate: 8_000_000, ingressBurst: 800_000 };
const egress = { egressRate: 4_000_000, egressBurst: 400_000 };

function bandwidth(claim: string, keys: Json, more: Partial<Row> = {}): Row {
  const conf = { cniVersion: "1.0.0", name: "net", type: "bandwidth", prevResult, ...keys };
  return { name: `bandwidth: ${claim}`, plugin: "bandwidth", conf, prepare: pair, needs: ["ifb", "tbf"], ...more };
}

const saysWhose = intended("An ifb says in its alias whose it is", {
  go: /: host link bwp\S+ alias $/,
  ours: /: host link bwp\S+ alias cni net container-0 eth0$/,
});
const redirectsOnce = intended("The filter redirects once", { go: /action order 2: mirred .* pass$/ });
const sent = { deviations: [saysWhose, redirectsOnce] };

const configurationCode = intended(codes, { rewritten: [[/: code 999$/, ": code 7"]] });
const refused = (says: string, more: Partial<Row> = {}): Partial<Row> => ({
  steps: [{ verb: "ADD", says }],
  deviations: [configurationCode],
  ...more,
});

export const bandwidthRows: readonly Row[] = [
  bandwidth("no limits pass the result on", {}, { steps: ["ADD", "DEL", "DEL"] }),
  bandwidth("both directions", { ...ingress, ...egress }, sent),
  bandwidth("what is sent", egress, sent),
  bandwidth("more than 32 bits of bytes a second", { egressRate: 80e9, egressBurst: 16e6 }, sent),
  bandwidth("a byte a second", { ingressRate: 8, ingressBurst: 8, egressRate: 16, egressBurst: 8 }, sent),
  bandwidth("bits that are no whole bytes", { ingressRate: 1_000_007, ingressBurst: 100_001 }),
  bandwidth("the runtime's limits", { runtimeConfig: { bandwidth: { ...ingress, ...egress } } }, sent),
  bandwidth("the configuration's go before the runtime's", { ...ingress, runtimeConfig: { bandwidth: egress } }),
];

export const refusedRows: readonly Row[] = [
  bandwidth("a rate without burst", { ingressRate: 8000 }, refused("if rate is set, burst must also be set")),
  bandwidth("a burst without rate", { egressBurst: 8000 }, refused("if burst is set, rate must also be set")),
  bandwidth(
    "a burst that is too long",
    { ingressRate: 8, ingressBurst: 2 ** 35 },
    refused("burst cannot be more than 4GB"),
  ),
  bandwidth("no result before it", { ...ingress, prevResult: undefined }, refused("must be called as chained plugin")),
  bandwidth(
    "no interfaces in the result",
    { ...ingress, prevResult: { ...prevResult, interfaces: [], ips: [] } },
    refused("no interfaces provided"),
  ),
  bandwidth("an interface that is not there", ingress, {
    ...refused("container interface eth9 has no veth peer"),
    call: { ifName: "eth9" },
  }),
  bandwidth(
    "the other end is not in the result",
    { ...ingress, prevResult: { ...prevResult, interfaces: prevResult.interfaces.slice(1), ips: [] } },
    { steps: [{ verb: "ADD", says: "no veth peer of container interface found in host ns" }] },
  ),
];
