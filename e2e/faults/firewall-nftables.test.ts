// Faults of the firewall plugin, nftables.
import { testFaults } from "./fault-tests.ts";

testFaults("firewall, nftables");
