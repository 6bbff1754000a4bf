/**
 * Finds the container that a user means, without a daemon: by the path of its network namespace, by the ID of a process in it, or by the name or
 * ID that podman, containerd or nerdctl store in their files.
 */
import { CniError, ErrorCode } from "../cni/error.ts";
import { nearest } from "../config/edit-distance.ts";
import { isObject, type Json, type JsonObject, parseJson } from "../config/json.ts";
import { CONTAINER_ID_PREFIX, containerIdOf } from "../runtime/container-id.ts";
import { SystemError } from "../sys/errno.ts";
import { findDirectory, findStat, findText } from "../sys/file.ts";
import { isSameNamespace } from "../sys/namespace.ts";
import { listRuns, runRoot } from "./run-record.ts";

export interface Container {
  /** The CNI container ID: a runtime's own, else one made of the namespace's path, as cnitool does. */
  id: string;
  name: string;
  /** The path of its namespace. */
  netns: string;
}

/** A container in a runtime's files. */
interface StoredContainer extends Container {
  runtime: "podman" | "containerd" | "twill run";
}

/** Below which directory the files of the runtimes are; another one in tests. */
export type Root = string;

const NAMED_NAMESPACES = "/run/netns";

/** @throws CniError 3: there is no such container, or several */
export function containerCalled(text: string, root: Root = ""): Container {
  if (text.includes("/")) return ofNamespace(text);
  const stored = storedContainers(root);
  const exact = stored.filter(({ name, id }) => name === text || id === text);
  const isOther = exact.length === 0; // what is written whole comes before the beginning of an ID, which is any hexadecimal digits
  if (isOther && findDirectory(`${root}${NAMED_NAMESPACES}`)?.includes(text))
    return ofNamespace(`${NAMED_NAMESPACES}/${text}`);
  if (isOther && /^\d+$/.test(text) && findStat(`/proc/${text}/ns`) !== undefined) return ofProcess(text);
  const found = isOther ? stored.filter(({ id }) => text !== "" && id.startsWith(text)) : exact;
  const [container] = found;
  if (found.length > 1) throw ambiguous(text, found);
  if (container !== undefined) return container;
  if (/^\d+$/.test(text)) return ofProcess(text);
  throw unknown(text, stored);
}

function ofNamespace(netns: string): Container {
  const process = /^\/proc\/(\d+)\/ns\/net$/.exec(netns)?.[1];
  const name = process === undefined ? netns.slice(netns.lastIndexOf("/") + 1) : `process-${process}`;
  return { id: containerIdOf(netns), name, netns };
}

/** Names the namespace by its path below /run/netns where it has one, which stays when the process ends. */
function ofProcess(process: string): Container {
  const netns = `/proc/${process}/ns/net`;
  const named = findDirectory(NAMED_NAMESPACES)?.find((name) => isSameNamespace(netns, `${NAMED_NAMESPACES}/${name}`));
  return ofNamespace(named === undefined ? netns : `${NAMED_NAMESPACES}/${named}`);
}

function storedContainers(root: Root): StoredContainer[] {
  return [...runContainers(root), ...podmanContainers(root), ...containerdContainers(root)];
}

/** Commands that `twill run` has started. */
const runContainers = (root: Root): StoredContainer[] =>
  listRuns(`${root}${runRoot}`).map(({ id, name, netns }) => ({ runtime: "twill run", id, name, netns }));

/** podman's list of containers; the namespace is in the configuration that the OCI runtime got, or that runtime made it. */
function podmanContainers(root: Root): StoredContainer[] {
  const storage = `${root}/var/lib/containers/storage/overlay-containers`;
  const list = jsonOf(`${storage}/containers.json`);
  return (Array.isArray(list) ? list : []).filter(isObject).flatMap(({ id, names }): StoredContainer[] => {
    if (typeof id !== "string") return [];
    const pidFile = `${root}/run/containers/storage/overlay-containers/${id}/userdata/pidfile`;
    const netns = namespaceOf(jsonOf(`${storage}/${id}/userdata/config.json`), pidFile);
    const name = Array.isArray(names) && typeof names[0] === "string" ? names[0] : shortContainerId(id);
    return netns === undefined ? [] : [{ runtime: "podman", id, name, netns }];
  });
}

const CONTAINERD_TASKS = "/run/containerd/io.containerd.runtime.v2.task";

