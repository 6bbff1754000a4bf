/**
 * The result of a plugin. Inside the program it always has the shape of 1.1.0, with addresses as texts; it is converted where it is read
 * (decode-result.ts) and where it is printed (encode-result.ts).
 *
 * @see CNI specification, section 5 "Result Types", of each version
 */

export interface Interface {
  name: string;
  mac?: string | undefined;
  mtu?: number | undefined;
  /** Path of the namespace for the container's side, absent for the host's. */
  sandbox?: string | undefined;
  socketPath?: string | undefined;
  pciID?: string | undefined;
}

export interface IpConfig {
  /** Index in `interfaces`. */
  interface?: number | undefined;
  /** With prefix length, host bits kept: "10.1.2.3/24". */
  address: string;
  gateway?: string | undefined;
}

export interface Route {
  /** "" when there is none, which Go prints as "<nil>". */
  dst: string;
  gw?: string | undefined;
  mtu?: number | undefined;
  advmss?: number | undefined;
  priority?: number | undefined;
  /** 0 and absent are different. */
  table?: number | undefined;
  /** 0 global, 253 link, 254 host; 0 and absent are different. */
  scope?: number | undefined;
}

export interface Dns {
  nameservers?: readonly string[] | undefined;
  domain?: string | undefined;
  search?: readonly string[] | undefined;
  options?: readonly string[] | undefined;
}

export interface Result {
  interfaces: readonly Interface[];
  ips: readonly IpConfig[];
  routes: readonly Route[];
  dns?: Dns | undefined;
}
