/** loopback: sets up `lo`, which every network namespace has from the start. CNI_IFNAME has no effect. */
import { validate } from "#validate/loopback";
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Attachment, Plugin } from "../../pkg/cni/plugin.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { type Address, formatAddress, formatPrefix, isIPv4, type Prefix } from "../../pkg/ip/address.ts";
import { addressesOf } from "../../pkg/link/address.ts";
import { type Link, needLink, openRtnetlink, setDown, setUp } from "../../pkg/link/link.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { findNamespace, openNamespace } from "../../pkg/sys/namespace.ts";
import type { LoopbackConf } from "./netconf.ts";

export const loopback: Plugin<LoopbackConf> = {
  name: "loopback",
  about: "sets up the container's lo",
  validate,
  add,
  del,
  check,
  gc() {}, // everything is deleted with the namespace
  status() {}, // needs nothing
};

function add({ netns = "", prevResult }: Attachment<LoopbackConf>): Result {
  const rtnl = openRtnetlink(openNamespace(netns));
  const lo = needLink(rtnl, "lo");
  refuseForeign(prefixesOf(rtnl, lo)); // before lo is set up: the kernel does not remove 127.0.0.1 when it is set down again

  return withRollback((undo) => {
    if (!lo.up) undo("set lo down", () => rtnl.request(setDown(lo.index)));
    rtnl.request(setUp(lo.index));
    return prevResult ?? resultOf(netns, prefixesOf(rtnl, lo));
  });
}

function del({ netns }: Attachment<LoopbackConf>): void {
  const namespace = findNamespace(netns);
  if (namespace === undefined) return;
  const rtnl = openRtnetlink(namespace);
  rtnl.request(setDown(needLink(rtnl, "lo").index));
}

function check({ netns = "" }: Attachment<LoopbackConf>): void {
  const rtnl = openRtnetlink(openNamespace(netns));
  if (needLink(rtnl, "lo").up) return;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `link "lo" in ${netns} is down, must be up`,
    remedy: "set it up (`ip link set lo up` in the namespace), or delete the attachment and add it again",
  });
}

const prefixesOf = (rtnl: Connection, lo: Link): Prefix[] => addressesOf(rtnl, lo.index).map(({ prefix }) => prefix);

/** Returns the first address of each family, as the reference plugin does. */
function resultOf(netns: string, prefixes: readonly Prefix[]): Result {
  const firstIPv4 = prefixes.find(({ address }) => isIPv4(address));
  const firstIPv6 = prefixes.find(({ address }) => !isIPv4(address));
  return {
    interfaces: [{ name: "lo", mac: "00:00:00:00:00:00", sandbox: netns }],
    ips: [firstIPv4, firstIPv6]
      .filter((prefix) => prefix !== undefined)
      .map((prefix) => ({ interface: 0, address: formatPrefix(prefix) })),
    routes: [],
  };
}

function refuseForeign(prefixes: readonly Prefix[]): void {
  const foreign = prefixes.find(({ address }) => !isLoopback(address));
  if (foreign === undefined) return;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `link "lo" has ${formatPrefix(foreign)}, must have loopback addresses only`,
    remedy: `remove it (\`ip address delete ${formatPrefix(foreign)} dev lo\` in the namespace), or give it to another link`,
  });
}

/** Whether the address is in 127.0.0.0/8 or is ::1. */
const isLoopback = (address: Address): boolean =>
  isIPv4(address) ? address[0] === 127 : formatAddress(address) === "::1";
