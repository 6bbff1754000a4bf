/** Finds conflicts between the networks of one host, and which of them a runtime uses. Pure. */
import { compareAddresses, formatAddress, formatPrefix, overlaps } from "../../../pkg/ip/address.ts";
import { type Finding, findingAt, inside, type Location } from "./finding.ts";
import type { Network, PluginEntry } from "./lint-file.ts";
import type { LocatedRange } from "./ranges.ts";

/** Returns the conflicts with networks of other files, each at the place in `network`. */
export function networkConflicts(network: Network, others: readonly Network[]): Finding[] {
  return others.flatMap((other) => {
    if (other.name === network.name) return sameName(network, other);
    return [...sameBridge(network, other), ...overlapping(network, other)];
  });
}

/** Finds a duplicate name. Runtimes that look a network up by name read the lists first, each kind in the order of file names. */
function sameName(network: Network, other: Network): Finding[] {
  const [used] = [network.file, other.file].sort(inOrderOfLookup);
  const text = `network "${network.name}" is also in ${other.file}`;
  return [
    findingAt(
      inside(network.place, "name"),
      "error",
      text,
      `rename one of the two; runtimes that look for the name use ${used}`,
    ),
  ];
}

const inOrderOfLookup = (one: string, other: string): number =>
  Number(!one.endsWith(".conflist")) - Number(!other.endsWith(".conflist")) || (one < other ? -1 : 1);

/** Finds a shared bridge: both networks set a gateway's address on it. */
function sameBridge(network: Network, other: Network): Finding[] {
  const taken = gatewayBridges(other).map(({ bridge }) => bridge);
  return gatewayBridges(network)
    .filter(({ bridge }) => taken.includes(bridge))
    .map(({ bridge, place }) => {
      const text = `bridge "${bridge}" is also the gateway of network "${other.name}" (${other.file})`;
      return findingAt(place, "warning", text, 'set "bridge" to a name that no other network uses');
    });
}

function gatewayBridges({ plugins }: Network): { bridge: string; place: Location }[] {
  return plugins
    .filter(({ type, conf }) => type === "bridge" && (conf["isGateway"] === true || conf["isDefaultGateway"] === true))
    .map(({ conf, place }) => ({ bridge: bridgeOf(conf), place: inside(place, "bridge") }));
}

/** Returns the bridge's name, by default the plugin's default. */
const bridgeOf = ({ bridge }: PluginEntry["conf"]): string =>
  typeof bridge === "string" && bridge !== "" ? bridge : "cni0";

function overlapping(network: Network, other: Network): Finding[] {
  const taken = other.plugins.flatMap(({ ranges }) => ranges);
  return network.plugins
    .flatMap(({ ranges }) => ranges)
    .flatMap((range) =>
      taken.filter(({ subnet }) => overlaps(subnet, range.subnet)).map((second) => overlap(range, second, other)),
    );
}

function overlap(range: LocatedRange, second: LocatedRange, other: Network): Finding {
  const { file, line, column } = findingAt(second.place, "warning", "");
  const text =
    `subnet ${formatPrefix(range.subnet)} overlaps with ${formatPrefix(second.subnet)} of network "${other.name}" ` +
    `(${file}:${line}:${column})`;
  const from = compareAddresses(range.start, second.start) > 0 ? range.start : second.start;
  const to = compareAddresses(range.end, second.end) < 0 ? range.end : second.end;
  const hint =
    compareAddresses(from, to) <= 0
      ? `both allocate ${formatAddress(from)} to ${formatAddress(to)}, so two containers may get the same address`
      : "they allocate different addresses, but the host cannot route to both";
  return findingAt(range.place, "warning", text, hint);
}

/** Notes the order of files: some runtimes use only one network, that of the first file, whatever its kind. */
export function loadOrderNotes(networks: readonly Network[]): Finding[] {
  const [first, ...others] = networks.toSorted((one, other) => (one.file < other.file ? -1 : 1));
  if (first === undefined || others.length === 0) return [];
  const names = new Set(others.map(({ name }) => name).filter((name) => name !== first.name));
  if (names.size === 0) return [];
  const rest = Array.from(names, (name) => `"${name}"`).join(", ");
  const text = `sorts first: runtimes that use one network (containerd, CRI-O) use "${first.name}", not ${rest}`;
  const hint =
    "rename the file of the intended network so that it sorts first; podman and nerdctl select networks by name";
  return [findingAt(first.place, "note", text, hint)];
}
