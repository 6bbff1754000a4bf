// The fakes that unit tests use refuse and do what the kernel refuses and does: the same claims, on the real one.
import t from "tap";
import { connect, NETLINK_NETFILTER } from "../pkg/netlink/connection.ts";
import { netfilterClaims } from "../pkg/netlink/fake/netfilter-claims.testing.ts";
import { closeNamespace, makeNamespace } from "../pkg/sys/namespace.ts";
import { needsRoot } from "./lab/needs.ts";

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
