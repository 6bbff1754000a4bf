// Where we differ from the Go plugins in more than one row. What is `intended` stands in docs/compatibility.md or on the plugin's page under
// the same words.
import { asRelease191, intended } from "./row.ts";

export const emptyDnsOmitted = asRelease191("an empty dns is left out of 1.x results", { go: /: dns \{\}$/ });

export const codes = "Errors carry the codes that the specification names";
/** 7, invalid network configuration, is most frequent by far. */
export const configurationCode = intended(codes, { rewritten: [[/: code 999$/, ": code 7"]] });
export const environmentCode = intended(codes, { rewritten: [[/: code 999$/, ": code 4"]] });
export const inputOutputCode = intended(codes, { rewritten: [[/: code 999$/, ": code 5"]] });

export const reservationsForRootAlone = asRelease191("reservations are files that root alone may read", {
  rewritten: [[/(: file \S+) "0644 /, '$1 "0600 ']],
});

export const indexBesideReservations = intended("host-local keeps an index beside the reservations", {
  ours: /: file \S+\/\.twill(\/\S+)? "0[67]00 /,
});

/** For a row whose configuration Go refuses on DEL as on ADD. */
export const delAlwaysDeletes = intended("DEL deletes what it can, also with a configuration that ADD refuses", {
  go: [/ DEL: exit 1$/, / DEL: code \d+$/, / DEL: says /],
  ours: [/ DEL: exit 0$/, / DEL: {2}$/],
});

export const failedAdd = "A failed ADD leaves nothing behind";
/** @param left What the Go plugin leaves. */
export const failedAddLeavesNothing = (...left: RegExp[]) => intended(failedAdd, { go: left });

/** Go's bridge has the lowest MAC of its ports until it gets an address, and its link-local address from another. */
export const bridgeKeepsItsMac = intended("A bridge that twill makes keeps its own MAC", {
  rewritten: [
    [/(: host addr (br0|cni0) .*)fe80\(nobody\)/, "$1fe80(host $2)"],
    [/fe80\(nobody\) dev (br0|cni0)/, "fe80(host $1) dev $1"],
    [/(: host link (veth#\d+) mac) mac\(host (?:br0|cni0)\)/, "$1 mac(host $2)"],
    [/(: host addr (veth#\d+) .*)fe80\(host (?:br0|cni0)\)/, "$1fe80(host $2)"],
    [/fe80\(host (?:br0|cni0)\) dev (veth#\d+)/, "fe80(host $1) dev $1"],
    [/(: interfaces\.1\.mac) mac\(host (?:br0|cni0)\)/, "$1 mac(host veth#1)"],
    [/(: host link (br0|cni0) mac) 00:00:00:00:00:00/, "$1 mac(host $2)"],
  ],
});

export const vethSaysWhose = intended("A host veth says in its alias whose it is", {
  go: /: host link veth#\d+ alias $/,
  ours: /: host link veth#\d+ alias cni net container-\d \S+$/,
});

/** As `iptables -S` prints it, and as `nft list` does, which leaves the comment out or in. */
export const addressesHaveOwners = intended("iptables: an address has an owner", {
  ours: /: host (ip6?tables .*name: \\?"[^"\\]+\\?" id: \\?"[^"\\]+\\?" if: .*RETURN|nft table ip6? nat chain CNI-.* counter return)$/,
});

export const keptIPv6Addresses = asRelease191("IPv6 addresses are kept when the interface goes down", {
  rewritten: [[/(: c\d sysctl ipv6\/conf\/[^/]+\/keep_addr_on_down) 0/, "$1 1"]],
});

export const neighboursTold = asRelease191("an interface tells its neighbours of its IPv6 addresses", {
  rewritten: [[/(: c\d sysctl ipv6\/conf\/[^/]+\/ndisc_notify) 0/, "$1 1"]],
});

export const gatewayAtOnce = intended("An IPv6 gateway is usable at once", {
  rewritten: [
    [/(: host addr (?:br0|cni0)(?:\.\d+)? family inet6 local fd\S+ prefixlen \d+ scope global)$/, "$1 nodad true"],
  ],
});

export const lookingMakesNoFolders = intended("DEL and CHECK of what is not there make no folders", {
  go: [/networks "0755 directory/, /networks\/net "0755 directory/, /lock "0750/],
});

/** What any row of a plugin that makes links and has addresses given by host-local may show. */
export const inManyRows = [
  emptyDnsOmitted,
  reservationsForRootAlone,
  indexBesideReservations,
  bridgeKeepsItsMac,
  vethSaysWhose,
  addressesHaveOwners,
  gatewayAtOnce,
  keptIPv6Addresses,
];

/** Of a link that is in the container alone. */
export const linkSaysWhose = intended("A link says in its alias whose it is", {
  go: /: c\d link eth\d alias $/,
  ours: /: c\d link eth\d alias cni net container-\d eth\d$/,
});

/** The same of one whose links lie on one of the host's. */
export const inManyRowsOfChildren = [
  emptyDnsOmitted,
  reservationsForRootAlone,
  indexBesideReservations,
  keptIPv6Addresses,
  neighboursTold,
  configurationCode,
  linkSaysWhose,
];
