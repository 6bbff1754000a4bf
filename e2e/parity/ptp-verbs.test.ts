import { configurationCode } from "./deviations.ts";
import { testParity } from "./parity.ts";
import { inManyPtpRows, ptpVerbRows } from "./ptp.rows.ts";

testParity(ptpVerbRows, [configurationCode, ...inManyPtpRows]);
