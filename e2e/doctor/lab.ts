/** What tests of `twill doctor` have in common: networks in a directory of the host's own, and what doctor says. */
import { join } from "node:path";
import type { Host, Ran } from "../lab/host.ts";
import { ourBin, ourTools } from "../lab/project.ts";

export const environment = { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d" };

export const twill = (node: Host, ...args: string[]): Ran =>
  node.runInside([join(ourTools, "twill"), ...args], environment);

export const doctor = (node: Host, ...args: string[]): Ran => twill(node, "doctor", ...args);

export interface Found {
  id: string;
  severity: string;
  text: string;
  evidence: string[];
  remedy: string;
  fix?: string;
}

export const findings = (node: Host): Found[] => JSON.parse(doctor(node, "--json").stdout).findings;
export const ids = (node: Host): string[] => findings(node).map(({ id }) => id);
export const found = (node: Host, id: string): Found[] => findings(node).filter((finding) => finding.id === id);

export const bridge = (keys: object = {}, ipam: object = { ranges: [[{ subnet: "10.1.0.0/24" }]] }) => ({
  type: "bridge",
  bridge: "net0",
  isDefaultGateway: true,
  ipMasq: true,
  ipMasqBackend: "nftables",
  ipam: { type: "host-local", ...ipam },
  ...keys,
});

export const healthyNetwork = [bridge(), { type: "firewall", backend: "nftables" }];

/** Puts a network there. */
export function configure(node: Host, plugins: object[], name = "net", cniVersion = "1.0.0"): void {
  const list = { cniVersion, name, plugins };
  node.write(`/var/lib/net.d/10-${name}.conflist`, JSON.stringify(list));
}

export function attach(node: Host, container = 0, name = "net", variables: Record<string, string> = {}): void {
  const path = node.containers[container]?.path ?? "";
  const { status, stderr } = node.runInside([join(ourTools, "cnitool"), "add", name, path], {
    ...environment,
    ...variables,
  });
  if (status !== 0) throw new Error(stderr);
}
