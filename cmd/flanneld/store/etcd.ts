/** etcd as the store. */
import { readFileSync } from "node:fs";
import { readEndpoints } from "../../../pkg/cluster/store/etcd/endpoint.ts";
import { openEtcdStore } from "../../../pkg/cluster/store/etcd/etcd.ts";
import { text } from "../options/flag.ts";
import { managerOf, type StoreKind } from "./store-kind.ts";

const flags = {
  "etcd-endpoints": text("URLS", "URLs of etcd, separated by commas", {
    default: "http://127.0.0.1:4001,http://127.0.0.1:2379",
  }),
  "etcd-prefix": text("KEY", "prefix of the keys of the network configuration and the leases", {
    default: "/coreos.com/network",
  }),
  "etcd-keyfile": text("FILE", "private key of the client certificate"),
  "etcd-certfile": text("FILE", "client certificate"),
  "etcd-cafile": text("FILE", "certificates of the CAs that etcd's certificate is verified with"),
  "etcd-username": text("NAME", "user name for etcd"),
  "etcd-password": text("PASSWORD", "password for etcd; prefer FLANNELD_ETCD_PASSWORD, which ps does not show", {
    isSecret: true,
  }),
};

export interface EtcdSettings {
  /** Not empty; each with scheme and port. */
  endpoints: readonly string[];
  prefix: string;
  keyFile: string | undefined;
  certificateFile: string | undefined;
  authorityFile: string | undefined;
  username: string | undefined;
  password: string | undefined;
}

export const etcd: StoreKind<typeof flags, EtcdSettings> = {
  heading: "etcd:",
  flags,
  read(values, check) {
    check.pair("etcd-keyfile", "etcd-certfile");
    check.pair("etcd-password", "etcd-username");
    return {
      endpoints: check.parsed("etcd-endpoints", endpointsIn) ?? [],
      prefix: values["etcd-prefix"],
      keyFile: values["etcd-keyfile"] || undefined,
      certificateFile: values["etcd-certfile"] || undefined,
      authorityFile: values["etcd-cafile"] || undefined,
      username: values["etcd-username"] || undefined,
      password: values["etcd-password"] || undefined,
    };
  },
  open(settings, context) {
    const { endpoints, prefix, username, password } = settings;
    const tls = tlsOf(settings);
    const store = openEtcdStore({
      endpoints,
      prefix,
      log: context.log,
      ...(Object.keys(tls).length > 0 && { tls }),
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
    });
    return managerOf(store, context);
  },
};

const endpointsIn = (text: string): string[] => readEndpoints(text.split(",").map((endpoint) => endpoint.trim()));

/** @throws Error a key or certificate file cannot be read */
function tlsOf({ authorityFile, certificateFile, keyFile }: EtcdSettings) {
  return {
    ...(authorityFile !== undefined && { ca: pemIn("--etcd-cafile", authorityFile) }),
    ...(certificateFile !== undefined && { certificate: pemIn("--etcd-certfile", certificateFile) }),
    ...(keyFile !== undefined && { key: pemIn("--etcd-keyfile", keyFile) }),
  };
}

function pemIn(flag: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`${flag} ${file} cannot be read: ${message}; give the path of a PEM file`, { cause: error });
  }
}
