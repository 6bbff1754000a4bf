/** All flags of flanneld: flannel's with their names and defaults, and our own. The types of values are derived from these tables. */
import { storeFlagGroups, storeFlags } from "../store/open-lease-manager.ts";
import { boolean, list, text, type ValuesOf, whole } from "./flag.ts";

const externalInterface = {
  iface: list("NAME|IP", "external interface, by name or address; several are tried in order"),
  "iface-regex": list(
    "REGEX",
    "external interface, by a regular expression on addresses, then names; tried after --iface",
  ),
  "iface-can-reach": text("IP", "external interface, by the route to this address; tried last"),
  "public-ip": text("IP", "IPv4 address that other hosts send to, if it is not the interface's"),
  "public-ipv6": text("IP", "IPv6 address that other hosts send to, if it is not the interface's"),
};

const lease = {
  "subnet-file": text("FILE", "file with this host's subnet and MTU, for the CNI plugin and Docker", {
    default: "/run/flannel/subnet.env",
  }),
  "subnet-lease-renew-margin": whole("MINUTES", 60, "how long before its expiry the lease is renewed, from 1 to 1439"),
};

const rules = {
  "ip-masq": boolean(false, "masquerade traffic that leaves the cluster network"),
  "ip-masq-fully-random-disable": boolean(false, "do not use --random-fully for masquerading"),
  "iptables-forward-rules": boolean(true, "add rules that accept forwarded traffic of the cluster network"),
  "iptables-resync": whole("SECONDS", 5, "interval of checks of the rules, at least 1"),
  "ip-blackhole-route": boolean(false, "drop packets to addresses of this host's subnet that no container has"),
  "require-br-netfilter": boolean(false, "do not start without the kernel module br_netfilter"),
};

const kubernetes = {
  "kube-subnet-mgr": boolean(false, "lease from Kubernetes instead of etcd: not implemented yet"),
  "kube-api-url": text("URL", "URL of the API server"),
  "kubeconfig-file": text("FILE", "kubeconfig for the API server"),
  "kube-annotation-prefix": text("PREFIX", "prefix of the node annotations", { default: "flannel.alpha.coreos.com" }),
  "net-config-path": text("FILE", "file with the network configuration", {
    default: "/etc/kube-flannel/net-conf.json",
  }),
  "set-node-network-unavailable": boolean(true, "clear the node's condition NetworkUnavailable"),
};

const health = {
  "healthz-ip": text(
    "IP",
    "address that the health server listens on; without it only this host gets /metrics and /status",
    { default: "0.0.0.0" },
  ),
  "healthz-port": whole("PORT", 0, "port of the health server: /healthz, /readyz, /metrics, /status; 0: disabled"),
};

const logging = {
  "log-format": text("FORMAT", "text or json", { default: "text" }),
  v: whole("LEVEL", 0, "above 0: log details as well"),
  vmodule: text("PATTERN=N", "accepted for compatibility with flannel; no effect"),
  log_backtrace_at: text("FILE:N", "accepted for compatibility with flannel; no effect"),
};

const questions = {
  status: boolean(false, "print state and problems of the running daemon with this --subnet-file", {
    isQuestion: true,
  }),
  json: boolean(false, "with --status: print JSON", { isQuestion: true }),
  version: boolean(false, "print the version", { isQuestion: true }),
};

export const flags = {
  ...storeFlags,
  ...externalInterface,
  ...lease,
  ...rules,
  ...kubernetes,
  ...health,
  ...logging,
  ...questions,
};

export type FlagName = keyof typeof flags;
export const flagNames = Object.keys(flags) as FlagName[];
export const isFlagName = (name: string): name is FlagName => Object.hasOwn(flags, name);
/** A value for each flag. */
export type Values = ValuesOf<typeof flags>;

/** The groups of flags in `--help`. */
export const groups: Readonly<Record<string, readonly string[]>> = {
  ...storeFlagGroups,
  "External interface:": Object.keys(externalInterface),
  "Lease:": Object.keys(lease),
  "Rules and routes:": Object.keys(rules),
  "Health:": Object.keys(health),
  "Logging:": Object.keys(logging),
  "Kubernetes:": Object.keys(kubernetes),
  "Instead of running the daemon:": Object.keys(questions),
};

/** Returns a flag's variable, as `FLANNELD_ETCD_ENDPOINTS`. */
export const variableOf = (name: string): string => `FLANNELD_${name.toUpperCase().replaceAll("-", "_")}`;
