// Faults of the firewall plugin, iptables.
import { testFaults } from "./fault-tests.ts";

testFaults("firewall, iptables");
