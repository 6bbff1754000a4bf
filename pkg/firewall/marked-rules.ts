/**
 * Lists the rules that name an attachment in their comment, of all features and backends, for those who look for rules of attachments that
 * no longer exist. Rules whose comment names only a container or an address are not among them.
 */

import type { AttachmentId } from "../cni/attachment-id.ts";
import type { Connection } from "../netlink/connection.ts";
import { NFPROTO_BRIDGE, NFPROTO_INET, nftFamilies } from "../netlink/nftables/header.ts";
import { decode } from "../sys/text.ts";
import { FAMILIES, nfproto } from "./family.ts";
import { CONTAINERS } from "./forwarding/nftables-table.ts";
import { findLegacySave } from "./iptables/host.ts";
import { chainOf, commentOf, findRules } from "./nftables/ruleset.ts";
import { listElements } from "./nftables/set.ts";
import { COMMENT_MAX, commentFor } from "./portmap/attachment-comment.ts";
import { entryComment } from "./portmap/iptables-rules.ts";
import { TABLES } from "./portmap/nftables-table.ts";
import { ruleComment } from "./upstream-names.ts";

export interface MarkedRule {
  /** As "inet cni_plugins_masquerade masq_checks". */
  place: string;
  comment: string;
  /** undefined where the comment has none, or was cut. */
  network: string | undefined;
  /** The attachment, where the comment names it as a whole. */
  owner: AttachmentId | undefined;
  /** Whether only twill makes such rules; the reference plugins make the others as well. */
  isTwills: boolean;
  /** Whether only attachments with a veth pair have such rules: masquerade and MAC spoof checks. */
  isOfVeth: boolean;
  /** Reports whether the rule is one of these attachments'. What was cut off a comment counts as equal. */
  isOf(owners: Owners): boolean;
}

/** Attachments, prepared for being compared with many rules. */
export interface Owners {
  /** Whether one of them has the comment when written in this form, after the cut. */
  has(form: Form, text: string): boolean;
}

/** A form of comments. */
interface Form {
  /** Returns the part of the comment that is about the attachment, perhaps cut; undefined for a comment of another form. */
  partOf(comment: string): string | undefined;
  write(owner: AttachmentId): string;
  networkOf(part: string): string | undefined;
}

const words = ({ network, containerId, ifName }: AttachmentId): string =>
  `, net: ${network}, if: ${ifName}, id: ${containerId}`.replaceAll('"', "");

const unquoted = (json: string | undefined): string | undefined =>
  json === undefined ? undefined : (JSON.parse(`"${json}"`) as string);

/** masquerade and firewall in nftables: `6fd94d501e58f0aa-287fc69eff0574a2, isolated cni0, net: podnet, if: eth0, id: 3f2a` */
const hashedForm: Form = {
  partOf: (comment) => /^[0-9a-f]{16}-[0-9a-f]{16}(?:, (?:isolated|same-bridge) .+?)?(, net: .*)$/s.exec(comment)?.[1],
  write: words,
  networkOf: (part) => /^, net: (.*), if: /.exec(part)?.[1],
};
/** portmap in nftables: `id: 3f2a, if: eth0, net: podnet` */
const portmapForm: Form = {
  partOf: (comment) => (/^id: [^,]*, if: /.test(comment) ? comment : undefined),
  write: commentFor,
  networkOf: (part) => (part.length < COMMENT_MAX ? /, net: (.*)$/.exec(part)?.[1] : undefined),
};
/** masquerade and firewall in iptables: `name: "podnet" id: "3f2a"`, and behind that ` if: "eth0"` */
const namedForm: Form = {
  partOf: (comment) => /^(name: "(?:[^"\\]|\\.)*" id: "(?:[^"\\]|\\.)*"?)(?: if: "[^"]*")?$/.exec(comment)?.[1],
  write: ruleComment,
  networkOf: (part) => unquoted(/^name: "((?:[^"\\]|\\.)*)"/.exec(part)?.[1]),
};
/** portmap in iptables: `dnat name: "podnet" id: "3f2a"` */
const dnatForm: Form = {
  partOf: (comment) => (comment.startsWith('dnat name: "') ? comment : undefined),
  write: entryComment,
  networkOf: (part) => /^dnat name: "(.*)" id: "/.exec(part)?.[1],
};
/** MAC spoof check: `macspoofchk-3f2a-eth0` */
const spoofForm: Form = {
  partOf: (comment) => (comment.startsWith("macspoofchk-") ? comment : undefined),
  write: ({ containerId, ifName }) => `macspoofchk-${containerId}-${ifName}`,
  networkOf: () => undefined,
};
const FORMS = [hashedForm, portmapForm, namedForm, dnatForm, spoofForm];

