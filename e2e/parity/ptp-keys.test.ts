import { addressesHaveOwners } from "./deviations.ts";
import { testParity } from "./parity.ts";
import { inManyPtpRows, ptpKeyRows } from "./ptp.rows.ts";

testParity(ptpKeyRows, [addressesHaveOwners, ...inManyPtpRows]);
