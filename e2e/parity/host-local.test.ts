import { configurationCode, emptyDnsOmitted, indexBesideReservations, reservationsForRootAlone } from "./deviations.ts";
import { hostLocalRows } from "./host-local.rows.ts";
import { testParity } from "./parity.ts";

testParity(hostLocalRows, [emptyDnsOmitted, configurationCode, reservationsForRootAlone, indexBesideReservations]);
