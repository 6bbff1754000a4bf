/** A client of one etcd member: logs in if required, and replaces broken connections. */
import { type Access, CallError, type Connection, connect } from "./connection.ts";

export interface EtcdServer {
  /** As `http://10.0.0.1:2379`. */
  readonly url: string;
  /** @throws CallError; Error of etcd3 */
  ask<T>(question: (connection: Connection) => Promise<T>): Promise<T>;
  /** Makes the next request use a new connection; streams of the old one may continue. */
  renew(): void;
  /** Makes the next request use a new connection, and repeats pending requests over it. */
  reconnect(): void;
  close(): void;
}

export function etcdServerAt(url: string, access: Access): EtcdServer {
  let current: Promise<Connection> | undefined;
  let hasAnswered = false;
  let isClosed = false;
  const leave = (end: (connection: Connection) => void) => {
    hasAnswered = false;
    current?.then(end, () => {}); // its error went to the caller that asked for it
    current = undefined;
  };
  const renew = () => leave((connection) => connection.close());
  const connected = () => {
    if (isClosed) throw new CallError(UNAVAILABLE, "the store is closed");
    current ??= openConnection(url, access);
    return current;
  };
  const answer = async <T>(connection: Promise<Connection>, question: (connection: Connection) => Promise<T>) => {
    const said = await question(await connection);
    hasAnswered = true;
    return said;
  };
  return {
    url,
    async ask(question) {
      const wasGood = hasAnswered;
      const connection = connected();
      try {
        return await answer(connection, question);
      } catch (error) {
        if (!isAboutConnection(error) && !isAboutLogin(error)) throw error;
        const wasLeft = connection !== current;
        if (!wasLeft) renew();
        const maySucceed = isAboutLogin(error) ? access.password : wasGood || wasLeft; // it may have restarted since
        if (!maySucceed) throw error;
        return await answer(connected(), question);
      }
    },
    renew,
    reconnect: () => leave((connection) => connection.cut()),
    close() {
      isClosed = true;
      renew();
    },
  };
}

/** grpc/status.h: GRPC_STATUS_* */
export const CANCELLED = 1;
const UNKNOWN = 2;
export const DEADLINE_EXCEEDED = 4;
const INTERNAL = 13;
export const UNAVAILABLE = 14;

/** Reports whether another member may answer differently. */
export function isAboutConnection(error: unknown): boolean {
  return (
    !(error instanceof CallError) || [CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE].includes(error.code)
  );
}

/** Reports whether the member has lost the leader: an election is under way, or it is cut off from the other members. */
export function isBetweenLeaders(error: unknown): boolean {
  return isErrorSaying(error, /etcdserver: (no leader|leader changed)/);
}

/** Reports whether a login may help: the token is older than a restart or a change of users, or authentication was enabled later. */
function isAboutLogin(error: unknown): boolean {
  return isErrorSaying(error, /invalid auth token|auth store is old|user name is empty/);
}

async function openConnection(url: string, { username, password, ...access }: Access): Promise<Connection> {
  const connection = connect(url, access);
  if (!username || !password) return connection;
  try {
    const { token } = await connection.auth.authenticate({ name: username, password });
    connection.useToken(token);
  } catch (error) {
    if (!isErrorSaying(error, /authentication is not enabled/)) {
      connection.close();
      throw error;
    }
  }
  return connection;
}

function isErrorSaying(error: unknown, text: RegExp): boolean {
  return error instanceof Error && text.test(error.message);
}
