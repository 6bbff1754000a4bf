import { emptyDnsOmitted } from "./deviations.ts";
import { testParity } from "./parity.ts";
import { tuningRows } from "./tuning.rows.ts";

testParity(tuningRows, [emptyDnsOmitted]);
