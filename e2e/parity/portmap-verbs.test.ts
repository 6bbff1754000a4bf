import { addressesHaveOwners, emptyDnsOmitted } from "./deviations.ts";
import { testParity } from "./parity.ts";
import { anyReleasesWords, checkOfOneFamily, looksMakeNoTables, portmapVerbRows } from "./portmap.rows.ts";

testParity(portmapVerbRows, [
  emptyDnsOmitted,
  addressesHaveOwners,
  anyReleasesWords,
  checkOfOneFamily,
  looksMakeNoTables,
]);
