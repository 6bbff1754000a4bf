// The files that a build left below /var/lib and /run, and how they are put back so that what they say of this machine is true: which boot it
// is, which namespaces and files are meant, when a folder was changed last.
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { closeFile, setModified } from "../../pkg/sys/file.ts";
import { closeNamespace, openNamespace, within } from "../../pkg/sys/namespace.ts";
import { AF_NETLINK, namespaceCookie, openSocket, SOCK_RAW } from "../../pkg/sys/socket.ts";
import type { Namespace } from "../lab/host.ts";
import type { Node } from "./node.ts";

/**
 * By path: "mode content", "mode {same file as PATH}" for another name of a file, or "mode directory" with the time of its modification
 * where a file names it. A file that was modified in the future, as leases of flanneld's folder are, has "{in 3600 s}" before its content.
 */
export type Files = Record<string, string>;

const bootId = (): string => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

const roots = (node: Node): [string, string][] => [
  ["/var/lib", node.varLib],
  ["/run", node.runFolder],
];

/** What is in the way of a copy: mount points, sockets, locks. */
const isKept = (path: string): boolean =>
  !/^\/run\/(netns|xtables\.lock)|^\/var\/lib\/legacy-iptables|^\/run\/dnsmasq|\.sock$/.test(path);

export function readFiles(node: Node): Files {
  const found: Record<string, { mode: string; at: string; content: string | undefined }> = {};
  for (const [name, root] of roots(node)) {
    for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
      const at = join(entry.parentPath, entry.name);
      const path = name + at.slice(root.length);
      if (!isKept(path) || entry.isSocket()) continue;
      const mode = (statSync(at).mode & 0o7777).toString(8).padStart(4, "0");
      found[path] = { mode, at, content: entry.isDirectory() ? undefined : readFileSync(at, "utf8") };
    }
  }
  const contents = Object.values(found).flatMap(({ content }) => content ?? []);
  const identities = Object.entries(found).map(([path, { at }]) => [identityOf(at), path] as const);
  const kept = Object.entries(found).map(([path, { mode, at, content }]) => {
    const modified = statSync(at, { bigint: true }).mtimeNs;
    const isNamed = contents.some((text) => text.includes(`"${modified}"`));
    if (content === undefined) return [path, `${mode} directory${isNamed ? ` ${modified}` : ""}`] as const;
    const first = identities.find(([identity]) => identity === identityOf(at))?.[1];
    if (first !== undefined && first !== path) return [path, `${mode} {same file as ${first}}`] as const;
    let text = content.replaceAll(bootId(), "{boot}");
    text = text.replace(leaseEnd, (_, key, ms) => `${key}"{in ${Math.round(Number(ms) - bootMs())} ms}"`);
    for (const [identity, file] of identities) text = text.replaceAll(identity, `{identity ${file}}`);
    for (const [i, container] of node.containers.entries()) {
      if (!existsSync(container.path)) continue;
      text = text.replace(new RegExp(`("inode": ?)"${inodeOf(container)}"`, "g"), `$1"{inode ${i}}"`);
      text = text.replace(new RegExp(`("cookie": ?)"${cookieOf(container)}"`, "g"), `$1"{cookie ${i}}"`);
    }
    const future = Math.round(statSync(at).mtimeMs / 1000 - Date.now() / 1000);
    return [path, `${mode} ${future > 1 ? `{in ${future} s}` : ""}${text}`] as const;
  });
  return Object.fromEntries(kept.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Moments in the dhcp daemon's files, on the clock that begins with the boot. */
const leaseEnd = /("(?:renew|rebind|expire)AtMs":)([\d.]+)/g;

const bootMs = (): number => Math.round(1000 * Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]));

/** As host-local's index names a file. */
function identityOf(path: string): string {
  const { ino, mtimeNs } = statSync(path, { bigint: true });
  return `${ino}@${mtimeNs}`;
}

const inodeOf = (namespace: Namespace): bigint => statSync(namespace.path, { bigint: true }).ino;

function cookieOf({ path }: Namespace): bigint {
  const namespace = openNamespace(path);
  const socket = within(namespace, () => openSocket(AF_NETLINK, SOCK_RAW, 0));
  const cookie = namespaceCookie(socket);
  closeFile(socket);
  closeNamespace(namespace);
  return cookie;
}

export function restoreFiles(node: Node, files: Files): void {
  const placeOf = (path: string): string => {
    const [name, root] = roots(node).find(([name]) => path.startsWith(`${name}/`)) ?? ["", ""];
    return root + path.slice(name.length);
  };
  const entries = Object.entries(files).map(([path, text]) => ({
    path,
    mode: Number.parseInt(text.slice(0, 4), 8),
    content: text.slice(5),
  }));
  const isDirectory = ({ content }: { content: string }) => /^directory( \d+)?$/.test(content);
  const namesOthers = ({ content }: { content: string }) => content.includes("{identity ");
  for (const entry of entries.filter(isDirectory)) mkdirSync(placeOf(entry.path), { recursive: true });
  const firstNameOf = ({ content }: { content: string }) => /^\{same file as ([^}]+)\}$/.exec(content)?.[1];
  const plain = entries.filter((entry) => !isDirectory(entry) && firstNameOf(entry) === undefined);
  for (const entry of [...plain.filter((one) => !namesOthers(one)), ...plain.filter(namesOthers)]) {
    const [, future] = /^\{in (\d+) s\}/.exec(entry.content) ?? [];
    const content = entry.content
      .replace(/^\{in \d+ s\}/, "")
      .replaceAll("{boot}", bootId())
      .replace(/\{identity ([^}]+)\}/g, (_, file) => identityOf(placeOf(file)))
      .replace(/"\{in (-?\d+) ms\}"/g, (_, ms) => String(bootMs() + Number(ms)))
      .replace(/\{inode (\d+)\}/g, (_, i) => String(inodeOf(node.containers[Number(i)] as Namespace)))
      .replace(/\{cookie (\d+)\}/g, (_, i) => String(cookieOf(node.containers[Number(i)] as Namespace)));
    mkdirSync(dirname(placeOf(entry.path)), { recursive: true });
    writeFileSync(placeOf(entry.path), content);
    chmodSync(placeOf(entry.path), entry.mode);
    if (future !== undefined) utimesSync(placeOf(entry.path), new Date(), new Date(Date.now() + 1000 * Number(future)));
  }
  for (const entry of entries) {
    const first = firstNameOf(entry);
    if (first !== undefined) linkSync(placeOf(first), placeOf(entry.path));
  }
  for (const entry of entries.filter(isDirectory)) {
    chmodSync(placeOf(entry.path), entry.mode);
    const [, modified] = entry.content.split(" ");
    if (modified !== undefined) setModified(placeOf(entry.path), BigInt(modified));
  }
}
