// Faults of portmap, iptables.
import { testFaults } from "./fault-tests.ts";

testFaults("portmap, iptables");
