/** Parses etcd endpoints as users write them. Pure. */

/**
 * @param texts With or without scheme: `10.0.0.1:2379`, `https://etcd1:2379/`
 * @returns `http://10.0.0.1:2379`
 * @throws Error with the expected form; its message contains no part of a password
 */
export function readEndpoints(texts: readonly string[]): string[] {
  const found = texts.find((text) => text.includes("@")); // checked first: a password with a comma is split into two texts
  if (found !== undefined)
    throw new Error(
      `the etcd endpoint "…${found.slice(found.lastIndexOf("@"))}" contains a user name: write it as http://10.0.0.1:2379, and use --etcd-username and --etcd-password`,
    );
  return texts.map(readEndpoint);
}

function readEndpoint(text: string): string {
  const url = /^[a-z]+:\/\//.test(text) ? text : `http://${text}`;
  const [, scheme, address] = /^(https?):\/\/((?:\[[^\]/\s]+\]|[^:/\s]+):\d+)\/*$/.exec(url) ?? [];
  if (!address)
    throw new Error(`"${text}" is not an etcd endpoint: write it as http://10.0.0.1:2379 or https://etcd1:2379`);
  return `${scheme}://${address}`;
}
