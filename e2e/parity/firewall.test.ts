import { emptyDnsOmitted } from "./deviations.ts";
import { firewallRows, owners } from "./firewall.rows.ts";
import { testParity } from "./parity.ts";

testParity(firewallRows, [emptyDnsOmitted, owners]);
