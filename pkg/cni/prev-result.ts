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
    details: "the result of ADD is passed as prevResult: to CHECK the network's, to ADD that of the plugins in front",
    remedy: `use a runtime or cnitool, which pass it; for ADD of a plugin that works on another one's interface, put it in "plugins" of a .conflist after that one; by hand, pass the result as "prevResult"`,
  });
}
