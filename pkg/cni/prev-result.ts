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
    details: "it works on what another plugin has made, which it is told as the result of that one's ADD",
    remedy: `name it in "plugins" of a .conflist, behind a plugin that makes an interface; by hand, pass that one's result as "prevResult"`,
  });
}
