/** All flags of flanneld: flannel's with their names and defaults, and our own. The types of values are derived from these tables. */

/** The types of values, as in Go's package flag; a list flag is given once for each item. */
interface Kinds {
  text: string;
  boolean: boolean;
  whole: number;
  list: readonly string[];
}
export type Kind = keyof Kinds;

export interface Flag<K extends Kind = Kind> {
  kind: K;
  default: Kinds[K];
  /** The placeholder of the value in `--help`; "" for booleans. */
  value: string;
  about: string;
  /** Whether logs must not show the value. */
  isSecret?: boolean;
  /** Whether it requests something other than running the daemon; it has no variable. */
  isQuestion?: boolean;
}

type Traits = Pick<Flag, "isSecret" | "isQuestion">;

const text = (value: string, about: string, { default: initial = "", ...traits }: Traits & { default?: string } = {}) =>
  ({ kind: "text", default: initial, value, about, ...traits }) satisfies Flag<"text"> as Flag<"text">;
const list = (value: string, about: string): Flag<"list"> => ({ kind: "list", default: [], value, about });
const whole = (value: string, initial: number, about: string): Flag<"whole"> => ({
  kind: "whole",
  default: initial,
  value,
  about,
});
const boolean = (initial: boolean, about: string, traits: Traits = {}): Flag<"boolean"> => ({
  kind: "boolean",
  default: initial,
  value: "",
  about,
  ...traits,
});

const etcd = {
  "etcd-endpoints": text("URLS", "where etcd listens, separated by commas", {
    default: "http://127.0.0.1:4001,http://127.0.0.1:2379",
  }),
  "etcd-prefix": text("KEY", "the network's configuration and leases are kept below it", {
    default: "/coreos.com/network",
  }),
  "etcd-keyfile": text("FILE", "key of the client certificate"),
  "etcd-certfile": text("FILE", "client certificate"),
  "etcd-cafile": text("FILE", "certificates of the authorities that may vouch for etcd"),
  "etcd-username": text("NAME", "user of etcd"),
  "etcd-password": text("PASSWORD", "that user's; better in FLANNELD_ETCD_PASSWORD, which ps does not show", {
    isSecret: true,
  }),
};

const embeddedStore = {
  "subnet-dir": text("DIR", "keep configuration and leases in this folder, instead of etcd"),
};

const externalInterface = {
  iface: list("NAME|IP", "interface to the other hosts; several are tried in order"),
  "iface-regex": list("REGEX", "the same by a regular expression on addresses, then names; tried after --iface"),
  "iface-can-reach": text("IP", "the interface that leads to this address; tried last"),
  "public-ip": text("IP", "IPv4 address that the other hosts send to, where it is not the interface's"),
  "public-ipv6": text("IP", "its IPv6 counterpart"),
};

const lease = {
  "subnet-file": text("FILE", "what this host has, for the CNI plugin and Docker", {
    default: "/run/flannel/subnet.env",
  }),
  "subnet-lease-renew-margin": whole("MINUTES", 60, "renew the lease so long before it ends, from 1 to 1439"),
};

const rules = {
  "ip-masq": boolean(false, "masquerade what leaves the cluster network"),
  "ip-masq-fully-random-disable": boolean(false, "never use random-fully for it"),
  "iptables-forward-rules": boolean(true, "let the host forward for the cluster network"),
  "iptables-resync": whole("SECONDS", 5, "look after the rules so often, at least 1"),
  "ip-blackhole-route": boolean(false, "drop what is sent to addresses of this host's subnet that nobody has"),
  "require-br-netfilter": boolean(false, "do not start without the kernel module br_netfilter"),
};

const kubernetes = {
  "kube-subnet-mgr": boolean(false, "lease from Kubernetes instead of etcd: not implemented yet"),
  "kube-api-url": text("URL", "of the API server"),
  "kubeconfig-file": text("FILE", "how to reach the API server"),
  "kube-annotation-prefix": text("PREFIX", "of the node annotations", { default: "flannel.alpha.coreos.com" }),
  "net-config-path": text("FILE", "network configuration", { default: "/etc/kube-flannel/net-conf.json" }),
  "set-node-network-unavailable": boolean(true, "clear the node's condition NetworkUnavailable"),
};

const health = {
  "healthz-ip": text("IP", "address of the health server", { default: "0.0.0.0" }),
  "healthz-port": whole("PORT", 0, "its port, for /healthz, /readyz and /metrics; 0: there is none"),
};

const logging = {
  "log-format": text("FORMAT", "text or json", { default: "text" }),
  v: whole("LEVEL", 0, "above 0: tell the details as well"),
  vmodule: text("PATTERN=N", "of flannel; without effect"),
  log_backtrace_at: text("FILE:N", "of flannel; without effect"),
};

const questions = {
  status: boolean(false, "print what a running daemon has and what is wrong, found by --subnet-file", {
    isQuestion: true,
  }),
  json: boolean(false, "with --status: as JSON", { isQuestion: true }),
  version: boolean(false, "print the version", { isQuestion: true }),
};

export const flags = {
  ...etcd,
  ...embeddedStore,
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
/** The flags of the etcd store, which `subnet-dir` replaces. */
export const etcdFlags = Object.keys(etcd) as (keyof typeof etcd)[];

/** A value for each flag. */
export type Values = { [Name in FlagName]: Kinds[(typeof flags)[Name]["kind"]] };

/** The groups of flags in `--help`. */
export const groups: Readonly<Record<string, readonly string[]>> = {
  "etcd:": etcdFlags,
  "Instead of etcd:": Object.keys(embeddedStore),
  "Interface to the other hosts:": Object.keys(externalInterface),
  "Lease:": Object.keys(lease),
  "Rules and routes:": Object.keys(rules),
  "Health:": Object.keys(health),
  "Logging:": Object.keys(logging),
  "Kubernetes:": Object.keys(kubernetes),
  "Instead of running:": Object.keys(questions),
};

/** Returns a flag's variable, as `FLANNELD_ETCD_ENDPOINTS`. */
export const variableOf = (name: string): string => `FLANNELD_${name.toUpperCase().replaceAll("-", "_")}`;
