import { emptyDnsOmitted } from "./deviations.ts";
import { testParity } from "./parity.ts";
import { vrfRows } from "./vrf.rows.ts";

testParity(vrfRows, [emptyDnsOmitted]);
