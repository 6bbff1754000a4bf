import t from "tap";
import { type Address, parseAddress } from "../ip/address.ts";
import { refuseSeveralPerFamily } from "./per-family.ts";

t.test("before CNI 0.3.0, a result holds one address of each family", async (t) => {
  const [one, other, six, other6] = ["10.1.0.5", "10.2.0.5", "fd00::5", "fd01::5"] as const;
  const cases: [string[], string, boolean][] = [
    [[one], "0.1.0", true],
    [[one, six], "0.2.0", true],
    [[one, other], "0.1.0", false],
    [[one, other], "0.2.0", false],
    [[six, other6], "0.2.0", false],
    [[one, six, other6], "0.2.0", false],
    [[], "0.2.0", true],
    [[one, other, six, other6], "0.3.0", true],
    [[one, other], "1.1.0", true],
  ];
  for (const [texts, version, fits] of cases) {
    const addresses = texts.map((text) => parseAddress(text) as Address);
    const work = () => refuseSeveralPerFamily(addresses, version);
    const what = `${texts.join(", ")} by ${version}`;
    if (fits) t.doesNotThrow(work, what);
    else
      t.throws(
        work,
        {
          code: 7,
          message: `CNI version ${version} does not support more than 1 address per family; To fix: set "cniVersion" to "0.3.0" or later`,
        },
        what,
      );
  }
});
