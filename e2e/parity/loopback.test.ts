import { emptyDnsOmitted } from "./deviations.ts";
import { loopbackRows } from "./loopback.rows.ts";
import { testParity } from "./parity.ts";

testParity(loopbackRows, [emptyDnsOmitted]);
