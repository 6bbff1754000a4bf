/** The names of attachments, seen from one namespace: what Docker's embedded DNS answers there. Pure. */
import { type Address, isIPv4 } from "../ip/address.ts";
import { type AnswerRecord, CLASS_IN, type Question, Rcode, Type } from "./message.ts";
import { addressKey, addressOfReverseName, encodeName } from "./name.ts";

/** An attachment of a container to a network, as far as names are concerned. */
export interface NamedAttachment {
  /** ID of the network. */
  network: string;
  networkName: string;
  /** Whether the network has no way out: names that it does not know are not asked elsewhere. */
  isInternal: boolean;
  /** ID of the container. */
  container: string;
  /** Its name, which reverse look-ups give. */
  name: string;
  /** Further names on this network: aliases, host name, short ID. */
  aliases: readonly string[];
  /** Names for other containers of the network that this one alone sees. */
  links: readonly { alias: string; target: string }[];
  addresses: readonly Address[];
  /** Servers that are asked for other names, in the place of the host's. */
  servers?: readonly Address[];
  /** The domain of the network's names, whole and its own, in the place of the network's name. */
  domain?: string | undefined;
}

/** The names of one network. */
export interface NetworkNames {
  id: string;
  /** What may stand behind a name: the network's name, or its domain. */
  suffix: string;
  /** Whether a name with the suffix that no container has does not exist, and is asked of nobody. */
  ownsSuffix: boolean;
  isInternal: boolean;
  addresses: ReadonlyMap<string, readonly Address[]>;
  /** Names by address, see addressKey. */
  names: ReadonlyMap<string, string>;
}

/** Collects the names of each network. A name that several attachments have gives the addresses of all. */
export function namesOfNetworks(attachments: readonly NamedAttachment[]): Map<string, NetworkNames> {
  type Draft = NetworkNames & { addresses: Map<string, Address[]>; names: Map<string, string> };
  const networks = new Map<string, Draft>();
  for (const { network: id, networkName, isInternal, name, aliases, addresses, domain } of attachments) {
    const suffix = domain ?? networkName;
    const network = networks.get(id) ?? {
      id,
      suffix: suffix.toLowerCase(),
      ownsSuffix: domain !== undefined,
      isInternal,
      addresses: new Map(),
      names: new Map(),
    };
    networks.set(id, network);
    for (const one of new Set([name, ...aliases].filter(Boolean).map((text) => text.toLowerCase()))) {
      const known = network.addresses.get(one);
      if (known === undefined) network.addresses.set(one, [...addresses]);
      else known.push(...addresses);
    }
    for (const address of addresses) network.names.set(addressKey(address), suffix === "" ? name : `${name}.${suffix}`);
  }
  return networks;
}

/** What one namespace sees. */
export interface View {
  /** The networks that it is attached to; names are looked up in this order. */
  networks: readonly NetworkNames[];
  /** Links by alias: name of the network's container, and the network. */
  links: ReadonlyMap<string, readonly { network: NetworkNames; target: string }[]>;
  /** Whether names of other domains are asked elsewhere: at least one of the networks has a way out. */
  canForward: boolean;
  /** The servers for them; none: the host's. */
  servers: readonly Address[];
}

/** Makes the view of a namespace with these attachments. Networks with a way out come first, then the order of names decides, as for Docker's default route. */
export function viewOf(attachments: readonly NamedAttachment[], all: ReadonlyMap<string, NetworkNames>): View {
  const networks = [...new Set(attachments.map(({ network }) => network))]
    .flatMap((id) => all.get(id) ?? [])
    .sort(
      (one, other) =>
        Number(one.isInternal) - Number(other.isInternal) ||
        (one.suffix < other.suffix ? -1 : one.suffix > other.suffix ? 1 : 0),
    );
  const links = new Map<string, { network: NetworkNames; target: string }[]>();
  for (const network of networks)
    for (const { alias, target } of attachments
      .filter((one) => one.network === network.id)
      .flatMap((one) => one.links)) {
      const known = links.get(alias.toLowerCase()) ?? [];
      links.set(alias.toLowerCase(), [...known, { network, target: target.toLowerCase() }]);
    }
  const servers = attachments.flatMap((one) => one.servers ?? []);
  return { networks, links, canForward: networks.some(({ isInternal }) => !isInternal), servers };
}

