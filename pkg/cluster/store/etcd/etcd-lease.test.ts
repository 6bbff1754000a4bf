import t from "tap";
import { silent } from "../../lease/fake.testing.ts";
import { StoreError } from "../../lease/store-error.ts";
import type { Cluster } from "./cluster.ts";
import { CallError } from "./connection.ts";
import { etcdLeases } from "./etcd-lease.ts";
import { UNAVAILABLE } from "./server.ts";

/** grpc/status.h: GRPC_STATUS_* */
const PERMISSION_DENIED = 7;

/** Gives every grant the ID 7, and notes what it was asked for. */
function clusterNoting(asked: string[]): Pick<Cluster, "ask"> {
  return {
    async ask<T>(doing: string): Promise<T> {
      asked.push(doing);
      return { ID: "7", TTL: "60" } as T;
    },
  };
}

const failures: { what: string; code: number; asked: string[] }[] = [
  { what: "is refused leaves no clock behind", code: PERMISSION_DENIED, asked: ["grant a lease", "revoke a lease"] },
  { what: "may have come through keeps its clock", code: UNAVAILABLE, asked: ["grant a lease"] },
];
for (const { what, code, asked } of failures) {
  t.test(`a write that ${what}`, async (t) => {
    const noted: string[] = [];
    const grants = etcdLeases(clusterNoting(noted), silent);
    const refusal = new StoreError("etcd does not write", { cause: new CallError(code, "no") });
    await t.rejects(
      grants.writeFor(60_000, () => Promise.reject(refusal)),
      refusal,
    );
    t.strictSame(noted, asked);
  });
}
