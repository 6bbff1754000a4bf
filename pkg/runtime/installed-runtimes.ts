/**
 * Finds the container runtimes of this node, and the directories in which each looks for plugins and configurations. What a file
 * says goes before the defaults of the runtime; command-line flags of daemons are not looked at.
 */
import { isObject, type Json, type JsonObject } from "../config/json.ts";
import { parseToml, TomlError } from "../config/toml.ts";
import { SystemError } from "../sys/errno.ts";
import { findDirectory, findStat, findText } from "../sys/file.ts";

export interface InstalledRuntime {
  name: string;
  /** The file by which it was found. */
  evidence: string;
  /** In the order in which it looks; empty when it calls no plugins. */
  pluginDirs: readonly string[];
  /** Where that is from: a file, or the runtime's default. */
  source: string;
  /** Directory of network configurations. */
  configDir: string;
  /** Why it calls no plugins, and what to do for it to call some. */
  unused?: string;
}

export interface InstalledRuntimes {
  runtimes: InstalledRuntime[];
  /** Configuration files that cannot be read, so that defaults are used; as sentences. */
  problems: string[];
}

/** The file system; another one in tests. */
export interface Files {
  exists(path: string): boolean;
  /** undefined when there is no such file. @throws SystemError */
  text(path: string): string | undefined;
  /** Sorted; undefined when there is no such directory. */
  names(directory: string): readonly string[] | undefined;
}

export const nodeFiles: Files = {
  exists: (path) => findStat(path) !== undefined,
  text: findText,
  names: findDirectory,
};

const defaultPluginDir = "/opt/cni/bin";
const defaultConfigDir = "/etc/cni/net.d";

type Finder = (node: Node) => InstalledRuntime | undefined;

export function installedRuntimes(files: Files = nodeFiles): InstalledRuntimes {
  const problems: string[] = [];
  const node = nodeOf(files, problems);
  const finders: readonly Finder[] = [containerd, crio, k3s, podman, nerdctl, nomad, docker];
  return { runtimes: finders.flatMap((find) => find(node) ?? []), problems: [...new Set(problems)] };
}

interface Node {
  files: Files;
  /** Returns the file of a command. */
  executable(name: string): string | undefined;
  /** Returns the first of these that exists. */
  first(...paths: readonly string[]): string | undefined;
  /** Reads the files that exist, one after the other. */
  documents(paths: readonly string[]): Document[];
  /** Returns paths of files with this ending, in their order. */
  within(directory: string, ending: string): string[];
}

interface Document {
  path: string;
  content: JsonObject;
}

const commandDirs = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

function nodeOf(files: Files, problems: string[]): Node {
  const first = (...paths: readonly string[]) => paths.find((path) => files.exists(path));
  return {
    files,
    first,
    executable: (name) => first(...commandDirs.map((directory) => `${directory}/${name}`)),
    documents: (paths) => paths.flatMap((path) => documentAt(path, files, problems)),
    within: (directory, ending) =>
      (files.names(directory) ?? []).filter((name) => name.endsWith(ending)).map((name) => `${directory}/${name}`),
  };
}

function documentAt(path: string, files: Files, problems: string[]): Document[] {
  try {
    const text = files.text(path);
    return text === undefined ? [] : [{ path, content: parseToml(text) }];
  } catch (error) {
    if (!(error instanceof TomlError) && !(error instanceof SystemError)) throw error;
    const why = error instanceof TomlError ? `is not TOML: ${error.message}` : `cannot be read: ${error.message}`;
    problems.push(`${path} ${why}; what it says about plugins is not known`);
    return [];
  }
}

interface Setting<T> {
  value: T;
  /** "cni_plugin_dirs in /etc/containers/containers.conf" */
  source: string;
}

/** Returns the value of the last document that has it. @param path of keys. @param is Whether the value has the type wanted */
function settingIn<T extends Json>(
  documents: readonly Document[],
  path: readonly string[],
  is: (value: Json | undefined) => value is T,
): Setting<T> | undefined {
  const found = documents.flatMap(({ path: file, content }) => {
    const value = path.reduce<Json | undefined>(
      (inner, key) => (isObject(inner) && Object.hasOwn(inner, key) ? inner[key] : undefined),
      content,
    );
    return is(value) ? [{ value, source: `${path.at(-1)} in ${file}` }] : [];
  });
  return found.at(-1);
}

