/** The daemon's RPC server: connections, requests and answers. */
import { validate } from "#validate/dhcp";
import { CniError } from "../../pkg/cni/error.ts";
import { checkedConf, readDocument } from "../../pkg/cni/netconf.ts";
import { type Lease, resultOf } from "../../pkg/dhcp/lease.ts";
import type { GobStruct, StructType } from "../../pkg/gorpc/gob.ts";
import { type RpcRequest, RpcServer } from "../../pkg/gorpc/rpc.ts";
import { sleepMs } from "../../pkg/sys/clock.ts";
import { SystemError } from "../../pkg/sys/errno.ts";
import { closeFile } from "../../pkg/sys/file.ts";
import type { Poller } from "../../pkg/sys/poller.ts";
import { acceptConnection, receiveStream, sendStream } from "../../pkg/sys/unix-socket.ts";
import type { InterfaceRef } from "./client-socket.ts";
import type { LeaseTable } from "./lease-table.ts";
import { type DhcpConf, optionsToSend } from "./netconf.ts";
import {
  ALLOCATE,
  type CallArgs,
  CHECK,
  COLLECT,
  callOfGob,
  callResult,
  gobOfResult,
  nothing,
  RELEASE,
  STATUS,
} from "./protocol.ts";

interface Connection {
  fd: number;
  rpc: RpcServer;
  /** Functions to call when the client is gone and no longer waits for its leases. */
  leave: Set<() => void>;
}

export interface ServerOptions {
  listener: number;
  leaseTable: LeaseTable;
  poller: Poller;
  hostPrefix: string;
  log: (text: string) => void;
}

/** The pause after a failed accept, since the listener stays readable; other connections are served between attempts. */
const ACCEPT_AGAIN_MS = 100;

/** The size of the receive buffer: a client sends a configuration and some texts. */
const BUFFER_BYTES = 65536;

export class Server {
  readonly #options: ServerOptions;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  readonly #connections = new Map<number, Connection>();

  constructor(options: ServerOptions) {
    this.#options = options;
    options.poller.watch(options.listener);
  }

  /** Handles input; reports whether the descriptor belongs to the server. */
  read(fd: number): boolean {
    if (fd === this.#options.listener) this.#accept();
    else {
      const connection = this.#connections.get(fd);
      if (connection === undefined) return false;
      this.#receive(connection);
    }
    return true;
  }

  #accept(): void {
    const { listener, poller, log } = this.#options;
    try {
      for (let fd = acceptConnection(listener); fd !== undefined; fd = acceptConnection(listener)) {
        this.#connections.set(fd, { fd, rpc: new RpcServer(), leave: new Set() });
        poller.watch(fd);
      }
    } catch (error) {
      log(`a caller must wait: ${sentenceOf(error)}`); // such as too many open files
      sleepMs(ACCEPT_AGAIN_MS);
    }
  }

  #receive(connection: Connection): void {
    try {
      const bytes = receiveStream(connection.fd, this.#buffer);
      if (bytes?.length === 0) this.#hangUp(connection);
      else if (bytes !== undefined) this.#take(connection, bytes);
    } catch (error) {
      this.#options.log(`closed the connection of a caller: ${sentenceOf(error)}`);
      this.#hangUp(connection);
    }
  }

