/** Functions shared by buckets and redirections. */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Link } from "../../pkg/link/link.ts";
import { type Connection, type NetlinkError, query } from "../../pkg/netlink/connection.ts";
import { type QdiscMessage, qdiscMessage, RTM_GETQDISC } from "../../pkg/netlink/rtnetlink/qdisc.ts";
import { isErrno } from "../../pkg/sys/errno.ts";

/** Runs `tc qdisc show`. */
export const listAllQdiscs = (host: Connection): QdiscMessage[] =>
  host.dump(query({ name: "RTM_GETQDISC", type: RTM_GETQDISC, table: qdiscMessage, value: { index: 0 } }));

/** Runs `tc qdisc show dev <link>`; the kernel lists those of all links, too. */
export const listQdiscs = (host: Connection, { index }: Link): QdiscMessage[] =>
  listAllQdiscs(host).filter((qdisc) => qdisc.index === index);

const modules: Readonly<Record<string, string>> = { tbf: "sch_tbf", ingress: "sch_ingress", u32: "cls_u32 act_mirred" };

/** Makes the error for a refused request. @param kind of the requested object: "tbf", "ingress", "u32" */
export function refusedTrafficControl(kind: string, { name }: Link, cause: NetlinkError): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: `the kernel refuses "${kind}" on "${name}"`,
    details: cause.message,
    remedy: isErrno(cause, "ENOENT", "EOPNOTSUPP")
      ? `load what it lacks (modprobe -a ${modules[kind]}), or use a kernel that has it`
      : `see which ones exist: tc qdisc show dev ${name}; tc filter show dev ${name} ingress`,
    cause,
  });
}