const isText = (value: Json | undefined): value is string => typeof value === "string" && value !== "";
const isTexts = (value: Json | undefined): value is string[] =>
  Array.isArray(value) && value.length > 0 && value.every(isText);

const asList = ({ value, source }: Setting<string>): Setting<string[]> => ({ value: [value], source });

const itsDefault = (...value: string[]): Setting<string[]> => ({ value, source: "its default" });

/** containerd 1 has one directory in `bin_dir`, containerd 2.1 and later several in `bin_dirs`. The keys of the plugin's table tell its version. */
function cniOfContainerd(documents: readonly Document[]): { dirs: Setting<string[]> | undefined; configDir: string } {
  const tables = ["io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "cri"].map((key) => [
    "plugins",
    key,
    "cni",
  ]);
  const [dirs] = tables.flatMap((table) => settingIn(documents, [...table, "bin_dirs"], isTexts) ?? []);
  const [dir] = tables.flatMap((table) => settingIn(documents, [...table, "bin_dir"], isText) ?? []);
  const [configDir] = tables.flatMap((table) => settingIn(documents, [...table, "conf_dir"], isText) ?? []);
  return { dirs: dirs ?? (dir && asList(dir)), configDir: configDir?.value ?? defaultConfigDir };
}

function containerd(node: Node): InstalledRuntime | undefined {
  const main = "/etc/containerd/config.toml";
  const evidence = node.executable("containerd") ?? node.first(main);
  if (evidence === undefined) return undefined;
  const { dirs = itsDefault(defaultPluginDir), configDir } = cniOfContainerd(withImports(main, node));
  return { name: "containerd", evidence, pluginDirs: dirs.value, source: dirs.source, configDir };
}

/** Reads a file and those that it imports, which go before it; `*` stands for any part of a file's name. */
function withImports(main: string, node: Node): Document[] {
  const documents = node.documents([main]);
  const imports = settingIn(documents, ["imports"], isTexts)?.value ?? [];
  const paths = imports.flatMap((pattern) => {
    const path = pattern.startsWith("/") ? pattern : `${directoryOf(main)}/${pattern}`;
    const name = new RegExp(`^${nameOf(path).split("*").map(quoted).join(".*")}$`, "s");
    return (node.files.names(directoryOf(path)) ?? [])
      .filter((one) => name.test(one))
      .map((one) => `${directoryOf(path)}/${one}`);
  });
  return [...documents, ...node.documents(paths)];
}

const directoryOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));
const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
const quoted = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

function crio(node: Node): InstalledRuntime | undefined {
  const main = "/etc/crio/crio.conf";
  const files = [main, ...node.within("/etc/crio/crio.conf.d", "")];
  const evidence = node.executable("crio") ?? node.first(...files);
  if (evidence === undefined) return undefined;
  const documents = node.documents(files);
  const network = ["crio", "network"];
  const single = settingIn(documents, [...network, "plugin_dir"], isText); // of CRI-O before 1.18
  const dirs =
    settingIn(documents, [...network, "plugin_dirs"], isTexts) ??
    (single && asList(single)) ??
    itsDefault(defaultPluginDir);
  const configDir = settingIn(documents, [...network, "network_dir"], isText)?.value ?? defaultConfigDir;
  return { name: "CRI-O", evidence, pluginDirs: dirs.value, source: dirs.source, configDir };
}

/** k3s writes the configuration of its own containerd anew at each start; its directory has other names in each release. */
function k3s(node: Node): InstalledRuntime | undefined {
  const root = "/var/lib/rancher/k3s";
  const main = `${root}/agent/etc/containerd/config.toml`;
  const evidence = node.executable("k3s") ?? node.first(main);
  if (evidence === undefined) return undefined;
  const { dirs, configDir } = cniOfContainerd(node.documents([main]));
  const usual = node.first(`${root}/data/cni`) ?? `${root}/data/current/bin`;
  const { value, source } = dirs ?? itsDefault(usual);
  const confDir = dirs === undefined ? `${root}/agent/etc/cni/net.d` : configDir;
  return { name: "k3s", evidence, pluginDirs: value, source, configDir: confDir };
}

