/** flannel's masquerade and forward rules for the pod network: with iptables, or in nftables tables of their own. */
import { CniError } from "../../cni/error.ts";
import type { RuleBackend } from "../../firewall/backend.ts";
import { type KernelErrorContext, withKernelErrors } from "../../firewall/kernel-error.ts";
import { type Connection, NetlinkError } from "../../netlink/connection.ts";
import { isErrno } from "../../sys/errno.ts";
import { cleanIptables, ensureIptables } from "./iptables.ts";
import { cleanNftables, ensureNftables } from "./nftables.ts";
import type { TrafficConf } from "./settings.ts";

/**
 * The methods may be called at any time, and do not touch correct rules. In chains that all networks of a host share, only rules of this
 * network, or of an earlier one, are touched (chain-block.ts).
 */
export interface Traffic {
  /**
   * Makes the rules correct: content, order, no duplicates, nothing in between. Wrong rules are replaced in one transaction, so that there
   * is no moment without rules. Rules of earlier networks are replaced only by the first call: later they may be another daemon's.
   *
   * @returns how many chains had to be changed; 0 nearly always
   * @throws CniError 999: the kernel, or legacy iptables, refuses
   */
  ensure(): number;
  /**
   * Deletes what flannel or we made for this network with other settings: rules of the other kind, of the other iptables variant, of
   * options that are off now; and chains and tables in which no other program has rules.
   *
   * @throws CniError 999: the kernel, or legacy iptables, refuses
   */
  clean(): void;
}

const ensureBy = { iptables: ensureIptables, nftables: ensureNftables } as const satisfies Record<RuleBackend, unknown>;

/** @param netfilter Called only if needed: legacy iptables does not need it. */
export function createTraffic(netfilter: () => Connection, conf: TrafficConf): Traffic {
  let settled = conf;
  return {
    ensure: () =>
      withKernelErrors(refusal(conf, "creating the rules"), () => {
        const { changed, randomFully } = ensureOrSimpler(netfilter, settled);
        settled = { ...settled, randomFully, earlierNetworks: [] };
        return changed;
      }),
    clean: () =>
      withKernelErrors(refusal(conf, "deleting rules of earlier settings"), () => {
        cleanIptables(netfilter, conf);
        cleanNftables(netfilter(), conf);
      }),
  };
}

/** Makes the rules, without --random-fully if refused: old kernels and iptables releases show only by an error that they lack it. */
function ensureOrSimpler(netfilter: () => Connection, conf: TrafficConf): { changed: number; randomFully: boolean } {
  try {
    return { changed: ensureBy[conf.kind](netfilter, conf), randomFully: conf.randomFully };
  } catch (error) {
    if (!conf.randomFully || !mayMeanRandomFully(error)) throw error;
    return ensureOrSimpler(netfilter, { ...conf, randomFully: false });
  }
}

function mayMeanRandomFully(error: unknown): boolean {
  if (error instanceof NetlinkError)
    return error.request === "NFT_MSG_NEWRULE" && isErrno(error, "EINVAL", "EOPNOTSUPP");
  return error instanceof CniError && /unknown option "?--random-fully/.test(error.details); // iptables before 1.6.2
}

const refusal = ({ kind }: TrafficConf, doing: string): KernelErrorContext => ({
  msg: `pod network: the kernel refuses masquerade and forward rules by ${kind}`,
  doing,
  remedy: REMEDIES[kind],
});
const REMEDIES: Readonly<Record<RuleBackend, string>> = {
  iptables:
    'load what iptables needs (modprobe -a nft_compat xt_comment xt_mark xt_MASQUERADE), or set "EnableNFTables": true in the network configuration',
  nftables:
    'check that the kernel has nf_tables and NAT (modprobe -a nf_tables nft_chain_nat nft_masq), or set "EnableNFTables": false in the network configuration',
};
