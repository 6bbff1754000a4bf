/** The variables by which a command finds the containers that it is linked to, as on Docker's default network. Pure. */
import type { AttachmentRecord } from "../../../pkg/network/attachment-record.ts";

/** A target of --link. */
export interface LinkedContainer {
  alias: string;
  record: AttachmentRecord;
  /** Its ports, as "80/tcp". */
  exposed: readonly string[];
}

/** Returns the variables of a link. @param name of the container that has the link */
export function linkVariables(name: string, { alias, record, exposed }: LinkedContainer): Record<string, string> {
  const prefix = alias.toUpperCase().replaceAll("-", "_");
  const address = record.addresses.find((one) => !one.includes(":"))?.replace(/\/\d+$/, "");
  const variables: Record<string, string> = { [`${prefix}_NAME`]: `/${name}/${alias}` };
  if (address === undefined) return variables;
  const ports = exposed
    .map((port) => port.split("/") as [string, string])
    .sort(([one, a], [other, b]) => Number(one) - Number(other) || (a < b ? -1 : 1));
  for (const [i, [port, protocol]] of ports.entries()) {
    const url = `${protocol}://${address}:${port}`;
    const own = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`;
    if (i === 0) variables[`${prefix}_PORT`] = url;
    Object.assign(variables, {
      [own]: url,
      [`${own}_ADDR`]: address,
      [`${own}_PORT`]: port,
      [`${own}_PROTO`]: protocol,
    });
  }
  return variables;
}