function podman(node: Node): InstalledRuntime | undefined {
  const evidence = node.executable("podman");
  if (evidence === undefined) return undefined;
  const documents = node.documents([
    "/usr/share/containers/containers.conf",
    "/etc/containers/containers.conf",
    ...node.within("/etc/containers/containers.conf.d", ".conf"),
  ]);
  const dirs =
    settingIn(documents, ["network", "cni_plugin_dirs"], isTexts) ??
    itsDefault("/usr/local/libexec/cni", "/usr/libexec/cni", "/usr/local/lib/cni", "/usr/lib/cni", "/opt/cni/bin");
  const configDir = settingIn(documents, ["network", "network_config_dir"], isText)?.value ?? defaultConfigDir;
  const found = { name: "podman", evidence, source: dirs.source, configDir };
  const backend = backendOfPodman(documents, node);
  if (backend?.value !== "netavark") return { ...found, pluginDirs: dirs.value };
  const unused = `its network backend is netavark (${backend.source}), which calls no plugins; podman 4 does with network_backend = "cni" below [network] in /etc/containers/containers.conf`;
  return { ...found, pluginDirs: [], unused };
}

/** podman remembers the backend that it has chosen at its first start: netavark where it is installed. */
function backendOfPodman(documents: readonly Document[], node: Node): Setting<string> | undefined {
  const configured = settingIn(documents, ["network", "network_backend"], isText);
  if (configured !== undefined) return configured;
  const remembered = "/var/lib/containers/storage/defaultNetworkBackend";
  const text = node.files.text(remembered)?.trim();
  if (text) return { value: text, source: remembered };
  const folders = ["/usr/local/libexec/podman", "/usr/local/lib/podman", "/usr/libexec/podman", "/usr/lib/podman"];
  const netavark = node.first(...folders.map((folder) => `${folder}/netavark`));
  return netavark === undefined ? undefined : { value: "netavark", source: netavark };
}

/** nerdctl takes the first of its directories that exists. */
function nerdctl(node: Node): InstalledRuntime | undefined {
  const main = "/etc/nerdctl/nerdctl.toml";
  const evidence = node.executable("nerdctl") ?? node.first(main);
  if (evidence === undefined) return undefined;
  const documents = node.documents([main]);
  const configured = settingIn(documents, ["cni_path"], isText);
  const existing = node.first(
    defaultPluginDir,
    "/usr/local/libexec/cni",
    "/usr/local/lib/cni",
    "/usr/libexec/cni",
    "/usr/lib/cni",
  );
  const { value, source } = configured === undefined ? itsDefault(existing ?? defaultPluginDir) : asList(configured);
  const configDir = settingIn(documents, ["cni_netconfpath"], isText)?.value ?? defaultConfigDir;
  return { name: "nerdctl", evidence, pluginDirs: value, source, configDir };
}

/** Its configuration is HCL, of which one line is looked for. */
function nomad(node: Node): InstalledRuntime | undefined {
  const evidence = node.executable("nomad");
  if (evidence === undefined) return undefined;
  const paths = node.within("/etc/nomad.d", ".hcl").flatMap((file) => {
    const path = /^\s*cni_path\s*=\s*"([^"]+)"/m.exec(node.files.text(file) ?? "")?.[1];
    return path === undefined ? [] : [{ value: path.split(":").filter(isText), source: `cni_path in ${file}` }];
  });
  const { value, source } = paths.at(-1) ?? itsDefault(defaultPluginDir);
  return { name: "Nomad", evidence, pluginDirs: value, source, configDir: "/opt/cni/config" };
}

function docker(node: Node): InstalledRuntime | undefined {
  const evidence = node.executable("dockerd");
  if (evidence === undefined) return undefined;
  const unused = "Docker has network drivers of its own and calls no CNI plugins";
  return { name: "Docker", evidence, pluginDirs: [], source: "", configDir: "", unused };
}
