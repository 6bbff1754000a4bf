/** The list of plugins that is a network: what stands in its file. Pure. */
import type { JsonObject } from "../config/json.ts";
import { factsKey, type NetworkFacts, type SubnetConf } from "./definition.ts";
import { isOn, OptionName } from "./driver-options.ts";
import { rangesOf } from "./subnet.ts";

/** Runtimes whose library is older than version 1.1.0 of the specification read `cniVersion`, newer ones the highest of `cniVersions`. */
const versions = { cniVersion: "1.0.0", cniVersions: ["0.4.0", "1.0.0", "1.1.0"] };

/** Returns the document of a network. @throws CniError 7: its subnets leave no address */
export function networkDocument(name: string, facts: NetworkFacts): JsonObject {
  const plugins = facts.driver === "bridge" ? bridgePlugins(facts) : [childPlugin(facts)];
  return { ...versions, name, plugins, [factsKey]: { ...facts } as unknown as JsonObject };
}

/** Returns the name of a network's bridge. */
export const bridgeNameOf = ({ id, options }: Pick<NetworkFacts, "id" | "options">): string =>
  options[OptionName.bridgeName] ?? `br-${id.slice(0, 12)}`;

function bridgePlugins(facts: NetworkFacts): JsonObject[] {
  const { internal, options } = facts;
  const bridge = {
    type: "bridge",
    bridge: bridgeNameOf(facts),
    ...(internal ? { internal } : {}),
    isGateway: !internal,
    ipMasq: !internal && isOn(options, OptionName.masquerade, true),
    hairpinMode: true,
    ...mtuOf(facts),
    ...(isOn(options, OptionName.icc, true) ? {} : { portIsolation: true }),
    ipam: ipamOf(facts),
    capabilities: { ips: true, mac: true },
  };
  const portmap = { type: "portmap", capabilities: { portMappings: true } };
  const firewall = { type: "firewall", ingressPolicy: "same-bridge" };
  return internal ? [bridge, firewall] : [bridge, portmap, firewall];
}

function childPlugin(facts: NetworkFacts): JsonObject {
  const { driver, options } = facts;
  const mode = options[driver === "macvlan" ? OptionName.macvlanMode : OptionName.ipvlanMode];
  return {
    type: driver,
    master: options[OptionName.parent] ?? "",
    ...(mode !== undefined && { mode }),
    ...mtuOf(facts),
    ipam: ipamOf(facts),
    capabilities: { ips: true, ...(driver === "macvlan" && { mac: true }) },
  };
}

const mtuOf = ({ options }: NetworkFacts): { mtu?: number } => {
  const mtu = options[OptionName.mtu];
  return mtu === undefined ? {} : { mtu: Number(mtu) };
};

function ipamOf({ ipam: { driver, options, config }, internal }: NetworkFacts): JsonObject {
  const routes = internal ? [] : config.map(defaultRouteOf);
  if (driver === "dhcp" || driver === "static")
    return { type: driver, ...(driver === "static" && { routes }), ...options };
  return { type: "host-local", ranges: config.map(rangesOf), ...(routes.length > 0 && { routes }), ...options };
}

const defaultRouteOf = ({ subnet }: SubnetConf) => ({ dst: subnet.includes(":") ? "::/0" : "0.0.0.0/0" });
