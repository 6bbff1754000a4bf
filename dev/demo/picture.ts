// What the demo made, as `ip`, `nft`, `iptables` and the files tell it, in plain characters.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { drawn } from "../../pkg/network/picture.ts";
import { containers, outside, run, uplink } from "./lab.ts";

interface Link {
  ifname: string;
  ifindex: number;
  link_index?: number;
  master?: string;
  addr_info: { family: string; local?: string; prefixlen?: number; scope?: string }[];
}

/** A container's interface and the host's end of it, a port of the bridge. */
interface Attachment {
  container: string;
  inside: Link | undefined;
  hostEnd: Link | undefined;
}

/** The links and addresses of containers, host and outside. */
export function picture(bridge: string): string {
  const host = linksOf();
  const hostLink = (name: string) => described(host.find(({ ifname }) => ifname === name));
  const attachments = containers.map((container): Attachment => {
    const inside = linksOf(container).find(({ ifname }) => ifname === "eth0");
    const hostEnd = host.find(({ ifindex, master }) => ifindex === inside?.link_index && master === bridge);
    return { container, inside, hostEnd };
  });
  return drawn({
    title: "",
    attachments: attachments.map(({ container, inside, hostEnd }) => ({
      container: [container, described(inside)],
      hostEnd: hostEnd?.ifname,
      isLinked: hostEnd !== undefined,
    })),
    middle: hostLink(bridge),
    beyond: [
      { label: "", text: "  :  routed" },
      { label: "", text: hostLink(uplink.name) },
      { label: "", text: "  |" },
      { label: "outside", text: described(linksOf(outside).find(({ ifname }) => ifname === "eth0")) },
    ],
  });
}

function linksOf(namespace?: string): Link[] {
  const where = namespace === undefined ? "" : ` -n ${namespace}`;
  return JSON.parse(run(`ip -j${where} address show`)) as Link[];
}

function described(link: Link | undefined): string {
  if (link === undefined) return "no interface";
  const addresses = link.addr_info
    .filter(({ family, scope }) => family === "inet" || scope === "global")
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
  return [link.ifname, ...addresses].join("  ");
}

/** The host's firewall rules, as an administrator would look at them: iptables shows its own, nft all others. */
export function rules(): string[] {
  const tables = lines(run("nft list tables"));
  const ofIptables = tables.filter((table) => table === IPTABLES_NAT);
  const others = tables.filter((table) => table !== IPTABLES_NAT);
  return [
    ...ofIptables.flatMap(() => lines(run("iptables -t nat -S")).filter((rule) => rule.startsWith("-A"))),
    ...others.flatMap((table) => lines(run(`nft -s list ${table}`))),
  ];
}

const IPTABLES_NAT = "table ip nat";

const lines = (text: string): string[] => text.split("\n").filter((line) => line.trim() !== "");

/** The reserved addresses, with whom each is reserved for. */
export function reservations(network: string): string[] {
  const folder = `/var/lib/cni/networks/${network}`;
  const addresses = existsSync(folder) ? readdirSync(folder).filter((name) => /^[\d.]+$/.test(name)) : [];
  return addresses.sort().map((name) => {
    const [container, ifName] = readFileSync(`${folder}/${name}`, "utf8").split("\r\n");
    return `${folder}/${name}  ${container}, ${ifName}`;
  });
}