/** What is to be said to a question: records, or that another server has to be asked. */
export type Answer = { rcode: number; records: AnswerRecord[] } | "forward";

/**
 * Answers a question from the names of a view.
 *
 * @param all the networks of the host: a name of one that the view is not attached to is not asked elsewhere
 * @param shuffle brings the addresses of a name into random order, so that its containers share the load
 */
export function answerFrom(
  view: View,
  question: Question,
  all: ReadonlyMap<string, NetworkNames>,
  shuffle: <T>(list: T[]) => T[],
): Answer {
  if (question.class !== CLASS_IN) return { rcode: Rcode.refused, records: [] };
  const address = addressOfReverseName(question.name);
  if (address !== undefined) return reverseAnswer(view, question, address);
  const addresses = addressesOf(view, question.name);
  if (addresses !== undefined) return { rcode: Rcode.noError, records: shuffle(recordsOf(addresses, question.type)) };
  if (view.networks.some((network) => isOwnName(question.name, network)) || isNameElsewhere(question.name, view, all))
    return { rcode: Rcode.nameError, records: [] };
  return view.canForward ? "forward" : { rcode: Rcode.serverFailure, records: [] };
}

function addressesOf({ networks, links }: View, name: string): readonly Address[] | undefined {
  for (const { network, target } of links.get(name) ?? []) {
    const addresses = network.addresses.get(target);
    if (addresses !== undefined) return addresses;
  }
  for (const network of networks) {
    const own = unqualified(name, network);
    const addresses = network.addresses.get(name) ?? (own === undefined ? undefined : network.addresses.get(own));
    if (addresses !== undefined) return addresses;
  }
  return undefined;
}

const isOwnName = (name: string, { suffix, ownsSuffix }: NetworkNames): boolean =>
  ownsSuffix && suffix !== "" && (name === suffix || name.endsWith(`.${suffix}`));

/** Returns the name without the network's; undefined: it does not end with that. */
function unqualified(name: string, network: NetworkNames): string | undefined {
  const suffix = `.${network.suffix}`;
  return name.endsWith(suffix) ? name.slice(0, -suffix.length) : undefined;
}

/**
 * Reports whether another network's container is called so, either without dots, or with the network's name: such a name means nothing to
 * other servers, which are not to learn of it.
 */
function isNameElsewhere(name: string, { networks }: View, all: ReadonlyMap<string, NetworkNames>): boolean {
  const others = [...all.values()].filter((network) => !networks.includes(network));
  if (!name.includes(".")) return others.some(({ addresses }) => addresses.has(name));
  return others.some((network) => {
    const own = unqualified(name, network);
    return own !== undefined && network.addresses.has(own);
  });
}

function recordsOf(addresses: readonly Address[], type: number): AnswerRecord[] {
  return addresses
    .map((data) => ({ type: isIPv4(data) ? Type.A : Type.AAAA, data }))
    .filter((record) => type === Type.ANY || type === record.type);
}

function reverseAnswer({ networks, canForward }: View, { type }: Question, address: Address): Answer {
  const key = addressKey(address);
  const name = networks.map(({ names }) => names.get(key)).find((found) => found !== undefined);
  if (name === undefined) return canForward ? "forward" : { rcode: Rcode.serverFailure, records: [] };
  const data = type === Type.PTR || type === Type.ANY ? encodeName(name) : undefined;
  return { rcode: Rcode.noError, records: data === undefined ? [] : [{ type: Type.PTR, data }] };
}
