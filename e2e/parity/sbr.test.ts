import { emptyDnsOmitted } from "./deviations.ts";
import { testParity } from "./parity.ts";
import { sbrRows } from "./sbr.rows.ts";

testParity(sbrRows, [emptyDnsOmitted]);
