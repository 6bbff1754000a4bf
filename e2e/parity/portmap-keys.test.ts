import { addressesHaveOwners, emptyDnsOmitted } from "./deviations.ts";
import { testParity } from "./parity.ts";
import { anyReleasesWords, checkOfOneFamily, looksMakeNoTables, portmapKeyRows } from "./portmap.rows.ts";

testParity(portmapKeyRows, [
  emptyDnsOmitted,
  addressesHaveOwners,
  anyReleasesWords,
  checkOfOneFamily,
  looksMakeNoTables,
]);
