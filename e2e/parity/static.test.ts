import { configurationCode, emptyDnsOmitted } from "./deviations.ts";
import { testParity } from "./parity.ts";
import { staticRows } from "./static.rows.ts";

testParity(staticRows, [emptyDnsOmitted, configurationCode]);
