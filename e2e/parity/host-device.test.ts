import { emptyDnsOmitted, indexBesideReservations, keptIPv6Addresses, reservationsForRootAlone } from "./deviations.ts";
import { aliasGoes, hostDeviceRows, remembersWhose } from "./host-device.rows.ts";
import { testParity } from "./parity.ts";

testParity(hostDeviceRows, [
  emptyDnsOmitted,
  reservationsForRootAlone,
  indexBesideReservations,
  keptIPv6Addresses,
  aliasGoes,
  remembersWhose,
]);
