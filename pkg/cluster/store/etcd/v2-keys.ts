/**
 * Looks for a key in etcd's v2 keys, which flannel used until 0.17. They are apart from the v3 keys, even in the same etcd: what
 * `etcdctl mk` or `set` has written there is found here only to tell the administrator. etcd before 3.6 serves them with --enable-v2.
 */
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { posix } from "node:path";
import { text } from "node:stream/consumers";
import { type Access, ANSWER_MS, systemAuthorities } from "./connection.ts";

/** @returns undefined: no member has it, or answers in time */
export async function findInV2Keys(
  urls: readonly string[],
  key: string,
  access: Pick<Access, "tls">,
): Promise<string | undefined> {
  const answers = await Promise.all(urls.map((url) => ask(url, key, access).catch(() => ""))); // a member without v2 is nothing to tell
  return answers.map(valueIn).find((value) => value !== undefined);
}

/** @returns The body of the answer. */
function ask(url: string, key: string, { tls }: Pick<Access, "tls">): Promise<string> {
  const address = new URL(posix.join("/v2/keys", encodeURI(key)), url);
  const request = address.protocol === "https:" ? requestHttps : requestHttp;
  const credentials = { ca: tls?.ca ?? systemAuthorities(), cert: tls?.certificate, key: tls?.key };
  const options = { ...credentials, agent: false, signal: AbortSignal.timeout(ANSWER_MS) } as const;
  return new Promise((resolve, reject) => {
    request(address, options, (answer) => text(answer).then(resolve, reject))
      .on("error", reject)
      .end();
  });
}

/** @param answer As `{"action":"get","node":{"key":"/atomic.io/network/config","value":"…"}}`; a folder has no value. */
function valueIn(answer: string): string | undefined {
  try {
    const { node } = JSON.parse(answer) as { node?: { value?: unknown } };
    return typeof node?.value === "string" ? node.value : undefined;
  } catch {
    return undefined;
  }
}
