/** What --picture and --svg of inspect draw: a network as it is on this host now. */
import { formatPrefix } from "../../../pkg/ip/address.ts";
import { listAddresses } from "../../../pkg/link/address.ts";
import { withOwnRtnetlink } from "../../../pkg/link/in-namespace.ts";
import { listRoutes } from "../../../pkg/link/route.ts";
import { AF_INET, AF_INET6 } from "../../../pkg/netlink/rtnetlink/family.ts";
import { RT_SCOPE_LINK } from "../../../pkg/netlink/rtnetlink/route.ts";
import { attachmentState, type NetworkAttachment } from "../../../pkg/network/attachment.ts";
import { type AttachmentEnds, endsOf, type HostView } from "../../../pkg/network/attachment-detail.ts";
import type { NetworkDefinition } from "../../../pkg/network/definition.ts";
import { OptionName } from "../../../pkg/network/driver-options.ts";
import type { BeyondRow, Picture } from "../../../pkg/network/picture.ts";

type Addresses = ReturnType<typeof listAddresses>;

export function pictureOf(
  network: NetworkDefinition,
  attachments: readonly NetworkAttachment[],
  view: HostView,
): Picture {
  const { name, driver, ipam, internal } = network;
  const addresses = withOwnRtnetlink(listAddresses);
  const ends = attachments.map((attachment) => endsOf(attachment, view));
  const about = [driver, ...(internal ? ["internal"] : []), ...ipam.config.map(({ subnet }) => subnet)];
  return {
    title: `${name}: ${about.join(", ")}`,
    attachments: attachments.map((attachment, i) => ({
      container: containerLines(attachment, ends[i] as AttachmentEnds).map(printable), // as many as attachments
      hostEnd: hostEndText(ends[i]),
      isLinked: ends[i]?.inside !== undefined,
    })),
    middle: middleOf(network, ends, view, addresses),
    beyond: network.list === undefined || internal ? [] : wayOut(network, view, addresses),
  };
}

/** Whose it is, its addresses, and what is published. */
function containerLines(attachment: NetworkAttachment, { inside, ports }: AttachmentEnds): string[] {
  const { containerName, containerId, pod, ifName, mac, addresses, record } = attachment;
  const isId = containerName === containerId;
  return [
    isId ? shortened(containerId) : containerName,
    ...(pod === undefined ? [] : [`pod ${pod}`]),
    ...(isId ? [] : [shortened(containerId)]),
    `${ifName}${inside === undefined ? "" : ` #${inside.index}`}  ${mac}`,
    ...addresses,
    ...Object.entries(ports).map(([port, at]) => `${at} -> ${port}`),
    ...(attachmentState(attachment) === "alive" ? [] : [`namespace ${attachmentState(attachment)}`]),
    ...(record === undefined ? [] : record.aliases.map((alias) => `alias ${alias}`)),
  ];
}

/** Runtimes' IDs have 64 digits, of which people know the first twelve. */
const shortened = (id: string): string => (/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id);

const hostEndText = (ends: AttachmentEnds | undefined): string | undefined =>
  ends?.outside && `${ends.outside.name} #${ends.outside.index}`;

/** Names may come from whoever made the container, and must not move the terminal's cursor. */
const printable = (text: string): string =>
  [...text].map((one) => (one < " " || (one >= "\u007f" && one < "\u00a0") ? "\ufffd" : one)).join("");

function middleOf(
  { driver, list, options }: NetworkDefinition,
  ends: readonly AttachmentEnds[],
  { links, vnis }: HostView,
  addresses: Addresses,
): string {
  const conf = list?.plugins[0];
  const configured =
    driver === "bridge" ? (conf?.["bridge"] ?? options[OptionName.bridgeName] ?? "cni0") : conf?.["master"];
  const name = ends.find(({ bridge }) => bridge !== undefined)?.bridge ?? configured;
  if (typeof name !== "string" || name === "")
    return driver === "host" ? "the host's own interfaces" : "no interface of the host";
  const link = links.get(name);
  if (link === undefined) return `${name}  (made with the first container)`;
  const vni = vnis.get(name);
  return [described(link, addresses), ...(vni === undefined ? [] : [`VNI ${vni}`])].join("  ");
}

/** The interface's name and index, and its addresses but those that each interface gives itself. */
const described = ({ name, index }: { name: string; index: number }, addresses: Addresses): string =>
  [
    `${name} #${index}`,
    ...(addresses.get(index) ?? [])
      .filter(({ scope }) => scope < RT_SCOPE_LINK)
      .map(({ prefix }) => formatPrefix(prefix)),
  ].join("  ");

/** How packets leave the host: through the interfaces of its default routes. */
function wayOut({ driver, list }: NetworkDefinition, { names }: HostView, addresses: Addresses): BeyondRow[] {
  if (driver !== "bridge") return [];
  const isMasqueraded = list?.plugins[0]?.["ipMasq"] === true;
  const routes = withOwnRtnetlink((rtnl) => [AF_INET, AF_INET6].flatMap((family) => listRoutes(rtnl, family)));
  const uplinks = new Map<string, number>();
  for (const { destination, outputIndex = 0 } of routes) {
    const name = names.get(outputIndex);
    if (destination !== undefined || name === undefined) continue;
    uplinks.set(name, outputIndex);
  }
  return [
    { label: "", text: `  :  routed${isMasqueraded ? ", masquerade" : ""}` },
    ...[...uplinks].map(([name, index]) => ({ label: "", text: described({ name, index }, addresses) })),
    ...(uplinks.size === 0 ? [{ label: "", text: "no default route: nowhere beyond this host's own networks" }] : []),
  ];
}
