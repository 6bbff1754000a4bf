// A whole attachment to a bridge, on a fake kernel: made, configured and deleted.
import t from "tap";
import type { Result } from "../cni/result.ts";
import { ensureBridge } from "./bridge.ts";
import { type Hosts, hosts, owner, textOf } from "./cases.testing.ts";
import { configure } from "./configure.ts";
import { deleteLink, type Link } from "./link.ts";
import { deleteOwnedLinks, deleteStaleLinks } from "./owner.ts";
import { createVeth } from "./veth.ts";

// no machine has a link of this name, whose sysctls are written
const BRIDGE = { name: "fake-br0", mtu: 0, vlanFiltering: false, promiscuous: false };

const loopback = "1: lo down mtu 65536\n";

function attach({ host, container }: Hosts): Link {
  const bridge = ensureBridge(host.connect(), BRIDGE);
  const { inside } = createVeth(host.connect(), {
    netns: container.netns,
    container: container.connect(),
    ifName: "eth0",
    mtu: 1400,
    master: bridge.index,
    owner: owner("a"),
  });
  return inside;
}

const result: Pick<Result, "ips" | "routes"> = {
  ips: [{ address: "10.22.0.5/16", gateway: "10.22.0.1" }],
  routes: [{ dst: "0.0.0.0/0" }, { dst: "10.99.0.0/16", gw: "10.22.0.2" }],
};

function set({ container }: Hosts, link: Link): void {
  configure({ netns: container.netns, rtnl: container.connect(), link, sysctls: {} }, result);
}

t.test("an attachment to a bridge", async (t) => {
  const all = hosts();
  set(all, attach(all));
  t.equal(
    textOf(all),
    `${loopback}2: fake-br0 bridge up mtu 1500
chosen: vethX veth up mtu 1400 link eth0 master fake-br0 alias "cni podnet a eth0"
--
${loopback}2: eth0 veth up mtu 1400 link vethX
  address 10.22.0.5/16
route 10.22.0.0/16 dev eth0 scope link src 10.22.0.5
route default via 10.22.0.1 dev eth0
route 10.99.0.0/16 via 10.22.0.2 dev eth0
`,
  );
});

t.test("made and deleted, by either end or by its owner, leaves what was there", async (t) => {
  const ends: ((all: Hosts) => unknown)[] = [
    ({ container }) => deleteLink(container.connect(), "eth0"),
    ({ host }) => deleteOwnedLinks(host.connect(), owner("a")),
    ({ host }) => deleteStaleLinks(host.connect(), "podnet", [owner("other")]),
  ];
  for (const end of ends) {
    const all = hosts();
    ensureBridge(all.host.connect(), BRIDGE);
    const before = textOf(all);
    set(all, attach(all));
    end(all);
    t.equal(textOf(all), before);
    end(all);
    t.equal(textOf(all), before, "a second time");
  }
});
