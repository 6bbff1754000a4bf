/** Turns a refusal of the kernel into a CniError. */
import { type NamedStep, runAllSteps } from "../cni/best-effort-del.ts";
import { CniError, ErrorCode } from "../cni/error.ts";
import { NetlinkError } from "../netlink/connection.ts";
import { isErrno } from "../sys/errno.ts";

export interface KernelErrorContext {
  msg: string;
  /** The operation that failed, and the container it was for. */
  doing: string;
  /** The remedy unless the kernel's error suggests a better one. */
  remedy: string;
}

/**
 * Returns the context of an operation on a network's rules.
 *
 * @param rules The rules of the feature, for "the kernel refuses ...".
 * @param needs What the kernel needs for them besides nf_tables.
 * @param modules The modules that have that.
 */
export const networkRules =
  (rules: string, { needs, modules }: { needs: string; modules: string }) =>
  ({ network, containerId }: { network: string; containerId?: string }, doing: string): KernelErrorContext => ({
    msg: `network ${JSON.stringify(network)}: the kernel refuses ${rules}`,
    doing: containerId === undefined ? doing : `${doing} for container ${containerId}`,
    remedy: `check that the kernel has nf_tables and ${needs} (modprobe -a nf_tables ${modules}); compare with: nft list ruleset`,
  });

/** Runs `work`. @throws CniError 999: the kernel refuses */
export function withKernelErrors<T>({ msg, doing, remedy }: KernelErrorContext, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    throw new CniError({
      code: ErrorCode.internal,
      msg,
      details: `${doing}: ${error.message}`,
      remedy: remedyFor(error) ?? remedy,
      cause: error,
    });
  }
}

/**
 * Runs every removal, also after one that failed: rules of one backend go when those of another are refused.
 *
 * @throws as `runAllSteps`; CniError 999: the kernel refuses
 */
export function runRemovals(context: KernelErrorContext, removals: readonly NamedStep[]): void {
  runAllSteps(removals.map(([what, action]) => [what, () => withKernelErrors(context, action)]));
}

function remedyFor(error: NetlinkError): string | undefined {
  if (isErrno(error, "EPERM")) return "run as root, with CAP_NET_ADMIN in the host's network namespace";
  if (isErrno(error, "ERESTART", "EBUSY"))
    return "try again; if it happens again, find out what changes the rules: nft monitor";
  if (!error.request.startsWith("NFNL_MSG_COMPAT_GET")) return undefined;
  return "load the module of that extension (modprobe -a nft_compat xt_comment xt_MASQUERADE), or choose the nftables backend";
}
