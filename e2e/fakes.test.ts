// The fakes that unit tests use refuse and do what the kernel refuses and does: the same claims, on the real one.
import t from "tap";
import { RTMGRP_IPV4_ROUTE, RTMGRP_NEIGH } from "../pkg/cluster/event-loop/netlink-watch.ts";
import {
  type Channel,
  Connection,
  connect,
  listen,
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
} from "../pkg/netlink/connection.ts";
import { netfilterClaims } from "../pkg/netlink/fake/netfilter-claims.testing.ts";
import { rtnetlinkClaims } from "../pkg/netlink/fake/rtnetlink-claims.testing.ts";
import { closeFile } from "../pkg/sys/file.ts";
import { closeNamespace, makeNamespace, type Namespace, within } from "../pkg/sys/namespace.ts";
import { AF_NETLINK, openSocket, receive, SOCK_RAW, send } from "../pkg/sys/socket.ts";
import { needsKernel, needsRoot } from "./lab/needs.ts";

/** Opens a socket without NETLINK_GET_STRICT_CHK. */
function unfilteredChannel(namespace: Namespace): Channel {
  const fd = within(namespace, () => openSocket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
  const buffer = new Uint8Array(65536);
  return {
    fd,
    send: (datagram) => send(fd, datagram),
    receive: () => receive(fd, buffer),
    receiveArrived: () => undefined,
    close: () => closeFile(fd),
  };
}

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
        unfiltered: () => new Connection(unfilteredChannel(host)),
        listen: () => listen(NETLINK_ROUTE, RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE, host),
      });
    } finally {
      closeNamespace(host);
      closeNamespace(container);
    }
  });
}
