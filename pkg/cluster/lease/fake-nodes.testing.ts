/**
 * A lease manager as different from that of stores as one can be, as Kubernetes would have it: a lease is a node, named as the node is. Its
 * subnet is the node's podCIDR, which something else has given; nothing is renewed; a deleted node has a name and nothing else; what
 * an earlier run has published is still there.
 */

import type { LeaseEvent, OwnEvent, Watch } from "./event.ts";
import { attributesOf, cidr } from "./fake.testing.ts";
import type { Lease, LeaseAttributes, LeaseId } from "./lease.ts";
import type { LeaseManager, LeaseRemedies } from "./manager.ts";
import { NoConfig, NoSubnet } from "./store-error.ts";
import { type WatchSource, watchPeers } from "./watch-peers.ts";

interface Node {
  podCIDR?: string;
  /** Undefined: no flanneld has run there. */
  annotations?: LeaseAttributes;
}

/** The nodes of a cluster, and its ConfigMap. */
export class FakeNodes implements WatchSource {
  config: string | undefined;
  private readonly nodes = new Map<LeaseId, Node>();
  private readonly watchers = new Set<Parameters<WatchSource["watch"]>>();

  find(name: LeaseId): Node | undefined {
    return this.nodes.get(name);
  }

  set(name: LeaseId, node: Node): void {
    this.nodes.set(name, node);
    const lease = leaseOf(name, node);
    if (lease) this.send({ kind: "put", lease });
  }

  delete(name: LeaseId): void {
    this.nodes.delete(name);
    this.send({ kind: "gone", id: name });
  }

  /** Loses the API server, or finds it again (undefined). */
  trouble(why: Error | undefined): void {
    for (const [, trouble] of this.watchers) trouble(why);
  }

  watch(...watcher: Parameters<WatchSource["watch"]>): Watch {
    this.watchers.add(watcher);
    const leases = [...this.nodes].flatMap(([name, node]) => leaseOf(name, node) ?? []);
    watcher[0]({ kind: "snapshot", snapshot: { leases, malformed: [] } });
    return { stop: () => void this.watchers.delete(watcher) };
  }

  private send(event: LeaseEvent): void {
    for (const [told] of this.watchers) told(event);
  }
}

function leaseOf(id: LeaseId, { podCIDR, annotations }: Node): Lease | undefined {
  return podCIDR === undefined || annotations === undefined
    ? undefined
    : { id, ipv4: cidr(podCIDR), attributes: annotations };
}

/** Node `n` of a cluster, as its flanneld has annotated it. */
export const nodeOf = (n: number, podCIDR = `10.3.${n}.0/26`): Node => ({
  podCIDR,
  annotations: attributesOf(`192.0.2.${n}`, `aa:00:00:00:00:0${n}`),
});

const remedies: LeaseRemedies = {
  malformed: "see it with: kubectl describe node",
  incomplete: "restart flanneld on its host: kubectl -n kube-flannel delete pod",
  ourAddress: "delete the node if this host had that name before: kubectl delete node",
  overlap: "delete one of the two nodes: kubectl delete node",
  severalLeases: "delete the nodes that are gone: kubectl delete node",
  peerSubnet: "give kube-controller-manager another --cluster-cidr, and the node a new name",
  ownSubnet: "give kube-controller-manager another --cluster-cidr, and this node a new name",
  ownFamily: "give kube-controller-manager a --cluster-cidr of both families",
};

/** @param name Of the node that this host is. */
export function createNodeManager(nodes: FakeNodes, name: LeaseId): LeaseManager {
  const annotate = (attributes: LeaseAttributes) => nodes.set(name, { ...nodes.find(name), annotations: attributes });
  return {
    description: `Kubernetes, node ${name}`,
    subnets: "given",
    remedies,
    async readConfig() {
      if (nodes.config !== undefined) return nodes.config;
      throw new NoConfig("net-conf.json is missing. To fix: kubectl apply -f kube-flannel.yml");
    },
    findPublished: async () => nodes.find(name)?.annotations,
    async acquire(_network, { attributes }) {
      const { podCIDR } = nodes.find(name) ?? {};
      if (podCIDR === undefined)
        throw new NoSubnet(`node ${name} has no podCIDR. To fix: kube-controller-manager --allocate-node-cidrs=true`);
      annotate(attributes);
      return { id: name, ipv4: cidr(podCIDR), attributes };
    },
    follow(own, handler) {
      let lease = own;
      const take = (event: OwnEvent) => {
        if (event.kind === "put") lease = event.lease;
        else
          handler.leaseLost(
            `node ${name} is deleted. To fix: kubectl get node ${name}; restart the kubelet of this host`,
          );
      };
      const watch = watchPeers(nodes, { lease: () => lease, take }, handler, remedies);
      return {
        lease: () => lease,
        peers: watch.peers,
        malformed: watch.malformed,
        changeAttributes: annotate,
        stop: watch.stop,
      };
    },
    reconnect() {},
    async close() {},
  };
}
