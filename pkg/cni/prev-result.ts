/** The result of the preceding plugins, which a chained plugin works on and passes on. */
import { CniError, ErrorCode } from "./error.ts";
import type { Attachment } from "./plugin.ts";
import type { Result } from "./result.ts";

/**
 * Returns prevResult.
 *
 * @param msg the text of the reference plugin of that name; other programs match it.
 * @throws CniError 7: there is none
 */
export function needPrevResult({ prevResult }: Attachment<unknown>, msg = "Required prevResult missing"): Result {
  if (prevResult !== undefined) return prevResult;
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg,
    details: "the plugin works on the interface of another plugin, whose ADD result is passed as prevResult",
    remedy: `put it in "plugins" of a .conflist, after a plugin that creates an interface; by hand, pass that plugin's result as "prevResult"`,
  });
}
