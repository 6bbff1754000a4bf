/** resolv.conf(5), as far as the resolver reads and writes it. Pure. */
import { type Address, parseAddress } from "../ip/address.ts";

export interface ResolvConf {
  servers: Address[];
  search: string[];
  options: string[];
}

/** Limit of the C libraries. */
const MOST_SERVERS = 3;

/** Reads the servers, search domains and options. A line that is malformed is passed over, as by the C libraries; so is an address with a zone. */
export function readResolvConf(text: string): ResolvConf {
  const conf: ResolvConf = { servers: [], search: [], options: [] };
  for (const line of text.split("\n")) {
    const [key, ...values] = line
      .replace(/[#;].*/, "")
      .trim()
      .split(/\s+/);
    const address = key === "nameserver" ? parseAddress(values[0] ?? "") : undefined;
    if (address !== undefined && conf.servers.length < MOST_SERVERS) conf.servers.push(address);
    if (key === "search" || key === "domain") conf.search = values;
    if (key === "options") conf.options.push(...values);
  }
  return conf;
}
