import t from "tap";
import { parseSettings } from "./netconf.ts";

t.test("without keys: flannel's files, bridge and host-local", async (t) => {
  t.strictSame(parseSettings({ type: "flannel" }), {
    subnetFile: "/run/flannel/subnet.env",
    dataDir: "/var/lib/cni/flannel",
    delegate: { type: "bridge" },
    ipam: { type: "host-local" },
    runtimeConfig: undefined,
  });
});

t.test("given keys are kept, also those that nobody knows", async (t) => {
  const delegate = { type: "ipvlan", mode: "l3", deep: { x: [1] } };
  const ipam = { type: "calico-ipam", pool: "x" };
  const runtimeConfig = { mac: "02:00:00:00:00:01" };
  const given = { subnetFile: "/a/b.env", dataDir: "/c", delegate, ipam, runtimeConfig };
  t.strictSame(parseSettings({ type: "flannel", ...given }), given);
});

t.test("empty texts are no paths", async (t) => {
  t.match(parseSettings({ type: "flannel", subnetFile: "", dataDir: "" }), {
    subnetFile: "/run/flannel/subnet.env",
    dataDir: "/var/lib/cni/flannel",
  });
});

const refused: { key: string; details: string }[] = [
  { key: "name", details: `To fix: remove "delegate.name": the network's own name is used` },
  {
    key: "ipam",
    details: 'To fix: move "delegate.ipam" to the same level as "delegate": flannel adds ranges and routes to it',
  },
];
for (const { key, details } of refused) {
  t.test(`a delegate's "${key}" is refused`, async (t) => {
    const msg = `'delegate' dictionary must not have '${key}' field, it'll be set by flannel`;
    t.throws(() => parseSettings({ type: "flannel", delegate: { [key]: {} } }), { code: 7, msg, details });
  });
}
