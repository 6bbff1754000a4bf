/**
 * A connection for many transactions of one process, one after the other, as those that delete the attachments of a hundred dead containers: what the
 * plan of one has read is not read again by the next, unless somebody else has changed the ruleset in between.
 *
 * The generation tells. It is read before each plan; each transaction, of whomever, makes it one larger. So what was read on a generation, less what our
 * transaction has deleted, is the content of the next generation, if nobody else was there in between. Whatever else a transaction does, the chain or set
 * is read again.
 *
 * Nothing is remembered of
 *
 * - the first plan on a generation that another process has made: the kernel shows the new number a moment before the new content.
 * - what was read before a transaction that may have changed nothing, such as one that adds what is there: it leaves the number to the next one.
 */
import { type Channel, Connection, NETLINK_NETFILTER, openChannel, type Request } from "../../netlink/connection.ts";
import { NFT_MSG_DELCHAIN, NFT_MSG_NEWCHAIN } from "../../netlink/nftables/chain.ts";
import { NFT_MSG_DELSETELEM, NFT_MSG_NEWSETELEM } from "../../netlink/nftables/element.ts";
import { NFT_MSG_DELRULE, NFT_MSG_NEWRULE } from "../../netlink/nftables/rule.ts";
import { forgetRules } from "./ruleset.ts";
import { forgetElements } from "./set.ts";

export class RulesetSeries extends Connection {
  readonly #known = new Map<string, unknown>();
  /** That of which `#known` is the content. */
  #generation: number | undefined;

  constructor(channel: Channel = openChannel(NETLINK_NETFILTER)) {
    super(channel);
  }

  /**
   * Runs `plan`, which reads what is not known of this generation. Outside of it nothing is remembered.
   *
   * @param generation undefined: it is not known
   */
  planned<P>(generation: number | undefined, plan: () => P): P {
    const isKnown = generation !== undefined && generation === this.#generation;
    if (!isKnown) this.forget();
    this.#generation = generation;
    this.memory = this.#known;
    try {
      return plan();
    } finally {
      this.memory = undefined;
      if (!isKnown) this.#known.clear();
    }
  }

  /** Takes note of a transaction that was planned on the present generation, and committed. */
  committed(requests: readonly Request[]): void {
    if (requests.length === 0 || this.#generation === undefined) return;
    for (const request of requests) this.#changed(request);
    if (requests.some(isChange)) this.#generation++;
    else this.forget();
  }

  #changed(request: Request): void {
    if (ofRules.has(request.type)) forgetRules(this.#known, request);
    else if (ofElements.has(request.type)) forgetElements(this.#known, request);
    else this.#known.clear();
  }

  forget(): void {
    this.#known.clear();
    this.#generation = undefined;
  }
}

/** Whether the kernel performs the request as a change, or refuses it. */
const isChange = ({ type, value }: Request): boolean =>
  type === NFT_MSG_DELRULE
    ? (value as { handle?: bigint }).handle !== undefined // else all rules, if there are any
    : type === NFT_MSG_NEWRULE || type === NFT_MSG_DELSETELEM || type === NFT_MSG_DELCHAIN;

const ofRules = new Set([NFT_MSG_NEWRULE, NFT_MSG_DELRULE, NFT_MSG_NEWCHAIN, NFT_MSG_DELCHAIN]);
const ofElements = new Set([NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM]);
