// Every row: the Go plugins and ours side by side, and crosswise. What all rows of a group may show is named beside it.
import { inShares } from "../lab/shares.ts";
import { bandwidthRows, refusedRows } from "./bandwidth.rows.ts";
import { bridgeKeyRows, bridgeVerbRows } from "./bridge.rows.ts";
import {
  addressesHaveOwners,
  configurationCode,
  emptyDnsOmitted,
  indexBesideReservations,
  inManyRows,
  inManyRowsOfChildren,
  keptIPv6Addresses,
  reservationsForRootAlone,
} from "./deviations.ts";
import { firewallRows, owners } from "./firewall.rows.ts";
import { aliasGoes, hostDeviceRows, remembersWhose } from "./host-device.rows.ts";
import { hostLocalRows } from "./host-local.rows.ts";
import { ipvlanRows } from "./ipvlan.rows.ts";
import { loopbackRows } from "./loopback.rows.ts";
import { macvlanRows } from "./macvlan.rows.ts";
import { testParity } from "./parity.ts";
import {
  anyReleasesWords,
  checkOfOneFamily,
  looksMakeNoTables,
  portmapKeyRows,
  portmapRows,
  portmapVerbRows,
} from "./portmap.rows.ts";
import { inManyPtpRows, ptpKeyRows, ptpResultRows, ptpVerbRows } from "./ptp.rows.ts";
import { sbrRows } from "./sbr.rows.ts";
import { staticRows } from "./static.rows.ts";
import { tuningRows } from "./tuning.rows.ts";
import { vlanRows } from "./vlan.rows.ts";
import { vrfRows } from "./vrf.rows.ts";

inShares({
  "bandwidth-refused": () => testParity(refusedRows, []),
  bandwidth: () => testParity(bandwidthRows, [emptyDnsOmitted]),
  "bridge-keys": () => testParity(bridgeKeyRows, inManyRows),
  "bridge-verbs": () => testParity(bridgeVerbRows, [configurationCode, ...inManyRows]),
  firewall: () => testParity(firewallRows, [emptyDnsOmitted, owners]),
  "host-device": () =>
    testParity(hostDeviceRows, [
      emptyDnsOmitted,
      reservationsForRootAlone,
      indexBesideReservations,
      keptIPv6Addresses,
      aliasGoes,
      remembersWhose,
    ]),
  "host-local": () =>
    testParity(hostLocalRows, [emptyDnsOmitted, configurationCode, reservationsForRootAlone, indexBesideReservations]),
  ipvlan: () => testParity(ipvlanRows, inManyRowsOfChildren),
  loopback: () => testParity(loopbackRows, [emptyDnsOmitted]),
  macvlan: () => testParity(macvlanRows, inManyRowsOfChildren),
  "portmap-keys": () =>
    testParity(portmapKeyRows, [
      emptyDnsOmitted,
      addressesHaveOwners,
      anyReleasesWords,
      checkOfOneFamily,
      looksMakeNoTables,
    ]),
  "portmap-mappings": () =>
    testParity(portmapRows, [
      emptyDnsOmitted,
      addressesHaveOwners,
      anyReleasesWords,
      checkOfOneFamily,
      looksMakeNoTables,
    ]),
  "portmap-verbs": () =>
    testParity(portmapVerbRows, [
      emptyDnsOmitted,
      addressesHaveOwners,
      anyReleasesWords,
      checkOfOneFamily,
      looksMakeNoTables,
    ]),
  "ptp-keys": () => testParity(ptpKeyRows, [addressesHaveOwners, ...inManyPtpRows]),
  "ptp-results": () => testParity(ptpResultRows, [configurationCode, ...inManyPtpRows]),
  "ptp-verbs": () => testParity(ptpVerbRows, [configurationCode, ...inManyPtpRows]),
  sbr: () => testParity(sbrRows, [emptyDnsOmitted]),
  static: () => testParity(staticRows, [emptyDnsOmitted, configurationCode]),
  tuning: () => testParity(tuningRows, [emptyDnsOmitted]),
  vlan: () => testParity(vlanRows, inManyRowsOfChildren),
  vrf: () => testParity(vrfRows, [emptyDnsOmitted]),
});
