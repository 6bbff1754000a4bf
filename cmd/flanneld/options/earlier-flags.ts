/**
 * Flags and variables of earlier releases of flannel, of its logging libraries (glog, klog) and of distributions' packages. Units written
 * for these start the daemon: what still means something is honoured, the rest is named with what to use instead. Pure.
 */
import type { FlagName } from "./flags.ts";

/** A flag that is accepted besides those of `flags.ts`. */
export interface EarlierFlag {
  /** Whether its value may only follow "=". */
  isBoolean: boolean;
  /** Reports whether the daemon does without it what the value asks for. */
  isMet(value: string): boolean;
  /** What to use instead: the end of a sentence. */
  instead: string;
  /** Whether the daemon must not start, since it would do something else than it is told. */
  isRefused?: boolean;
}

const isEmpty = (value: string): boolean => value === "";
const isOff = (value: string): boolean => /^(0|f|false)$/i.test(value);
const isOn = (value: string): boolean => /^(1|t|true)$/i.test(value);
const always = (): boolean => true;

const noLogFile = "logs go to stderr only; read them with journalctl -u flanneld, or redirect them (2>>FILE)";
const noServer = "run flanneld on each host, and give all of them etcd's own URLs in --etcd-endpoints";
const noNetworks =
  "run a daemon for each network, with --etcd-prefix=PREFIX/NETWORK, and a --subnet-file of its own; in their configurations each has another VNI or Port";

const logging: Record<string, EarlierFlag> = {
  logtostderr: { isBoolean: true, isMet: isOn, instead: noLogFile },
  alsologtostderr: { isBoolean: true, isMet: always, instead: noLogFile },
  stderrthreshold: { isBoolean: false, isMet: isEmpty, instead: "stderr gets lines of every level" },
  log_dir: { isBoolean: false, isMet: isEmpty, instead: noLogFile },
  log_file: { isBoolean: false, isMet: isEmpty, instead: noLogFile },
  log_file_max_size: { isBoolean: false, isMet: isEmpty, instead: noLogFile },
  one_output: { isBoolean: true, isMet: isOff, instead: noLogFile },
  skip_headers: { isBoolean: true, isMet: isOff, instead: "--log-format sets what a line has" },
  skip_log_headers: { isBoolean: true, isMet: always, instead: noLogFile },
  add_dir_header: { isBoolean: true, isMet: isOff, instead: "--log-format sets what a line has" },
};

const server: Record<string, EarlierFlag> = {
  listen: { isBoolean: false, isMet: isEmpty, instead: noServer, isRefused: true },
  remote: { isBoolean: false, isMet: isEmpty, instead: noServer, isRefused: true },
  "remote-keyfile": { isBoolean: false, isMet: isEmpty, instead: "use --etcd-keyfile" },
  "remote-certfile": { isBoolean: false, isMet: isEmpty, instead: "use --etcd-certfile" },
  "remote-cafile": { isBoolean: false, isMet: isEmpty, instead: "use --etcd-cafile" },
  networks: { isBoolean: false, isMet: isEmpty, instead: noNetworks, isRefused: true },
  "watch-networks": { isBoolean: true, isMet: isOff, instead: noNetworks, isRefused: true },
};

const others: Record<string, EarlierFlag> = {
  port: {
    isBoolean: false,
    isMet: isEmpty,
    instead: 'set "Port" in the Backend of the network configuration',
  },
  "use-multi-cluster-cidr": {
    isBoolean: true,
    isMet: isOff,
    instead: "each host has one subnet for each address family",
  },
  "persistent-mac": { isBoolean: true, isMet: isOff, instead: "peers follow a new MAC at once" },
  help: { isBoolean: true, isMet: always, instead: "use --help" },
};

export const earlierFlags: Readonly<Record<string, EarlierFlag>> = { ...logging, ...server, ...others };

/** Names that flags had before. */
export const renamedFlags: ReadonlyMap<string, FlagName> = new Map([["etcd-endpoint", "etcd-endpoints"]]);

/**
 * Variables of the files that distributions' units read (/etc/sysconfig/flanneld, /etc/default/flanneld), by flag. The last ones are of
 * the first packages. The units pass them on as flags, which come first; so do `FLANNELD_*` variables.
 */
export const packageVariables: Readonly<Partial<Record<FlagName, readonly string[]>>> = {
  "etcd-endpoints": ["FLANNEL_ETCD_ENDPOINTS", "FLANNEL_ETCD"],
  "etcd-prefix": ["FLANNEL_ETCD_PREFIX", "FLANNEL_ETCD_KEY"],
};

/** A use of an earlier flag. */
export interface EarlierUse {
  name: string;
  value: string;
  /** Its source, as `--log_dir` or `FLANNELD_LOG_DIR`. */
  called: string;
}

/** Returns sentences about flags without effect. */
export const warningsOf = (uses: readonly EarlierUse[]): string[] =>
  unmet(uses, false).map(({ called, instead }) => `${called} has no effect: ${instead}`);

/** Returns sentences about flags with which the daemon must not start. */
export const refusalsOf = (uses: readonly EarlierUse[]): string[] =>
  unmet(uses, true).map(({ called, instead }) => `${called} is of an early flannel, and not supported; ${instead}`);

function unmet(uses: readonly EarlierUse[], isRefused: boolean): { called: string; instead: string }[] {
  return uses.flatMap(({ name, value, called }) => {
    const flag = earlierFlags[name];
    const isTold = flag !== undefined && !flag.isMet(value) && (flag.isRefused ?? false) === isRefused;
    return isTold ? [{ called, instead: flag.instead }] : [];
  });
}
