/** Certificates for a test's servers, made by openssl: a fresh authority each time. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** Files in PEM. */
export interface Certificates {
  ca: string;
  server: KeyPair;
  /** Signed by the same authority, for clients. */
  client: KeyPair;
  /** An authority that has signed none of these. */
  otherCa: string;
}

export interface KeyPair {
  certificate: string;
  key: string;
}

/** @param names How clients reach the server: addresses and host names. */
export function makeCertificates(dir: string, names: readonly string[]): Certificates {
  const ca = selfSigned(dir, "ca");
  return {
    ca: ca.certificate,
    server: signed(dir, "server", ca, `subjectAltName=${names.map(altName).join(",")}`),
    client: signed(dir, "client", ca, "extendedKeyUsage=clientAuth"),
    otherCa: selfSigned(dir, "other-ca").certificate,
  };
}

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

function selfSigned(dir: string, name: string): KeyPair {
  const pair = filesOf(dir, name);
  openssl(
    "req",
    "-x509",
    ...newKey,
    "-days",
    "2",
    "-subj",
    `/CN=${name}`,
    "-keyout",
    pair.key,
    "-out",
    pair.certificate,
  );
  return pair;
}

/** @param extension A line of openssl's x509v3_config. */
function signed(dir: string, name: string, ca: KeyPair, extension: string): KeyPair {
  const pair = filesOf(dir, name);
  const [request, extensions] = [join(dir, `${name}.csr`), join(dir, `${name}.cnf`)];
  writeFileSync(extensions, `${extension}\n`);
  openssl("req", ...newKey, "-subj", `/CN=${name}`, "-keyout", pair.key, "-out", request);
  const by = ["-CA", ca.certificate, "-CAkey", ca.key, "-CAcreateserial"];
  openssl("x509", "-req", "-in", request, ...by, "-days", "2", "-extfile", extensions, "-out", pair.certificate);
  return pair;
}

function filesOf(dir: string, name: string): KeyPair {
  return { certificate: join(dir, `${name}.crt`), key: join(dir, `${name}.key`) };
}

function altName(name: string): string {
  return /^[\d.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`;
}

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
}
