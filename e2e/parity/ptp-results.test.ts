import { configurationCode } from "./deviations.ts";
import { testParity } from "./parity.ts";
import { inManyPtpRows, ptpResultRows } from "./ptp.rows.ts";

testParity(ptpResultRows, [configurationCode, ...inManyPtpRows]);
