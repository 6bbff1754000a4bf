// The sources of firewalld's zones: it alone knows them, and forgets them when it is reloaded.
import { type Bus, FIREWALLD, FIREWALLD_PATH } from "../lab/firewalld.ts";

function call(bus: Bus, method: string, ...args: string[]): string {
  const { status, printed } = bus.send(FIREWALLD, FIREWALLD_PATH, `${FIREWALLD}.${method}`, ...args);
  if (status !== 0) throw new Error(`firewalld, ${method} ${args.join(" ")}: ${printed}`);
  return printed;
}

const stringsIn = (printed: string): string[] => [...printed.matchAll(/string "(.*)"/g)].map(([, text = ""]) => text);

/** By zone, of those that have any. */
export function readSources(bus: Bus): Record<string, string[]> {
  const zones = stringsIn(call(bus, "zone.getZones"));
  const sources = zones.map((zone) => [zone, stringsIn(call(bus, "zone.getSources", `string:${zone}`))] as const);
  return Object.fromEntries(sources.filter(([, ofZone]) => ofZone.length > 0));
}

export function addSources(bus: Bus, zones: Record<string, readonly string[]>): void {
  for (const [zone, sources] of Object.entries(zones))
    for (const source of sources) call(bus, "zone.addSource", `string:${zone}`, `string:${source}`);
}

/** As `firewall-cmd --reload` does: rules of iptables and sources are gone after it. */
export const reloadFirewalld = (bus: Bus): unknown => call(bus, "reload");
