/** What tests of links have in common: two namespaces of a fake kernel, what a change makes of them, and failures as a runtime gets them. */
import type { AttachmentId } from "../cni/attachment-id.ts";
import { failureOf } from "../cni/error.ts";
import { type Prefix, parsePrefix } from "../ip/address.ts";
import { NotSimulated } from "../netlink/fake/channel.testing.ts";
import { difference } from "../netlink/fake/difference.testing.ts";
import { type FakeNamespace, FakeNetwork } from "../netlink/fake/rtnetlink.testing.ts";
import type { LinkRequest } from "../netlink/rtnetlink/link.ts";
import type { ErrnoName } from "../sys/errno.ts";
import { addLink } from "./link.ts";

export interface Hosts {
  network: FakeNetwork;
  host: FakeNamespace;
  container: FakeNamespace;
}

/** Returns a host and a container, each with its loopback. */
export function hosts(): Hosts {
  const network = new FakeNetwork();
  return { network, host: network.addNamespace("/host"), container: network.addNamespace("/container") };
}

/** Returns a namespace in which these links are, one after the other: indexes from 2 on. */
export function namespaceWith(...links: readonly LinkRequest[]): FakeNamespace {
  const { host } = hosts();
  for (const link of links) host.connect().request(addLink(link));
  host.sent.length = 0;
  return host;
}

export const prefix = (text: string): Prefix => parsePrefix(text) as Prefix;

export const owner = (containerId: string, network = "podnet"): AttachmentId => ({
  network,
  containerId,
  ifName: "eth0",
});

/** Returns both namespaces as text, with the random names of the pairs' host ends replaced. */
export const textOf = ({ host, container }: Hosts): string =>
  `${host.text()}--\n${container.text()}`.replace(/veth[0-9a-f]{8}/g, "vethX");

/** Returns the difference that work makes to a namespace, as `difference` does; or the failure, as `failureBy` does. */
export function outcomeOf(namespace: FakeNamespace, work: () => unknown): string[] | string {
  const before = namespace.text();
  return failureBy(work) ?? difference(before, namespace.text());
}

/** Returns code and text of the error with which a plugin would end; undefined when nothing is thrown. */
export function failureBy(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof NotSimulated) throw error;
    const { code, message } = failureOf(error);
    return `${code}: ${message}`;
  }
}

/** The remedies of refusals that no code expects. */
export const GONE =
  "To fix: an interface was deleted during the call, by a DEL at the same time or another program: try again";
export const FORBIDDEN =
  "To fix: run it as root with CAP_NET_ADMIN and CAP_SYS_ADMIN, and check that no security module forbids it";
export const LACKING = "To fix: this kernel lacks it: load the module that has it, or enable it in the kernel";
export const UNEXPECTED =
  "To fix: this should not happen: please report it to twill's issue tracker, with this text and the network's configuration";

/** Has a namespace refuse all requests of a name. */
export function refuse(namespace: FakeNamespace, refused: string, errno: ErrnoName): void {
  namespace.refuse = ({ name }) => (name === refused ? errno : undefined);
}

/**
 * Has each request of the work in one of the namespaces refused in turn, on namespaces like these each time.
 *
 * @returns What happened otherwise than it must: the work has to throw and to change nothing.
 */
export function refusedOnce(make: () => Hosts, work: (hosts: Hosts) => unknown, side: "host" | "container"): string[] {
  const whole = make();
  whole[side].sent.length = 0;
  work(whole);
  if (whole[side].sent.length === 0) return [`nothing is sent in the ${side}`];
  return whole[side].sent.flatMap(({ name }, i) => {
    const all = make();
    const before = textOf(all);
    let count = 0;
    all[side].refuse = () => (count++ === i ? "EPERM" : undefined);
    const moment = `${name}, request ${i + 1} in the ${side}`;
    if (failureBy(() => work(all)) === undefined) return [`${moment}: the refusal is not reported`];
    return difference(before, textOf(all)).map((line) => `${moment}: ${line}`);
  });
}
