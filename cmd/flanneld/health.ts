/**
 * The daemon's HTTP servers: for probes and Prometheus on `--healthz-ip`:`--healthz-port`, and for `flanneld --status` on a socket
 * beside the subnet file. By that socket a daemon also detects another one with the same subnet file.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import type { ListenOptions } from "node:net";
import { readDaemonState, socketOf } from "../../pkg/subnet-env/daemon-state.ts";
import { SystemError } from "../../pkg/sys/errno.ts";
import { directoryOf, findStat, makeDirectories, removeFile, withLock } from "../../pkg/sys/file.ts";
import type { Metrics } from "./metrics.ts";
import { hasListener } from "./notify-socket.ts";
import type { HealthAddress } from "./options/options.ts";
import type { StatusReport } from "./status/format.ts";

/** Functions that answer requests. */
export interface HealthHandlers {
  /** Reports whether the subnet file has been written. */
  isReady(): boolean;
  status(): Promise<StatusReport>;
  metrics: Pick<Metrics, "text" | "contentType">;
}

export interface HealthAddresses {
  subnetFile: string;
  /** undefined: only the socket is served. */
  health: HealthAddress | undefined;
}

export interface HealthServer {
  /** Closes the servers and removes the socket. Pending requests have 3 s to end. */
  close(): Promise<void>;
}

/** The daemon cannot listen on an address. `message` has the remedy. */
export class CannotListen extends Error {
  override name = "CannotListen";
}

/** @throws CannotListen; SystemError: the subnet file's directory is not writable */
export async function startHealth(
  { subnetFile, health }: HealthAddresses,
  answers: HealthHandlers,
): Promise<HealthServer> {
  const shared = { ...answers, status: sharedWhileUnderWay(answers.status) };
  const local = createServer(responder(shared, () => true));
  await claimSocket(local, subnetFile);
  if (health === undefined) return { close: () => closed(local) };
  const remote = createServer(responder(shared, health.isDefault ? isFromThisHost : () => true));
  try {
    await listening(remote, () => remote.listen({ host: health.ip, port: health.port }));
  } catch (error) {
    await closed(local);
    throw cannotListen(error, health);
  }
  return { close: async () => void (await Promise.all([closed(local), closed(remote)])) };
}

/** Listens on the socket. The directory is locked: of two daemons that find a stale socket, one replaces it, the other finds a live one. */
function claimSocket(server: Server, subnetFile: string): Promise<void> {
  const path = socketOf(subnetFile);
  const folder = directoryOf(path);
  refuseLongPath(path, subnetFile);
  makeDirectories(folder, DIRECTORY_MODE);
  return withLock(folder, { mode: DIRECTORY_MODE, timeoutMs: LOCK_TIMEOUT_MS }, () => {
    if (hasListener(path)) throw anotherDaemon(subnetFile);
    removeStale(path);
    return listening(server, () => bindPrivately(server, { path })).catch((error) => {
      throw refusedByKernel(error, path);
    });
  });
}

/** Node's error as that of a system call, such as when the file system is read-only: `aboutSubnetFile` puts those into words. */
const refusedByKernel = (error: NodeJS.ErrnoException, path: string): unknown =>
  error.errno === undefined ? error : new SystemError("bind", -error.errno, path);

/** Removes a socket on which no process listens. Of what exists here, only sockets are neither file, directory nor link. */
function removeStale(path: string): void {
  const found = findStat(path, "link")?.type;
  if (found === "other") removeFile(path);
  else if (found !== undefined)
    throw new CannotListen(`${path} exists and is not a socket. To fix: move it away, or use another --subnet-file`);
}

const DIRECTORY_MODE = 0o755;
const LOCK_TIMEOUT_MS = 5000;

/** Node binds before `listen` returns; a mode set afterwards would come too late. */
function bindPrivately(server: Server, place: ListenOptions): void {
  const before = process.umask(0o177);
  try {
    server.listen(place);
  } finally {
    process.umask(before);
  }
}

/**
 * Waits until the server listens. Later errors concern single connections that could not be accepted; clients try again.
 *
 * @throws the server's error, if that is its first event
 */
function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.on("error", reject).once("listening", resolve);
    listen();
  });
}

/** linux/un.h: 108 bytes with the terminating NUL; libuv truncates longer paths. */
const LONGEST_PATH = 107;

function refuseLongPath(path: string, subnetFile: string): void {
  if (Buffer.byteLength(path) <= LONGEST_PATH) return;
  throw new CannotListen(
    `the path of socket ${path}, beside subnet file ${subnetFile}, is longer than ${LONGEST_PATH} bytes, the kernel's limit. To fix: use a shorter --subnet-file`,
  );
}

