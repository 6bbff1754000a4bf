/** Reads the subnet file, and explains why it is not there. */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import { type DaemonState, readDaemonState, stateFileOf } from "../../pkg/subnet-env/daemon-state.ts";
import { parseSubnetEnv, type SubnetEnv } from "../../pkg/subnet-env/read-strict.ts";
import { findStat, readRecord } from "../../pkg/sys/file.ts";

/** Returns the subnet file's content; undefined when there is no file. @throws CniError 6: it is damaged */
export function findSubnetEnv(path: string): SubnetEnv | undefined {
  const text = readRecord(path);
  if (typeof text === "object") throw notAFile(path, text.problem);
  return text === undefined ? undefined : parseSubnetEnv(text, path);
}

/** Returns the subnet file's content; undefined when there is no file, or it is damaged. */
export function readableSubnetEnv(path: string): SubnetEnv | undefined {
  try {
    return findSubnetEnv(path);
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}

function notAFile(path: string, problem: string): CniError {
  return new CniError({
    code: ErrorCode.decoding,
    msg: `${path} ${problem}, must be the file that flanneld writes`,
    remedy: 'remove it and restart flanneld, or set "subnetFile" to the daemon\'s --subnet-file',
  });
}

/** Returns the subnet file's content. @throws CniError 11: there is no file, with the reason that the daemon gives. 6: it is damaged */
export function needSubnetEnv(path: string): SubnetEnv {
  const env = findSubnetEnv(path);
  if (env === undefined) throw notWritten(path, readDaemonState(path));
  return env;
}

/** Refuses a lost lease. @throws CniError 51: containers attached now may not be reachable from other hosts */
export function refuseLostLease(subnetFile: string): void {
  const daemon = readDaemonState(subnetFile);
  if (daemon?.state !== "lost" || isOutdated(subnetFile)) return;
  throw new CniError({
    code: ErrorCode.limitedConnectivity,
    msg: `flanneld has lost the lease of the subnet in ${subnetFile}: ${daemon.reason}`,
    details: wordOf(subnetFile, daemon),
    remedy: `see flanneld --status, or its log (${logs})`,
  });
}

/** Whether a daemon has written the subnet file since: flannel's own daemon does not update the state file of an earlier one. */
const isOutdated = (subnetFile: string): boolean => modified(stateFileOf(subnetFile)) < modified(subnetFile);

const modified = (path: string): bigint => findStat(path)?.modifiedNs ?? 0n;

function notWritten(path: string, daemon: DaemonState | undefined): CniError {
  return new CniError({
    code: ErrorCode.tryAgainLater,
    msg: daemon?.state === "ready" ? removed(path) : `flanneld has not written ${path}: ${reasonOf(daemon)}`,
    details: [`open ${path}: no such file or directory`, ...(daemon ? [wordOf(path, daemon)] : [])].join("; "),
    remedy:
      daemon !== undefined && isThere(daemon)
        ? `see flanneld --status, or its log (${logs})`
        : `start flanneld; its log says why it ended (${logs})`,
  });
}

const removed = (path: string): string => `flanneld has written ${path}, but another process has removed it`;

function reasonOf(daemon: DaemonState | undefined): string {
  if (daemon === undefined) return "it does not run on this host, or has not reported its state";
  return daemon.state === "ended" ? `it has ended: ${daemon.reason}` : daemon.reason;
}

/** Says which process wrote the state; that of a process that has ended may be outdated. */
function wordOf(subnetFile: string, daemon: DaemonState): string {
  const { pid, since } = daemon;
  const gone = isThere(daemon) ? "" : ", which has ended or is in another PID namespace";
  return `${stateFileOf(subnetFile)} was written at ${since} by process ${pid}${gone}`;
}

const isThere = ({ pid }: DaemonState): boolean => findStat(`/proc/${pid}`) !== undefined;

const logs = "journalctl -u flanneld; in Kubernetes: kubectl -n kube-flannel logs -l app=flannel";
