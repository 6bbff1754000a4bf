/** create: makes a network. */
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";
import type { Command, FlagValues } from "../../../pkg/command-line/command.ts";
import { drivers } from "../../../pkg/network/driver-options.ts";
import { writeNetwork } from "../../../pkg/network/network-directory.ts";
import { type NetworkRequest, newNetwork } from "../../../pkg/network/new-network.ts";
import { defaultPools, parsePool } from "../../../pkg/network/subnet.ts";
import { nowMs } from "../../../pkg/sys/clock.ts";
import { randomHex } from "../../../pkg/sys/random.ts";
import { hostHasLink, hostRoutes, onHost } from "./surroundings.ts";

export const create: Command = {
  name: "create",
  operands: "<network>",
  required: 1,
  most: 1,
  about: "create a network",
  details: [
    "Writes a list of plugins into the directory of configurations, for all runtimes of this host, and prints the network's ID.",
    "Without --subnet, a free one is chosen, which overlaps no route of the host and no network.",
  ].join("\n"),
  flags: [
    { name: "driver", short: "d", value: "DRIVER", about: `${drivers.join(", ")} (bridge)`, complete: () => drivers },
    { name: "subnet", value: "CIDR", isList: true, about: "subnet, as 10.5.0.0/24; one of each family" },
    { name: "ip-range", value: "CIDR", isList: true, about: "part of the subnet that addresses are chosen from" },
    { name: "gateway", value: "ADDRESS", isList: true, about: "gateway of the subnet (its first address)" },
    { name: "aux-address", value: "NAME=ADDRESS", about: "address that is given to no container" },
    { name: "ipv6", about: "give containers IPv6 addresses too; needs a --subnet of IPv6" },
    { name: "internal", about: "no way out of the network, nor from the host into it" },
    { name: "attachable", about: "shown by inspect; containers can be connected to every network" },
    { name: "scope", value: "SCOPE", about: "local: networks are this host's", complete: () => ["local"] },
    { name: "label", value: "KEY=VALUE", about: "label of the network" },
    { name: "opt", short: "o", value: "KEY=VALUE", about: "option of the driver, as mtu=1400 or parent=eth0" },
    { name: "ipam-driver", value: "DRIVER", about: "default (host-local), dhcp, static" },
    { name: "ipam-opt", value: "KEY=VALUE", about: "dataDir or resolvConf of host-local, daemonSocketPath of dhcp" },
    {
      name: "default-address-pool",
      value: "base=CIDR,size=LENGTH",
      about: "where subnets are chosen from (172.17.0.0/16 and on, then 192.168.0.0/16)",
    },
  ],
  examples: [
    "twill network create front",
    "twill network create --subnet 10.5.0.0/24 --gateway 10.5.0.254 --label tier=web front",
  ],
  run({ operands: [name = ""], values, flags, context }) {
    refuseScope(flags.get("scope") ?? "local");
    const request: NetworkRequest = {
      name,
      driver: flags.get("driver") ?? "bridge",
      internal: flags.has("internal"),
      attachable: flags.has("attachable"),
      ipv6: flags.has("ipv6"),
      labels: pairsOf("label", values),
      options: pairsOf("opt", values),
      ipamDriver: flags.get("ipam-driver") ?? "default",
      ipamOptions: pairsOf("ipam-opt", values),
      subnets: values.get("subnet") ?? [],
      ipRanges: values.get("ip-range") ?? [],
      gateways: values.get("gateway") ?? [],
      auxAddresses: values.get("aux-address") ?? [],
    };
    const pools = values.get("default-address-pool")?.map(parsePool) ?? defaultPools;
    const id = onHost(context, ({ networks, directory }) => {
      const host = { networks, routes: hostRoutes(), pools, hasLink: hostHasLink };
      const identity = { id: randomHex(ID_BYTES), created: new Date(nowMs()).toISOString() };
      const { document } = newNetwork(request, host, identity);
      writeNetwork(directory, name, document);
      return identity.id;
    });
    context.streams.stdout(`${id}\n`);
    return 0;
  },
};

const ID_BYTES = 32;

function refuseScope(scope: string): void {
  if (scope === "local") return;
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg: `invalid scope ${JSON.stringify(scope)}`,
    remedy: "remove --scope: networks are this host's; for networks of several hosts see flanneld",
  });
}

/** Reads KEY=VALUE; a key alone has the value "", as in Docker. @throws CniError 4: the key is missing */
function pairsOf(flag: string, values: FlagValues): Record<string, string> {
  return Object.fromEntries(
    (values.get(flag) ?? []).map((text) => {
      const equals = text.indexOf("=");
      const key = equals < 0 ? text : text.slice(0, equals);
      if (key !== "") return [key, equals < 0 ? "" : text.slice(equals + 1)];
      throw new CniError({
        code: ErrorCode.invalidEnvironment,
        msg: `--${flag} ${JSON.stringify(text)} has no key`,
        remedy: `write --${flag} KEY=VALUE`,
      });
    }),
  );
}
