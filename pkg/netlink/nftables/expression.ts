// The parts of a rule, carried out from left to right until one says no. A file each under expression/.
import { attribute, type MessageOf, message, type RequestOf } from "../message.ts";
import { cstring, list, nested, selected } from "../wire.ts";
import { bitwise } from "./expression/bitwise.ts";
import { cmp } from "./expression/cmp.ts";
import { counter } from "./expression/counter.ts";
import { ct } from "./expression/ct.ts";
import { fib } from "./expression/fib.ts";
import { immediate } from "./expression/immediate.ts";
import { limit } from "./expression/limit.ts";
import { lookup } from "./expression/lookup.ts";
import { meta } from "./expression/meta.ts";
import { masq, nat, redir } from "./expression/nat.ts";
import { payload } from "./expression/payload.ts";
import { range } from "./expression/range.ts";
import { reject } from "./expression/reject.ts";
import { match, target } from "./expression/xtables.ts";

/** `{ name: "counter", data: {} }`. Of expressions without a table the data are kept in `unknown`. */
export const expression = nested(
  message({
    source: "linux/netfilter/nf_tables.h: NFTA_EXPR_*",
    attributes: {
      name: attribute(1, "NFTA_EXPR_NAME", cstring),
      data: attribute(
        2,
        "NFTA_EXPR_DATA",
        nested(
          selected("name", {
            bitwise,
            cmp,
            counter,
            ct,
            fib,
            immediate,
            limit,
            lookup,
            masq,
            match,
            meta,
            nat,
            payload,
            range,
            redir,
            reject,
            target,
          }),
        ),
      ),
    },
  }),
);
export type Expression = MessageOf<typeof expression>;
export type ExpressionRequest = RequestOf<typeof expression>;

export const expressions = nested(list(1, "NFTA_LIST_ELEM", expression));
