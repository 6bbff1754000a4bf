/** Makes messages of errors of etcd, its TLS or the network: which member reported what, and the remedy. */
import { StoreError } from "../../lease/store-error.ts";
import { ANSWER_MS, CallError } from "./connection.ts";
import { DEADLINE_EXCEEDED } from "./server.ts";

/** The error of one member. */
export interface ServerError {
  url: string;
  error: unknown;
}

export interface FailedOperation {
  /** As "list the leases". */
  doing: string;
  /** The prefix of all keys. */
  prefix: string;
  /** Not empty. */
  refusals: readonly ServerError[];
}

export function storeError({ doing, prefix, refusals }: FailedOperation): StoreError {
  const reasons = refusals.map(({ url, error }) => ({ url, reason: reasonOf(error) }));
  const said = reasons.map(({ url, reason }) => `${url}: ${reason}`).join("; ");
  const remedies = new Set(reasons.map(({ reason }) => remedyFor(reason, prefix)));
  const cause = refusals[0]?.error;
  return new StoreError(`etcd: cannot ${doing}: ${said}. To fix: ${[...remedies].join("; ")}`, { cause });
}

/** Extracts the reason from a message, without grpc-js' wrapping, times and memory addresses. */
function reasonOf(error: unknown): string {
  if (error instanceof CallError && error.code === DEADLINE_EXCEEDED) return `no answer within ${ANSWER_MS / 1000} s`;
  const text = error instanceof Error ? error.message : String(error);
  const inner = /Last error: (?:Error: )?(.*?)\.? Resolution note:/s.exec(text)?.[1] ?? text;
  const openssl = /error:[0-9A-F]+:(SSL routines:[^:]*:[^:]*)/.exec(inner)?.[1];
  return openssl ?? inner.replace(/\s*\(\d{4}-\d\d-\d\dT[^)]*\)$/, "");
}

function remedyFor(reason: string, prefix: string): string {
  const [, remedy] = remedies.find(([pattern]) => pattern.test(reason)) ?? [];
  return remedy?.(prefix) ?? "see etcd's log of that time";
}

/** Patterns of reasons with their remedies; the first match is used. */
const remedies: readonly [RegExp, (prefix: string) => string][] = [
  [/ECONNREFUSED/, () => "start etcd there, or set --etcd-endpoints to endpoints where it runs"],
  [/EHOSTUNREACH|ENETUNREACH|ETIMEDOUT/, () => "check the routes to the endpoints in --etcd-endpoints"],
  [/Name resolution failed/, () => "correct the host name in --etcd-endpoints, or this host's name resolution"],
  [
    /no answer within|Connection dropped|ECONNRESET|ended the watch/,
    () => "check that etcd runs there, and that no firewall drops packets to it",
  ],
  [
    /verify the first|self.signed|issuer|certificate signed/,
    () => "set --etcd-cafile to the certificate of the CA that signed the server's",
  ],
  [
    /altnames/,
    () =>
      "use a name from the server's certificate in --etcd-endpoints, or give the server a certificate for its address",
  ],
  [/has expired|not yet valid/, () => "renew the server's certificate, or set the clock"],
  [
    /alert (bad certificate|certificate required|unknown ca)|certificate required/,
    () => "set --etcd-certfile and --etcd-keyfile to a certificate that etcd accepts, and its key",
  ],
  [
    /PEM routines|x509 certificate routines/,
    () => "set --etcd-certfile and --etcd-keyfile to PEM files: a certificate, and its key",
  ],
  [/ENOENT/, () => "correct SSL_CERT_FILE, or set --etcd-cafile to the CA's certificate"],
  [/before secure TLS|wrong version number/, () => "write http:// in --etcd-endpoints if this member has no TLS"],
  [
    /Failed to connect|Protocol error/,
    () => "write https:// in --etcd-endpoints if this member has TLS; check that it is etcd",
  ],
  [/authentication failed/, () => "correct --etcd-username and --etcd-password"],
  [/user name is empty/, () => "set --etcd-username and --etcd-password: this etcd has authentication enabled"],
  [
    /permission denied/,
    (prefix) =>
      `give the user's role this permission: etcdctl role grant-permission ROLE --prefix readwrite ${prefix}/`,
  ],
  [/no leader/, () => "start the other members: a majority must run (etcdctl endpoint status --cluster)"],
  [/the store is closed/, () => "this is a bug in twill; please report it"],
  [/space exceeded/, () => "compact and defragment etcd, then: etcdctl alarm disarm"],
];
