import { addressesHaveOwners, emptyDnsOmitted } from "./deviations.ts";
import { testParity } from "./parity.ts";
import { anyReleasesWords, checkOfOneFamily, looksMakeNoTables, portmapRows } from "./portmap.rows.ts";

testParity(portmapRows, [emptyDnsOmitted, addressesHaveOwners, anyReleasesWords, checkOfOneFamily, looksMakeNoTables]);
