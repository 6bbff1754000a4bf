import t from "tap";
import { CniError, partsOfDetails } from "./error.ts";

for (const [claim, details, remedy] of [
  ["a reason and a remedy", "in net", "mend it"],
  ["a remedy alone", undefined, "mend it"],
  ["a reason alone, as of another program", "in net", ""],
  ["another error's details, with its remedy", "in net. To fix: mend that", "mend it"],
  ["lines", "in net\nat x", "mend it\nnow"],
  ["nothing", undefined, ""],
] as const) {
  t.test(`details of ${claim} are parted as they were put together`, async (t) => {
    const error = new CniError({ code: 7, msg: "wrong", details, remedy });
    t.strictSame(partsOfDetails(error.details), { reason: details ?? "", remedy });
  });
}
