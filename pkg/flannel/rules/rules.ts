/** Masquerade and forward rules for the pod network, flannel's: with iptables, or in tables of nf_tables of their own. */
import { CniError } from "../../cni/error.ts";
import { type KernelErrorContext, withKernelErrors } from "../../firewall/kernel-error.ts";
import { type Connection, NetlinkError } from "../../netlink/connection.ts";
import { isErrno } from "../../sys/errno.ts";
import { cleanIptables, ensureIptables } from "./iptables.ts";
import { cleanNftables, ensureNftables } from "./nftables.ts";
import type { TrafficConf } from "./settings.ts";

/**
 * All of it is safe to call at any time, and what is right already is left alone. In chains that are there for all networks of a host, only rules that speak
 * of this network, or of an earlier one, are touched (chain-block.ts).
 */
export interface Traffic {
  /**
   * Makes the rules what they should be: content, order, no duplicates, nothing in between. What is wrong is replaced in one transaction; there is no
   * moment without rules. Those of earlier networks are replaced the first time: later they may be another daemon's.
   *
   * @returns how many chains had to be changed; 0 nearly always
   * @throws CniError 999: the kernel, or legacy iptables, refuses
   */
  ensure(): number;
  /**
   * Deletes what flannel, or we, made for this network with other settings: rules of the other kind, of the other world of iptables, of switches that are
   * off now; chains and tables when nobody else has anything in there.
   *
   * @throws CniError 999: the kernel, or legacy iptables, refuses
   */
  clean(): void;
}

const ensureBy = { iptables: ensureIptables, nftables: ensureNftables } as const;

/** @param netfilter Called when it is needed: legacy iptables does without. */
export function createTraffic(netfilter: () => Connection, conf: TrafficConf): Traffic {
  let settled = conf;
  return {
    ensure: () =>
      withKernelErrors(refusal(conf, "making the rules"), () => {
        const { changed, randomFully } = ensureOrSimpler(netfilter, settled);
        settled = { ...settled, randomFully, earlierNetworks: [] };
        return changed;
      }),
    clean: () =>
      withKernelErrors(refusal(conf, "deleting what earlier settings left"), () => {
        cleanIptables(netfilter, conf);
        cleanNftables(netfilter(), conf);
      }),
  };
}

/** Whether random ports are known, old kernels and releases of iptables tell only by their refusal. */
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
const REMEDIES: Readonly<Record<TrafficConf["kind"], string>> = {
  iptables:
    'load what iptables needs (modprobe nft_compat xt_comment xt_mark xt_MASQUERADE), or set "EnableNFTables": true in the network configuration',
  nftables:
    'look whether the kernel has nf_tables and NAT (modprobe nf_tables nft_chain_nat nft_masq), or set "EnableNFTables": false in the network configuration',
};