/** The bundles of running containers of containerd: `NAMESPACE/ID/config.json`. CRI and nerdctl write names into the annotations. */
function containerdContainers(root: Root): StoredContainer[] {
  const tasks = `${root}${CONTAINERD_TASKS}`;
  return (findDirectory(tasks) ?? []).flatMap((namespace) =>
    (findDirectory(`${tasks}/${namespace}`) ?? []).flatMap((id): StoredContainer[] => {
      const config = jsonOf(`${tasks}/${namespace}/${id}/config.json`);
      const netns = namespaceOf(config, `${tasks}/${namespace}/${id}/init.pid`);
      return netns === undefined ? [] : [{ runtime: "containerd", id, name: nameIn(config) ?? id, netns }];
    }),
  );
}

/** Returns the name of the container to which a runtime on containerd gave this CNI container ID: `NAMESPACE-ID`, as nerdctl and ctr do, or the ID alone. */
export function nameInContainerd(containerId: string, root: Root = ""): string | undefined {
  const tasks = `${root}${CONTAINERD_TASKS}`;
  for (const namespace of findDirectory(tasks) ?? []) {
    const prefix = `${namespace}-`;
    const id = containerId.startsWith(prefix) ? containerId.slice(prefix.length) : containerId;
    const config = jsonOf(`${tasks}/${namespace}/${id}/config.json`);
    if (config !== undefined) return nameIn(config) ?? id;
  }
  return undefined;
}

/** The namespace of this host, which containers without one of their own share. */
const HOST_NAMESPACE = "/proc/self/ns/net";

/**
 * Returns the path of a container's network namespace; undefined while it is not running.
 *
 * @param pidFile has the ID of the process whose namespace it is where the OCI runtime made it
 * @see https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#namespaces
 */
function namespaceOf(config: Json | undefined, pidFile: string): string | undefined {
  const linux = isObject(config) ? config["linux"] : undefined;
  if (!isObject(linux) || !Array.isArray(linux["namespaces"])) return undefined;
  const own = linux["namespaces"].filter(isObject).find(({ type }) => type === "network");
  if (own === undefined) return HOST_NAMESPACE;
  const { path } = own;
  if (typeof path === "string" && path !== "") return path;
  const process = textOf(pidFile)?.trim();
  return process ? `/proc/${process}/ns/net` : undefined;
}

function nameIn(config: Json | undefined): string | undefined {
  const annotations: JsonObject = isObject(config) && isObject(config["annotations"]) ? config["annotations"] : {};
  const names = ["nerdctl/name", "io.kubernetes.cri.container-name"].map((key) => annotations[key]);
  return names.find((name) => typeof name === "string" && name !== "") as string | undefined;
}

function jsonOf(path: string): Json | undefined {
  const text = textOf(path);
  try {
    return text === undefined ? undefined : parseJson(text);
  } catch {
    return undefined; // being written, or another runtime's form
  }
}

function textOf(path: string): string | undefined {
  try {
    return findText(path);
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

function unknown(text: string, stored: readonly StoredContainer[]): CniError {
  const names = [...stored.map(({ name }) => name), ...(findDirectory(NAMED_NAMESPACES) ?? [])];
  const meant = nearest(text, names);
  const how =
    "pass a name or ID of podman, containerd or twill run, the ID of a process, or the path of a namespace, as /run/netns/example";
  return new CniError({
    code: ErrorCode.unknownContainer,
    msg: `No such container: ${text}`,
    remedy: meant === undefined ? how : `did you mean ${meant}? Otherwise ${how}`,
  });
}

function ambiguous(text: string, found: readonly StoredContainer[]): CniError {
  const all = found.map(({ id, name, runtime }) => `${name} (${shortContainerId(id)}, ${runtime})`);
  return new CniError({
    code: ErrorCode.unknownContainer,
    msg: `container ${text} is ambiguous (${found.length} matches found)`,
    details: all.join(", "),
    remedy: "write the whole ID, or the path of its namespace",
  });
}

/** Returns the part of an ID that people read and write: twelve digits, as in Docker, behind the prefix that all IDs made of paths have. */
export const shortContainerId = (id: string): string =>
  id.slice(0, (id.startsWith(CONTAINER_ID_PREFIX) ? CONTAINER_ID_PREFIX.length : 0) + SHORT_LENGTH);
const SHORT_LENGTH = 12;