export function ownersFor(attachments: readonly AttachmentId[]): Owners {
  const written = new Map<Form, string[]>();
  const cut = new Map<Form, Map<number, Set<string>>>(); // by the length to which comments were cut
  return {
    has(form, text) {
      const texts = written.get(form) ?? attachments.map(form.write);
      written.set(form, texts);
      const byLength = cut.get(form) ?? new Map<number, Set<string>>();
      cut.set(form, byLength);
      const set = byLength.get(text.length) ?? new Set(texts.map((one) => one.slice(0, text.length)));
      byLength.set(text.length, set);
      return set.has(text);
    },
  };
}

/** @throws NetlinkError the kernel does not tell its rules. CniError 999: legacy iptables failed */
export function listMarkedRules(netfilter: Connection): MarkedRule[] {
  return [
    ...RULE_TABLES.flatMap((table) => rulesOfTable(netfilter, table)),
    ...FAMILIES.flatMap((family) =>
      (listElements(netfilter, CONTAINERS[family]) ?? []).flatMap(({ userdata }) =>
        marked(`inet ${CONTAINERS[family].table} ${CONTAINERS[family].set}`, userdata?.comment),
      ),
    ),
    ...FAMILIES.flatMap((family) => LEGACY_TABLES.flatMap((table) => rulesOfLegacy(family, table))),
  ];
}

const LEGACY_TABLES = ["nat", "filter"] as const;
const RULE_TABLES = [
  { family: NFPROTO_INET, table: "cni_plugins_masquerade" },
  { family: NFPROTO_BRIDGE, table: "nat" },
  ...FAMILIES.flatMap((family) => [
    TABLES[family].tableRef,
    ...LEGACY_TABLES.map((table) => ({ family: nfproto[family], table })), // those of iptables-nft
  ]),
];

function rulesOfTable(netfilter: Connection, place: { family: number; table: string }): MarkedRule[] {
  const family = nftFamilies[place.family] ?? "";
  return findRules(netfilter, place, BEGINNINGS).flatMap((body) =>
    commentsIn(body).flatMap((comment) => marked(`${family} ${place.table} ${chainOf(body)}`, comment)),
  );
}

/** What rules with a comment of any form have in their bytes. */
const BEGINNINGS = [", net: ", 'ame: "', "acspoofchk-"];

/** Returns the comment in userdata, or those in matches of iptables, which end with a NUL. */
function commentsIn(body: Uint8Array): string[] {
  const comment = commentOf(body);
  if (comment !== "") return [comment];
  return decode(body)
    .split("\0")
    .flatMap((part) => /(?:dnat )?name: ".*$/s.exec(part)?.[0] ?? []);
}

function rulesOfLegacy(family: "ip" | "ip6", table: (typeof LEGACY_TABLES)[number]): MarkedRule[] {
  const lines = findLegacySave(family, table)?.split("\n") ?? [];
  return lines.flatMap((line) => {
    const [, chain = "", comment = ""] = /^-A (\S+) .*--comment "((?:[^"\\]|\\.)*)"/.exec(line) ?? [];
    return marked(`${family}tables-legacy ${table} ${chain}`, comment.replace(/\\(.)/g, "$1"));
  });
}

/** Tables of nftables, and chains of iptables, which have the plugins bridge and ptp alone. */
const VETH_PLACES = /^inet cni_plugins_masquerade |^bridge nat |^ip6?(?:tables-legacy)? nat CNI-[0-9a-f]{24}$/;

function marked(place: string, comment = ""): MarkedRule[] {
  for (const form of FORMS) {
    const part = form.partOf(comment);
    if (part === undefined) continue;
    const owner = ownerIn(comment);
    const isTwills = / twill_\w+ /.test(place) || (form === namedForm && owner !== undefined);
    const isOfVeth = VETH_PLACES.test(place);
    const network = form.networkOf(part);
    return [{ place, comment, network, owner, isTwills, isOfVeth, isOf: (owners) => owners.has(form, part) }];
  }
  return [];
}

/** Returns the attachment that a comment names as a whole: with its interface, and not cut. */
function ownerIn(comment: string): AttachmentId | undefined {
  const [, network, containerId, ifName] =
    /^name: "((?:[^"\\]|\\.)*)" id: "((?:[^"\\]|\\.)*)" if: "([^"]*)"$/.exec(comment) ?? [];
  if (network !== undefined && containerId !== undefined && ifName !== undefined)
    return { network: unquoted(network) ?? "", containerId: unquoted(containerId) ?? "", ifName };
  if (comment.length >= COMMENT_MAX) return undefined;
  const hashed = /, net: (?<network>.*), if: (?<ifName>[^,]*), id: (?<containerId>[^,]*)$/.exec(comment)?.groups;
  const mapped = /^id: (?<containerId>[^,]*), if: (?<ifName>[^,]*), net: (?<network>.*)$/.exec(comment)?.groups;
  const { network: net = "", containerId: id = "", ifName: name = "" } = hashed ?? mapped ?? {};
  return net === "" || id === "" || name === "" ? undefined : { network: net, containerId: id, ifName: name };
}
