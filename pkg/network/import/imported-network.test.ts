// What dockerd 20.10.24 and podman 4.3.1 of Debian have written, and what of it becomes a request for a network.
import { readdirSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import t from "tap";
import { dockerNetworks } from "./docker-networks.ts";
import type { ImportedNetwork } from "./imported-network.ts";
import { podmanNetwork } from "./podman-networks.ts";

const folder = "pkg/network/import/fixtures";
const content = new Uint8Array(gunzipSync(readFileSync(`${folder}/docker-20.10.24.db.gz`)));

const nothing = {
  internal: false,
  ipv6: false,
  labels: {},
  options: {},
  ipamDriver: "default",
  ipamOptions: {},
  ipRanges: [],
  gateways: [],
  auxAddresses: [],
};
const byName = (networks: readonly ImportedNetwork[]) =>
  Object.fromEntries(networks.map((one) => [one.request.name, one.request]));

t.test("Docker's networks are read with subnets, labels and options, but for those of every host", async (t) => {
  const { networks, problems } = dockerNetworks(content, "local-kv.db");
  t.strictSame(problems, []);
  t.strictSame(byName(networks), {
    apart: {
      ...nothing,
      name: "apart",
      driver: "bridge",
      options: {
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.enable_ip_masquerade": "false",
      },
      subnets: ["172.20.0.0/16"],
      gateways: ["172.20.0.1"],
    },
    back: {
      ...nothing,
      name: "back",
      driver: "bridge",
      labels: { plain: "", tier: "db" },
      options: { "com.docker.network.bridge.name": "br-back", "com.docker.network.driver.mtu": "1400" },
      subnets: ["10.5.0.0/24"],
      ipRanges: ["10.5.0.128/25"],
      gateways: ["10.5.0.254"],
      auxAddresses: ["router=10.5.0.253"],
    },
    mv: {
      ...nothing,
      name: "mv",
      driver: "macvlan",
      options: { parent: "par0" },
      subnets: ["192.168.9.0/24"],
      gateways: ["192.168.9.1"],
    },
    n1: { ...nothing, name: "n1", driver: "bridge", subnets: ["172.18.0.0/16"], gateways: ["172.18.0.1"] },
    quiet: {
      ...nothing,
      name: "quiet",
      driver: "bridge",
      internal: true,
      subnets: ["172.19.0.0/16"],
      gateways: ["172.19.0.1"],
    },
    six: {
      ...nothing,
      name: "six",
      driver: "bridge",
      ipv6: true,
      subnets: ["10.77.0.0/24", "fd00:77::/64"],
      gateways: ["10.77.0.1", "fd00:77::1"],
    },
    "with space": {
      ...nothing,
      name: "with space",
      driver: "bridge",
      subnets: ["172.21.0.0/16"],
      gateways: ["172.21.0.1"],
    },
  });
  t.equal(
    networks.find(({ request }) => request.name === "n1")?.id,
    "2ad9bb940c6c8d132eebb1d86350915c9f5d16685e1db4be5591f9b40d171297",
  );
  t.strictSame(dockerNetworks(content.slice(0, 100), "x.db"), {
    networks: [],
    problems: ["x.db cannot be read as Docker's database: page 12 is behind its end"],
  });
});

t.test("podman's networks of netavark are read, a range of leases as the prefix that it is", async (t) => {
  const found = readdirSync(`${folder}/podman-4.3.1`).map((file) =>
    podmanNetwork(readFileSync(`${folder}/podman-4.3.1/${file}`, "utf8"), file),
  );
  const own = { ...nothing, ipamDriver: "host-local" };
  const bridge = (name: string) => ({ "com.docker.network.bridge.name": name });
  t.strictSame(byName(found.flatMap(({ networks }) => networks)), {
    back: {
      ...own,
      name: "back",
      driver: "bridge",
      labels: { tier: "db" },
      options: { ...bridge("podman1"), mtu: "1400" },
      subnets: ["10.5.0.0/24"],
      ipRanges: ["10.5.0.128/25"],
      gateways: ["10.5.0.254"],
    },
    mv: {
      ...own,
      name: "mv",
      driver: "macvlan",
      options: { parent: "par0" },
      subnets: ["192.168.9.0/24"],
      gateways: ["192.168.9.1"],
    },
    quiet: {
      ...own,
      name: "quiet",
      driver: "bridge",
      internal: true,
      options: bridge("podman2"),
      subnets: ["10.89.0.0/24"],
      gateways: ["10.89.0.1"],
    },
    six: {
      ...own,
      name: "six",
      driver: "bridge",
      ipv6: true,
      options: bridge("podman3"),
      subnets: ["10.77.0.0/24", "fd00:77::/64"],
      gateways: ["10.77.0.1", "fd00:77::1"],
    },
  });
  t.strictSame(
    found.flatMap(({ problems }) => problems),
    ["tagged.json: network tagged has the option vlan, which twill network does not know"],
  );
});

t.test("a file that is no network of podman is told with what is wrong", async (t) => {
  const whole = { name: "n", id: "0".repeat(64), driver: "bridge", subnets: [{ subnet: "10.5.0.0/24" }] };
  const lease = { start_ip: "10.5.0.3", end_ip: "10.5.0.9" };
  const missing = "it is no network of netavark: id, name, driver or subnets are missing or wrong";
  const rows: [document: unknown, problem: string][] = [
    ["no object", "it is no JSON object"],
    [{ ...whole, id: "12" }, missing],
    [{ ...whole, driver: 1 }, missing],
    [{ ...whole, subnets: "10.5.0.0/24" }, missing],
    [{ ...whole, subnets: [{ subnet: "10.5.0.0/24", lease_range: 5 }] }, missing],
    [
      { ...whole, subnets: [{ subnet: "10.5.0.0/24", lease_range: lease }] },
      "the lease_range of 10.5.0.0/24 in network n is no range that a prefix has",
    ],
  ];
  for (const [document, problem] of rows)
    t.strictSame(podmanNetwork(JSON.stringify(document), "n.json"), { networks: [], problems: [`n.json: ${problem}`] });
  t.strictSame(podmanNetwork("{", "n.json").problems, ["n.json: it is no JSON object"]);
});
