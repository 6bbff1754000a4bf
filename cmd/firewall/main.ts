/** firewall: allows the container's traffic in the host's firewall, and isolates bridges from each other. */
import { validate } from "#validate/firewall";
import { invalidConf } from "../../pkg/cni/error.ts";
import type { Attachment, Gc, Plugin, Request, RestoreOptions } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { isAtLeast, supportedVersions } from "../../pkg/cni/version.ts";
import {
  allowForwarding,
  findDeviation,
  gcForwarding,
  needBackend,
  type ResultFacts,
  restoreForwarding,
  revokeForwarding,
} from "../../pkg/firewall/forwarding/forwarding.ts";
import type { ForwardingRequest, Policy } from "../../pkg/firewall/forwarding/ownership.ts";
import type { Address } from "../../pkg/ip/address.ts";
import { lostRule } from "../../pkg/link/check.ts";
import { addressOf } from "../../pkg/link/configure.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { writeStderr } from "../../pkg/sys/process.ts";
import { choicesOf, type FirewallConf, type FirewallSettings, parseSettings, warningOf } from "./netconf.ts";

export const firewall: Plugin<FirewallConf> = {
  name: "firewall",
  about: "allows the container's addresses in the host's firewall",
  versions: supportedVersions.filter((version) => isAtLeast(version, "0.4.0")),
  validate,
  add,
  del,
  check,
  gc,
  status,
  restore,
};

function add(attachment: Attachment<FirewallConf>): Result {
  const settings = parseSettings(attachment.conf);
  const result = needPrevResult(attachment, NOT_CHAINED);
  const request = requestOf(attachment, settings, result);
  const warning = warningOf(attachment.conf);
  if (warning !== undefined) writeStderr(`${warning}\n`);

  return withRollback((undo) => {
    undo("remove the rules", () => revokeForwarding(attachment, toldBy(attachment), settings));
    allowForwarding(request, settings);
    return result;
  });
}

/** Restores the rules that ADD made, according to its result. @param options.dryRun Does not call the running firewalld at all. */
function restore(attachment: Attachment<FirewallConf>, netfilter: () => Connection, { dryRun }: RestoreOptions): void {
  const settings = parseSettings(attachment.conf);
  const request = requestOf(attachment, settings, needPrevResult(attachment, NOT_CHAINED));
  restoreForwarding(request, settings, netfilter, { dryRun });
}

/** The text of the reference plugin. */
const NOT_CHAINED = "missing prevResult from earlier plugin";

function requestOf(owner: Attachment<FirewallConf>, settings: FirewallSettings, result: Result): ForwardingRequest {
  return {
    owner,
    addresses: addressesOf(result),
    policy: policyOf(settings, result),
    adminChain: settings.adminChain,
  };
}

const addressesOf = ({ ips }: Result): Address[] => ips.map((ip) => addressOf(ip).prefix.address);

/** Returns the policy. The bridge is the first interface of the result, where the bridge plugin puts it. */
function policyOf({ policy }: FirewallSettings, { interfaces }: Result): Policy | undefined {
  if (policy === "open") return undefined;
  const bridge = interfaces[0]?.name;
  if (bridge === undefined) {
    throw invalidConf(
      `interface needs to be set for ingress policy "${policy}", make sure to chain "firewall" plugin with "bridge"`,
      `put firewall after a bridge plugin, or remove "ingressPolicy"`,
    );
  }
  if (bridge === "") {
    throw invalidConf(
      "got empty bridge name",
      `the first interface of prevResult has no name: check the plugin before firewall`,
    );
  }
  return { bridge, isolated: policy === "isolated" };
}

/** Returns the facts of the result for DEL. An invalid policy is accepted here: DEL must work with any configuration. */
function toldBy({ conf, prevResult }: Attachment<FirewallConf>): ResultFacts {
  if (prevResult === undefined) return { addresses: [], bridge: undefined };
  const hasPolicy = (conf.ingressPolicy || "open") !== "open";
  return {
    addresses: addressesOf(prevResult),
    bridge: hasPolicy ? prevResult.interfaces[0]?.name || undefined : undefined,
  };
}

/** Also removes rules of the other backends, since the configuration may have been changed since ADD. */
function del(attachment: Attachment<FirewallConf>): void {
  revokeForwarding(attachment, toldBy(attachment), choicesOf(attachment.conf), attachment.host?.netfilter());
}

function check(attachment: Attachment<FirewallConf>): void {
  const settings = parseSettings(attachment.conf);
  const result = needPrevResult(attachment, NOT_CHAINED);
  const found = findDeviation(requestOf(attachment, settings, result), settings);
  if (found !== undefined) throw lostRule(found);
}

function gc({ conf, network, validAttachments, host }: Gc<FirewallConf>): void {
  gcForwarding(network, validAttachments, choicesOf(conf), host?.netfilter());
}

function status({ conf }: Request<FirewallConf>): void {
  needBackend(parseSettings(conf));
}
