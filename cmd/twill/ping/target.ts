/** What `twill ping` is asked to reach. Pure. */
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";
import { type Address, parseAddress } from "../../../pkg/ip/address.ts";

export interface Target {
  address: Address;
  /** Of TCP; ICMP when absent. */
  port?: number;
}

/** Parses `10.0.0.1`, `10.0.0.1:80`, `fd00::1`, `[fd00::1]:80`. @throws CniError 4 */
export function parseTarget(text: string): Target {
  const [, bracketed, plain = text, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const address = parseAddress(bracketed ?? plain);
  if (address !== undefined && port === undefined) return { address };
  if (address !== undefined && Number(port) >= 1 && Number(port) <= 65535) return { address, port: Number(port) };
  throw new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `${JSON.stringify(text)} is no address to reach`,
    remedy:
      "write 10.0.0.1, 10.0.0.1:80, fd00::1 or [fd00::1]:80; names are not looked up: getent hosts NAME has addresses",
  });
}
