import { emptyDnsOmitted } from "./deviations.ts";
import { testParity } from "./parity.ts";
import { anyReleasesWords, checkOfOneFamily, looksMakeNoTables, portmapVerbRows } from "./portmap.rows.ts";

testParity(portmapVerbRows, [emptyDnsOmitted, anyReleasesWords, checkOfOneFamily, looksMakeNoTables]);
