/**
 * A gRPC connection to one member of etcd: uses etcd3's messages and channels, but not its retry logic.
 *
 * etcd3 would choose members, retry, use circuit breakers, log in and resume watches by itself. Each of these fails in a case that
 * a daemon meets: a member that accepts and does not answer blocks a call for ever; every login opens a channel that is never
 * closed; a watch does not survive a restart with passwords, and does not report a compaction. So calls are sent with a deadline
 * and the given token, and results are returned unchanged; `server.ts` and `watch.ts` decide what to do.
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
  /** PEM texts. Without a CA, the authorities that the system trusts are used. */
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
  /** Closes the connection; pending calls still get their answer. */
  close(): void;
  /** Closes the connection; pending calls fail at once. */
  cut(): void;
}

/** A failed call, with the message of etcd or grpc-js. */
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
 * The connection to a member that no longer answers pings is given up after the sum of these two. etcd disconnects clients that
 * ping more often than every 5 s (--grpc-keepalive-min-time).
 */
const PING_MS = 6000;
const PING_ANSWER_MS = 3000;

const channelOptions = {
  "grpc.keepalive_time_ms": PING_MS,
  "grpc.keepalive_timeout_ms": PING_ANSWER_MS,
  "grpc.max_receive_message_length": -1, // 20,000 leases exceed the default of 4 MB
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1000,
  "grpc.enable_http_proxy": 0, // as etcdctl: proxies of the environment are for HTTP, not for etcd
};

/** Makes a connection, without network traffic yet. @param url As `readEndpoints` returns it */
export function connect(url: string, { tls }: Access): Connection {
  const channels = new Channels({
    hosts: [url],
    ...(url.startsWith("https:") && { credentials: credentialsOf(tls ?? {}) }),
    grpcOptions: { ...channelOptions, "twill.connection": ++connectionsMade },
    faultHandling: { host: () => passing as Policy, global: passing as Policy },
  });
  const headers = new Map([["hasleader", "true"]]); // makes a member that is cut off from the others refuse, so that another one is asked
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

/** grpc-js shares sockets between channels with equal options, even broken ones: a new connection needs an option with a new value. */
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

/** The files where Go, and so flannel, looks for authorities (crypto/x509/root_linux.go). */
const AUTHORITIES = [
  "/etc/ssl/certs/ca-certificates.crt", // Debian, Arch
  "/etc/pki/tls/certs/ca-bundle.crt", // Fedora
  "/etc/ssl/ca-bundle.pem", // openSUSE
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // CentOS
  "/etc/ssl/cert.pem", // Alpine
];

/** @returns undefined: there are none, so that Node's own list is used */
export function systemAuthorities(): Buffer | undefined {
  const given = process.env["SSL_CERT_FILE"];
  const file = given ? given : AUTHORITIES.find(existsSync);
  return file === undefined ? undefined : readFileSync(file);
}

type Policy = NonNullable<NonNullable<IOptions["faultHandling"]>["global"]>;

/** A fault policy that calls once: etcd3 must not retry by itself. */
const passing: Pick<Policy, "execute" | "onSuccess" | "onFailure"> = {
  execute: async (work) => await work({ signal: neverAborted }),
  onSuccess: () => noListener,
  onFailure: () => noListener,
};
const neverAborted = new AbortController().signal;
const noListener = { dispose() {} };

/** Gives access to etcd3's channel pool, which is visible to subclasses only. */
class Channels extends Etcd3 {
  use: ICallable<unknown>["withConnection"] = (service, work) => this.pool.withConnection(service, work);
}

interface Calling {
  /** Sent with every call. */
  headers: ReadonlyMap<string, string>;
  underway: Set<Underway>;
}

/** A pending call. */
interface Underway {
  /** Makes it fail with CANCELLED. */
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

/** A client that grpc-js generates from a .proto file: a function per method. */
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

/** Converts the errors of grpc-js, which have `code` and `details`; returns others unchanged. */
export function callError(error: Error & { code?: number; details?: string }): Error {
  return typeof error.code === "number" && error.details !== undefined
    ? new CallError(error.code, error.details)
    : error;
}