function anotherDaemon(subnetFile: string): CannotListen {
  const pid = readDaemonState(subnetFile)?.pid;
  const who = pid === undefined ? "another flanneld" : `another flanneld (pid ${pid})`;
  return new CannotListen(
    `${who} uses subnet file ${subnetFile}. To fix: stop that one first, or give this one its own --subnet-file`,
  );
}

const refusals: Readonly<Record<string, { why: string; remedy: string }>> = {
  EADDRINUSE: {
    why: "another program uses it",
    remedy: "stop that program (ss -ltnp shows it), or use another --healthz-port",
  },
  EADDRNOTAVAIL: { why: "this host does not have the address", remedy: "use one that it has, or --healthz-ip=0.0.0.0" },
  EACCES: { why: "not permitted", remedy: "use a --healthz-port of 1024 or more" },
};

function cannotListen(error: unknown, { ip, port }: HealthAddress): unknown {
  const { why, remedy } = refusals[(error as NodeJS.ErrnoException).code ?? ""] ?? {};
  if (why === undefined) return error;
  const place = ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
  return new CannotListen(`cannot listen for health checks on ${place}: ${why}. To fix: ${remedy}`);
}

const GRACE_MS = 3000;

function closed(server: Server): Promise<void> {
  const late = setTimeout(() => server.closeAllConnections(), GRACE_MS);
  return new Promise((resolve) => {
    server.close(() => {
      clearTimeout(late);
      resolve();
    });
    server.closeIdleConnections();
  });
}

interface Page {
  code: number;
  type: string;
  body: string;
}

const plain = (code: number, body: string): Page => ({ code, type: "text/plain; charset=utf-8", body });

/** The pages by path. The texts of the first two are flannel's, since probes compare them. */
const pages: Readonly<Record<string, (answers: HealthHandlers) => Page | Promise<Page>>> = {
  "/healthz": () => plain(200, "flanneld is running"),
  "/readyz": ({ isReady }) => (isReady() ? plain(200, "flanneld is ready") : plain(503, "flanneld is not ready yet")),
  "/metrics": async ({ metrics }) => ({ code: 200, type: metrics.contentType, body: await metrics.text() }),
  "/status": async ({ status }) => ({
    code: 200,
    type: "application/json",
    body: `${JSON.stringify(await status())}\n`,
  }),
};

/** @param mayReadAll Reports whether the client may read the pages that tell of peers and store. */
function responder(answers: HealthHandlers, mayReadAll: (request: IncomingMessage) => boolean): RequestListener {
  return (request, response) => {
    const page = pageFor(request.method ?? "", request.url ?? "", mayReadAll(request));
    Promise.resolve(answers)
      .then(page)
      .catch((error: Error) => plain(500, `flanneld: ${error.message}\n`))
      .then((content) => send(response, content));
  };
}

const isFromThisHost = ({ socket }: IncomingMessage): boolean =>
  /^(::ffff:)?127\.|^::1$/.test(socket.remoteAddress ?? "");

/** The pages that flannel has, and that probes of other hosts read. */
const probePages = ["/healthz", "/readyz"];

function pageFor(method: string, url: string, mayReadAll: boolean): (answers: HealthHandlers) => Page | Promise<Page> {
  const path = url.replace(/\?.*$/s, "");
  if (!Object.hasOwn(pages, path))
    return () => plain(404, `flanneld has no page ${JSON.stringify(path)}: ${Object.keys(pages).join(", ")}\n`);
  if (!mayReadAll && !probePages.includes(path))
    return () =>
      plain(
        403,
        `flanneld answers ${path} to this host only, on 127.0.0.1. To fix: start it with --healthz-ip, such as --healthz-ip=0.0.0.0\n`,
      );
  if (method !== "GET" && method !== "HEAD") return () => plain(405, "flanneld answers GET and HEAD only\n");
  return pages[path] as (typeof pages)[string]; // its own property, as checked above
}

function send(response: ServerResponse, { code, type, body }: Page): void {
  response.writeHead(code, { "content-type": type, "content-length": Buffer.byteLength(body) });
  response.end(body); // Node omits the body of a response to HEAD
}

/** Shares one result among calls that overlap in time, since a status report sends packets to all peers. */
function sharedWhileUnderWay<T>(work: () => Promise<T>): () => Promise<T> {
  let underWay: Promise<T> | undefined;
  return () => {
    underWay ??= work().finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
}
