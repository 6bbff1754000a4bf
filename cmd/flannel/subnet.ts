/** The subnet file, and what to tell those who need it when it is not there. */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import { type DaemonState, readDaemonState, stateFileOf } from "../../pkg/subnet-env/daemon-state.ts";
import { parseSubnetEnv, type SubnetEnv } from "../../pkg/subnet-env/read-strict.ts";
import { findStat, readRecord } from "../../pkg/sys/file.ts";

/** @throws CniError 6: it is damaged */
export function findSubnetEnv(path: string): SubnetEnv | undefined {
  const text = readRecord(path);
  if (typeof text === "object") throw notAFile(path, text.problem);
  return text === undefined ? undefined : parseSubnetEnv(text, path);
}

function notAFile(path: string, problem: string): CniError {
  return new CniError({
    code: ErrorCode.decoding,
    msg: `${path} ${problem}, must be the file that flanneld writes`,
    remedy: 'remove it and restart flanneld, or set "subnetFile" to the daemon\'s --subnet-file',
  });
}

/** @throws CniError 11: it is not there, with the daemon's own word why. 6: it is damaged */
export function needSubnetEnv(path: string): SubnetEnv {
  const env = findSubnetEnv(path);
  if (env === undefined) throw notWritten(path, readDaemonState(path));
  return env;
}

/** @throws CniError 51: who is attached now may be out of others' reach */
export function refuseLostLease(subnetFile: string): void {
  const daemon = readDaemonState(subnetFile);
  if (daemon?.state !== "lost" || isOutdated(subnetFile)) return;
  throw new CniError({
    code: ErrorCode.limitedConnectivity,
    msg: `flanneld has lost the lease of the subnet in ${subnetFile}: ${daemon.reason}`,
    details: wordOf(subnetFile, daemon),
    remedy: `see what it does about it: flanneld --status, or its log (${logs})`,
  });
}

/** A daemon has taken a lease since: flannel's own leaves the word of the one before it as it is. */
const isOutdated = (subnetFile: string): boolean => modified(stateFileOf(subnetFile)) < modified(subnetFile);

const modified = (path: string): bigint => findStat(path)?.modifiedNs ?? 0n;

function notWritten(path: string, daemon: DaemonState | undefined): CniError {
  return new CniError({
    code: ErrorCode.tryAgainLater,
    msg: daemon?.state === "ready" ? removed(path) : `flanneld has not written ${path}: ${reasonOf(daemon)}`,
    details: [`open ${path}: no such file or directory`, ...(daemon ? [wordOf(path, daemon)] : [])].join("; "),
    remedy:
      daemon !== undefined && isThere(daemon)
        ? `flanneld --status and its log say more (${logs})`
        : `start flanneld, or see in its log why it does not run (${logs})`,
  });
}

const removed = (path: string): string => `flanneld has written ${path}, and somebody has removed it`;

const reasonOf = (daemon: DaemonState | undefined): string =>
  daemon?.reason ?? "it does not run on this host, or does not say why";

/** Whose word it is; that of a process which is gone may be stale. */
function wordOf(subnetFile: string, daemon: DaemonState): string {
  const { pid, since } = daemon;
  const gone = isThere(daemon) ? "" : ", which is gone, or in another PID namespace";
  return `${stateFileOf(subnetFile)} says so since ${since}, by process ${pid}${gone}`;
}

const isThere = ({ pid }: DaemonState): boolean => findStat(`/proc/${pid}`) !== undefined;

const logs = "journalctl -u flanneld; in Kubernetes: kubectl -n kube-flannel logs -l app=flannel";
