import { bandwidthRows } from "./bandwidth.rows.ts";
import { emptyDnsOmitted } from "./deviations.ts";
import { testParity } from "./parity.ts";

testParity(bandwidthRows, [emptyDnsOmitted]);
