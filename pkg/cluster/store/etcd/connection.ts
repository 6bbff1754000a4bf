/**
 * gRPC with one member of etcd: etcd3's messages and channels, and none of its supervision.
 *
 * etcd3 would choose members, try again, break circuits, log in and resume watches by itself. Each of these has an edge that a
 * daemon meets: a member that accepts and says nothing holds a call for ever; every login opens a channel that is never closed;
 * a watch does not live through a restart with passwords, and does not say that it was compacted. So calls go out here with a
 * deadline and the token we give, and come back as they are; `server.ts` and `watch.ts` decide what then.
 */
import { existsSync, readFileSync } from "node:fs";
import {
  AuthClient,
  Etcd3,
  type ICallable,
  type IOptions,
  KVClient,
  LeaseClient,
  type Services,
  WatchClient,
} from "etcd3";

export interface Access {
  /** PEM texts. Without a CA, the authorities that the system trusts. */
  tls?: { ca?: string; certificate?: string; key?: string };
  username?: string;
  password?: string;
}

export interface Connection {
  kv: KVClient;
  lease: LeaseClient;
  auth: AuthClient;
  watch(): Promise<WatchStream>;
  /** Sends the token of a login with every call from now on. */
  useToken(token: string): void;
  /** Calls under way still get their answer. */
  close(): void;
  /** Calls under way fail at once. */
  cut(): void;
}

/** A call that failed, in etcd's or grpc-js' words. */
export class CallError extends Error {
  override name = "CallError";
  /** grpc/status.h: GRPC_STATUS_* */
  readonly code: number;

  constructor(code: number, details: string) {
    super(details);
    this.code = code;
  }
}

export type WatchStream = Awaited<ReturnType<WatchClient["watch"]>>;

/** How long a member may take for an answer. */
export const ANSWER_MS = 2000;

/**
 * A member that no longer answers pings is left after the sum of these two. etcd hangs up on clients that ping more often than
 * every 5 s (--grpc-keepalive-min-time).
 */
const PING_MS = 6000;
const PING_ANSWER_MS = 3000;

const channelOptions = {
  "grpc.keepalive_time_ms": PING_MS,
  "grpc.keepalive_timeout_ms": PING_ANSWER_MS,
  "grpc.max_receive_message_length": -1, // 20,000 leases are more than the usual 4 MB
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1000,
  "grpc.enable_http_proxy": 0, // as etcdctl: a proxy for the web is none for etcd
};

/** Nothing goes over the network yet. @param url As `readEndpoints` gives it */
export function connect(url: string, { tls }: Access): Connection {
  const channels = new Channels({
    hosts: [url],
    ...(url.startsWith("https:") && { credentials: credentialsOf(tls ?? {}) }),
    grpcOptions: { ...channelOptions, "twill.connection": ++connectionsMade },
    faultHandling: { host: () => passing as Policy, global: passing as Policy },
  });
  const headers = new Map([["hasleader", "true"]]); // a member that was cut off from the others says so, and leaves it to them
  const underway = new Set<Underway>();
  const calls = callsThrough(channels, { headers, underway });
  return {
    kv: new KVClient(calls),
    lease: new LeaseClient(calls),
    auth: new AuthClient(calls),
    watch: () => new WatchClient(calls).watch(),
    useToken: (token) => void headers.set("token", token),
    close: () => channels.close(),
    cut() {
      channels.close();
      for (const call of underway) call.cancel();
    },
  };
}

/** grpc-js shares sockets between channels with equal options, a broken one too: a new connection needs options of its own. */
let connectionsMade = 0;

function credentialsOf({ ca, certificate, key }: NonNullable<Access["tls"]>): NonNullable<IOptions["credentials"]> {
  const bytes = (pem: string | undefined) => (pem === undefined ? undefined : Buffer.from(pem));
  const credentials = {
    rootCertificate: bytes(ca) ?? systemAuthorities(),
    privateKey: bytes(key),
    certChain: bytes(certificate),
  };
  return credentials as NonNullable<IOptions["credentials"]>; // grpc-js takes undefined for each
}

/** Where Go, and flannel with it, looks for them (crypto/x509/root_linux.go). */
const AUTHORITIES = [
  "/etc/ssl/certs/ca-certificates.crt", // Debian, Arch
  "/etc/pki/tls/certs/ca-bundle.crt", // Fedora
  "/etc/ssl/ca-bundle.pem", // openSUSE
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // CentOS
  "/etc/ssl/cert.pem", // Alpine
];

/** @returns undefined: there are none, so that Node's own list counts */
function systemAuthorities(): Buffer | undefined {
  const given = process.env["SSL_CERT_FILE"];
  const file = given ? given : AUTHORITIES.find(existsSync);
  return file === undefined ? undefined : readFileSync(file);
}

type Policy = NonNullable<NonNullable<IOptions["faultHandling"]>["global"]>;

/** One call is one call. */
const passing: Pick<Policy, "execute" | "onSuccess" | "onFailure"> = {
  execute: async (work) => await work({ signal: neverAborted }),
  onSuccess: () => noListener,
  onFailure: () => noListener,
};
const neverAborted = new AbortController().signal;
const noListener = { dispose() {} };

/** A class, since etcd3 shows its channels to heirs only. */
class Channels extends Etcd3 {
  use: ICallable<unknown>["withConnection"] = (service, work) => this.pool.withConnection(service, work);
}

interface Calling {
  /** Of every call. */
  headers: ReadonlyMap<string, string>;
  underway: Set<Underway>;
}

/** A call that waits for its answer. */
interface Underway {
  /** It fails, with CANCELLED. */
  cancel(): void;
}

function callsThrough(channels: Channels, { headers, underway }: Calling): ICallable<unknown> {
  const withConnection: ICallable<unknown>["withConnection"] = (service, work) =>
    channels.use(service, (connection) => {
      for (const [name, value] of headers) connection.metadata.set(name, value);
      return work(connection);
    });
  return {
    callOptionsFactory: undefined,
    markFailed() {},
    withConnection,
    exec: (service: keyof typeof Services, method: string, request: unknown) =>
      withConnection(service, ({ client, metadata }) =>
        answerOf({ client: client as unknown as Caller, method, underway }, request, metadata),
      ),
  };
}

/** What grpc-js makes of a .proto file: a function per method. */
type Caller = Record<string, (...args: [unknown, unknown, { deadline: number }, Callback]) => Underway>;
type Callback = (refusal: Error | null, answer: unknown) => void;

interface Question {
  client: Caller;
  method: string;
  underway: Set<Underway>;
}

function answerOf<T>({ client, method, underway }: Question, request: unknown, metadata: unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const call = client[method]?.(request, metadata, { deadline: Date.now() + ANSWER_MS }, (refusal, answer) => {
      if (call) underway.delete(call);
      if (refusal) reject(callError(refusal));
      else resolve(answer as T);
    });
    if (call) underway.add(call);
  });
}

/** What grpc-js throws and emits is an Error with these; other errors stay as they are. */
export function callError(error: Error & { code?: number; details?: string }): Error {
  return typeof error.code === "number" && error.details !== undefined
    ? new CallError(error.code, error.details)
    : error;
}
