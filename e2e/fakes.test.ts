// The fakes that unit tests use refuse and do what the kernel refuses and does: the same claims, on the real one.
import t from "tap";
import { RTMGRP_IPV4_ROUTE, RTMGRP_NEIGH } from "../pkg/cluster/event-loop/netlink-watch.ts";
import { connect, listen, NETLINK_NETFILTER, NETLINK_ROUTE } from "../pkg/netlink/connection.ts";
import { netfilterClaims } from "../pkg/netlink/fake/netfilter-claims.testing.ts";
import { rtnetlinkClaims } from "../pkg/netlink/fake/rtnetlink-claims.testing.ts";
import { closeNamespace, makeNamespace } from "../pkg/sys/namespace.ts";
import { needsKernel, needsRoot } from "./lab/needs.ts";

for (const { claim, holds } of netfilterClaims) {
  t.test(`nf_tables: ${claim}`, needsRoot, async (t) => {
    const namespace = makeNamespace();
    try {
      holds(t, () => connect(NETLINK_NETFILTER, namespace));
    } finally {
      closeNamespace(namespace);
    }
  });
}

for (const { claim, needs, holds } of rtnetlinkClaims) {
  t.test(`rtnetlink: ${claim}`, needs === undefined ? needsRoot : needsKernel(needs), async (t) => {
    const [host, container] = [makeNamespace(), makeNamespace()];
    try {
      const [rtnl, inside] = [connect(NETLINK_ROUTE, host), connect(NETLINK_ROUTE, container)];
      holds(t, {
        host: rtnl,
        container: inside,
        containerFd: container.fd,
        listen: () => listen(NETLINK_ROUTE, RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE, host),
      });
    } finally {
      closeNamespace(host);
      closeNamespace(container);
    }
  });
}
