/** The files of systemd in conf/, with the paths of an installation, for `twill install --units`. */

import dhcpService from "../../../conf/cni-dhcp.service";
import dhcpSocket from "../../../conf/cni-dhcp.socket";
import firewalld from "../../../conf/firewalld.service.d/twill.conf";
import flanneldService from "../../../conf/flanneld.service";
import ip6tables from "../../../conf/ip6tables.service.d/twill.conf";
import iptables from "../../../conf/iptables.service.d/twill.conf";
import netfilterPersistent from "../../../conf/netfilter-persistent.service.d/twill.conf";
import nftables from "../../../conf/nftables.service.d/twill.conf";
import gcService from "../../../conf/twill-gc.service";
import gcTimer from "../../../conf/twill-gc.timer";
import metricsService from "../../../conf/twill-metrics.service";
import metricsTimer from "../../../conf/twill-metrics.timer";
import resolverService from "../../../conf/twill-resolver.service";
import resolverSocket from "../../../conf/twill-resolver.socket";
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";

/** Where units of an administrator are, which take precedence over those of packages. */
export const unitDirectory = "/etc/systemd/system";

const units: Readonly<Record<string, string>> = {
  "cni-dhcp.service": dhcpService,
  "cni-dhcp.socket": dhcpSocket,
  "twill-gc.service": gcService,
  "twill-gc.timer": gcTimer,
  "twill-metrics.service": metricsService,
  "twill-metrics.timer": metricsTimer,
  "twill-resolver.service": resolverService,
  "twill-resolver.socket": resolverSocket,
  "firewalld.service.d/twill.conf": firewalld,
  "ip6tables.service.d/twill.conf": ip6tables,
  "iptables.service.d/twill.conf": iptables,
  "netfilter-persistent.service.d/twill.conf": netfilterPersistent,
  "nftables.service.d/twill.conf": nftables,
};

/** The programs that the units start. */
export interface UnitPrograms {
  toolDirectory: string;
  pluginDirectory: string;
  /** Path of the daemon; undefined where there is none. */
  flanneld: string | undefined;
}

/** Returns the text of each file by its path. */
export function unitFiles(programs: UnitPrograms): Map<string, string> {
  const all = { ...units, ...(programs.flanneld !== undefined && { "flanneld.service": flanneldService }) };
  return new Map(Object.entries(all).map(([name, text]) => [`${unitDirectory}/${name}`, withPaths(text, programs)]));
}

const withPaths = (text: string, { toolDirectory, pluginDirectory, flanneld = "" }: UnitPrograms): string =>
  text
    .replaceAll(/\/usr\/local\/bin\/([\w-]+)/g, (_, name) => asWord(`${toolDirectory}/${name}`))
    .replaceAll(/\/opt\/cni\/bin\/([\w-]+)/g, (_, name) => asWord(`${pluginDirectory}/${name}`))
    .replaceAll("/opt/twill/dist/bin/flanneld", () => asWord(flanneld));

/** Returns a path as systemd reads the first word of a command line, see systemd.service(5). @throws CniError 7: systemd starts no such program */
function asWord(path: string): string {
  if (/["'\\]|\p{Cc}/u.test(path))
    throw new CniError({
      code: ErrorCode.invalidConfig,
      msg: `systemd starts no program with the path ${JSON.stringify(path)}`,
      details: "it refuses quotes, backslashes and control characters in it",
      remedy: "choose another directory with --plugin-dir or --tool-dir, or leave out --units",
    });
  const withoutSpecifiers = path.replaceAll("%", "%%");
  return /\s/.test(path) ? `"${withoutSpecifiers}"` : withoutSpecifiers;
}
