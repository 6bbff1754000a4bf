/**
 * Allows forwarding through firewalld: adds addresses to a zone, in the runtime configuration only.
 *
 * @see firewalld.dbus(5), interface org.fedoraproject.FirewallD1.zone
 */
import { CniError, ErrorCode } from "../cni/error.ts";
import { type Bus, findSystemBus, RefusedCall } from "../dbus/bus.ts";
import { FormatError } from "../dbus/message.ts";
import { type Address, formatPrefix } from "../ip/address.ts";
import { SystemError } from "../sys/errno.ts";
import { writeStderr } from "../sys/process.ts";

const NAME = "org.fedoraproject.FirewallD1";
const ZONE = { destination: NAME, path: "/org/fedoraproject/FirewallD1", interface: `${NAME}.zone` };

/**
 * Returns the bus on which firewalld runs; undefined when it does not.
 *
 * @throws SystemError, RefusedCall, FormatError: the bus does not work
 */
export function findFirewalld(): Bus | undefined {
  const bus = findSystemBus();
  if (bus?.hasOwner(NAME)) return bus;
  bus?.close();
  return undefined;
}

/** Returns the bus like `findFirewalld`, but takes a bus that does not work as "not running" and says so on stderr. */
export function lookForFirewalld(): Bus | undefined {
  try {
    return findFirewalld();
  } catch (error) {
    if (!isOfBus(error)) throw error;
    writeStderr(`cannot find out whether firewalld runs: ${error.message}; assuming that it does not run\n`);
    return undefined;
  }
}

const isOfBus = (error: unknown): error is Error =>
  error instanceof SystemError || error instanceof RefusedCall || error instanceof FormatError;

/** Returns the bus on which firewalld runs. @param code The code of the error. @throws CniError firewalld does not run */
export function needFirewalld(code: number): Bus {
  let why = `there is no ${NAME} on the system bus`;
  try {
    const bus = findFirewalld();
    if (bus !== undefined) return bus;
  } catch (error) {
    if (!isOfBus(error)) throw error;
    why = error.message;
  }
  throw new CniError({
    code,
    msg: "firewalld is not running",
    details: `"backend" is "firewalld", but ${why}`,
    remedy: `start it (systemctl start firewalld), or remove "backend"`,
  });
}

const source = (address: Address): string => formatPrefix({ address, length: 8 * address.length });

/** The beginning of firewalld's error text when an address is in the zone already. */
const IS_THERE = /^(ZONE_ALREADY_SET|ALREADY_ENABLED)\b/;

/** Adds the addresses to the zone as sources. @throws CniError 999: firewalld refuses */
export function addSources(bus: Bus, zone: string, addresses: readonly Address[]): void {
  for (const address of addresses) {
    try {
      bus.call({ ...ZONE, member: "addSource", args: [zone, source(address)] });
    } catch (error) {
      if (!(error instanceof RefusedCall)) throw error;
      if (IS_THERE.test(error.message)) continue;
      throw new CniError({
        code: ErrorCode.internal,
        msg: `failed to add the address ${source(address)} to ${zone} zone: ${error.message}`,
        details: `firewalld returned ${error.errorName}`,
        remedy: remedyFor(error.message, zone, address),
        cause: error,
      });
    }
  }
}

function remedyFor(message: string, zone: string, address: Address): string {
  if (message.startsWith("INVALID_ZONE"))
    return `set "firewalldZone" to a zone that firewall-cmd --get-zones lists, or add the zone (firewall-cmd --permanent --new-zone=${zone}, then --reload)`;
  if (message.startsWith("ZONE_CONFLICT"))
    return `see which zone has it (firewall-cmd --get-zone-of-source=${source(address)}) and remove it from that zone (--remove-source)`;
  return "see firewalld's log (journalctl -u firewalld)";
}

/**
 * Removes the addresses from the zone; one that is not in it is left alone. Other refusals are only reported on stderr, since DEL has to
 * go on and firewalld's next reload forgets the address anyway.
 */
export function removeSources(bus: Bus, zone: string, addresses: readonly Address[]): void {
  for (const address of addresses) {
    try {
      bus.call({ ...ZONE, member: "removeSource", args: [zone, source(address)] });
    } catch (error) {
      if (!(error instanceof RefusedCall)) throw error;
      if (IS_GONE.test(error.message)) continue;
      const [why = ""] = error.message.split("\n");
      writeStderr(`firewalld keeps ${source(address)} in zone ${zone} until it is reloaded: ${why}\n`);
    }
  }
}
const IS_GONE = /^(UNKNOWN_SOURCE|NOT_ENABLED|ZONE_CONFLICT|INVALID_ZONE)\b/;

/** Returns a message about the first address that is not in the zone. */
export function missingSource(bus: Bus, zone: string, addresses: readonly Address[]): string | undefined {
  const missing = addresses.find((address) => !isInZone(bus, zone, address));
  return missing === undefined ? undefined : `failed to find the address ${source(missing)} in ${zone} zone`;
}

function isInZone(bus: Bus, zone: string, address: Address): boolean {
  try {
    return bus.call({ ...ZONE, member: "querySource", args: [zone, source(address)] })[0] === true;
  } catch (error) {
    if (error instanceof RefusedCall) return false; // no such zone, or firewalld has gone
    throw error;
  }
}