  #take(connection: Connection, bytes: Uint8Array): void {
    const { send, requests } = connection.rpc.receive(bytes);
    if (send !== undefined) this.#send(connection, send);
    for (const request of requests) this.#serve(connection, request);
  }

  #hangUp(connection: Connection): void {
    const { fd, leave } = connection;
    if (!this.#connections.delete(fd)) return;
    this.#options.poller.forget(fd);
    closeFile(fd);
    for (const one of [...leave]) one();
    leave.clear();
  }

  #serve(connection: Connection, request: RpcRequest): void {
    const { rpc } = connection;
    const refuse = (error: unknown) => this.#send(connection, rpc.refuse(request, sentenceOf(error)));
    try {
      const method = methods.get(request.method);
      if (method === undefined) throw new Error(`rpc: can't find method ${request.method}`);
      const call = readCall(callOfGob(request.args), this.#options.hostPrefix);
      method(call, this.#options.leaseTable, {
        answer: (type, value) => this.#send(connection, rpc.answer(request, type, value)),
        refuse,
        leave: connection.leave,
      });
    } catch (error) {
      refuse(error);
    }
  }

  #send(connection: Connection, bytes: Uint8Array): void {
    if (!this.#connections.has(connection.fd)) return;
    try {
      sendStream(connection.fd, bytes, "at once");
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#hangUp(connection);
    }
  }
}

interface Reply {
  answer(type: StructType, value: GobStruct): void;
  refuse(error: unknown): void;
  /** Functions to call when the client hangs up. */
  leave: Set<() => void>;
}

type Method = (call: Call, leaseTable: LeaseTable, reply: Reply) => void;

const methods: ReadonlyMap<string, Method> = new Map<string, Method>([
  [ALLOCATE, allocate],
  [CHECK, (call, leaseTable, { answer }) => answer(callResult, gobOfLease(leaseTable.check(call), call))],
  [
    RELEASE,
    ({ clientId }, leaseTable, { answer }) => {
      leaseTable.release(clientId);
      answer(nothing, {});
    },
  ],
  [
    COLLECT,
    ({ conf, network }, leaseTable, { answer }) => {
      const alive = new Set(aliveIn(conf).map(({ containerID, ifname }) => `${containerID}/${ifname}`));
      leaseTable.collect(network, ({ containerId, ifName }) => alive.has(`${containerId}/${ifName}`));
      answer(nothing, {});
    },
  ],
  [STATUS, (_call, _leaseTable, { answer }) => answer(nothing, {})],
]);

function allocate(call: Call, leaseTable: LeaseTable, { answer, refuse, leave }: Reply): void {
  const options = optionsToSend(call.conf, call.args, call.clientId);
  const waiter = { granted: (lease: Lease) => answer(callResult, gobOfLease(lease, call)), refused: refuse };
  leave.add(leaseTable.allocate({ ...call, options }, waiter));
}

const gobOfLease = (lease: Lease, { conf }: Call): GobStruct => gobOfResult(resultOf(lease, conf.ipam?.priority));

/** A plugin call, decoded. */
interface Call {
  conf: DhcpConf;
  args: string;
  clientId: string;
  containerId: string;
  network: string;
  place: InterfaceRef;
}

/** @throws CniError 6 or 7: the configuration is invalid */
function readCall({ containerId, netns, ifName, args, stdin }: CallArgs, hostPrefix: string): Call {
  const document = readDocument(stdin, validate);
  const conf = checkedConf<DhcpConf>(document, validate, { anyValue: true }); // the plugin checks values, with better messages
  const network = conf.name ?? "";
  const place = { netns: `${hostPrefix}${netns}`, ifName };
  return { conf, args, clientId: clientIdOf({ containerId, network, ifName }), containerId, network, place };
}

/** Makes the client ID as the reference does, so that a server recognizes a container; truncated to what fits into an option. */
function clientIdOf({
  containerId,
  network,
  ifName,
}: {
  containerId: string;
  network: string;
  ifName: string;
}): string {
  return `${containerId}/${network}/${ifName}`.slice(0, LONGEST_CLIENT_ID);
}
const LONGEST_CLIENT_ID = 254;

const aliveIn = (conf: DhcpConf) => [
  ...(conf["cni.dev/valid-attachments"] ?? []),
  ...(conf["cni.dev/attachments"] ?? []),
];

/** Makes one line of an error, since the protocol has no more. */
function sentenceOf(error: unknown): string {
  if (error instanceof CniError) return error.details === "" ? error.msg : `${error.msg}; ${error.details}`;
  return error instanceof Error ? error.message : String(error);
}
