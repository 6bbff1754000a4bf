/** What `twill run` is asked for. */
import { invalidConf } from "../../../pkg/cni/error.ts";
import type { Flags, FlagValues } from "../../../pkg/command-line/command.ts";
import { parseAddress } from "../../../pkg/ip/address.ts";
import type { AttachmentRecord } from "../../../pkg/network/attachment-record.ts";
import { isHostName } from "../../../pkg/network/connect.ts";
import { type PortRequest, parseExposed, parsePublished } from "../../../pkg/network/published-port.ts";
import { type RunMode, refuseConflicts, refuseContainerName, runModeOf } from "../../../pkg/network/run-mode.ts";
import { ipsOf, linksOf } from "../network/endpoint.ts";

export interface RunRequest {
  mode: RunMode;
  name: string | undefined;
  hostName: string | undefined;
  ips: readonly string[];
  linkLocalIps: readonly string[];
  mac: string | undefined;
  aliases: readonly string[];
  links: AttachmentRecord["links"];
  dns: readonly string[];
  dnsSearch: readonly string[];
  published: readonly PortRequest[];
  exposed: readonly PortRequest[];
  publishAll: boolean;
}

/** @throws CniError 4 or 7: an option is wrong, or does not belong to the mode */
export function requestOf(flags: Flags, values: FlagValues): RunRequest {
  const all = (flag: string): readonly string[] => values.get(flag) ?? [];
  const request: RunRequest = {
    mode: runModeOf(flags.get("network") ?? "bridge"),
    name: flags.get("name"),
    hostName: flags.get("hostname"),
    ips: ipsOf(values),
    linkLocalIps: all("link-local-ip"),
    mac: flags.get("mac"),
    aliases: all("alias"),
    links: linksOf(values),
    dns: all("dns"),
    dnsSearch: all("dns-search"),
    published: all("publish").flatMap(parsePublished),
    exposed: all("expose").flatMap(parseExposed),
    publishAll: flags.has("publish-all"),
  };
  const { mode, name, hostName } = request;
  if (name !== undefined) refuseContainerName(name);
  if (hostName !== undefined && (hostName.length > HOST_NAME_MAX || !isHostName(hostName)))
    throw invalidConf(
      `invalid hostname format: ${hostName}`,
      `it has letters, digits, "-" and ".", and at most ${HOST_NAME_MAX} characters`,
    );
  for (const server of request.dns)
    if (parseAddress(server) === undefined)
      throw invalidConf(
        `${server} is not an ip address`,
        "write --dns with the address of a DNS server, as 192.0.2.53",
      );
  refuseConflicts(mode, {
    addresses: request.ips.length + request.linkLocalIps.length,
    aliases: request.aliases.length,
    dns: request.dns.length + request.dnsSearch.length,
    exposed: request.exposed.length,
    hostName: hostName === undefined ? 0 : 1,
    links: request.links.length,
    mac: request.mac === undefined ? 0 : 1,
    published: request.published.length + Number(request.publishAll),
  });
  return request;
}

/** sethostname(2) */
const HOST_NAME_MAX = 64;
