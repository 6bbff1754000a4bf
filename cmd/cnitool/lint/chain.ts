/** Checks whether the plugins of a list fit together, which none of them can see alone. Pure. */
import { isObject, type JsonObject } from "../../../pkg/config/json.ts";
import { type Finding, findingAt, inside, type Location } from "./finding.ts";

interface Member {
  type: string;
  conf: JsonObject;
  place: Location;
}

/** The plugins that fail without the result of another plugin. */
const chained: readonly string[] = ["bandwidth", "dnsname", "firewall", "portmap", "sbr", "tuning", "vrf"];

export function chainFindings(plugins: readonly Member[]): Finding[] {
  const [first] = plugins;
  return [
    ...(first !== undefined && chained.includes(first.type) ? [standsFirst(first)] : []),
    ...plugins.flatMap(withoutInput),
  ];
}

function standsFirst({ type, place }: Member): Finding {
  const text = `plugin "${type}" works on the interface of another plugin, but is the first one`;
  return findingAt(inside(place, "type"), "error", text, `put a plugin that creates an interface first, as "bridge"`);
}

/** Input that runtimes pass only to plugins that ask for it. */
const inputs: Readonly<Record<string, { capability: string; unless: readonly string[]; effect: string }>> = {
  bandwidth: { capability: "bandwidth", unless: ["ingressRate", "egressRate"], effect: "it never sets a limit" },
  portmap: { capability: "portMappings", unless: [], effect: "it never maps a port" },
};

function withoutInput({ type, conf, place }: Member): Finding[] {
  const input = Object.hasOwn(inputs, type) ? inputs[type] : undefined;
  if (input === undefined || isObject(conf["runtimeConfig"])) return [];
  if (asksFor(conf, input.capability) || input.unless.some((key) => key in conf)) return [];
  const text = `plugin "${type}" does not request the capability "${input.capability}", so ${input.effect}`;
  return [findingAt(inside(place, "type"), "warning", text, `add "capabilities": {"${input.capability}": true}`)];
}

function asksFor({ capabilities }: JsonObject, name: string): boolean {
  return isObject(capabilities) && capabilities[name] === true;
}
