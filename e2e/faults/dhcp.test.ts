// Faults of dhcp, the plugin: what the daemon then holds.
import { testFaults } from "./fault-tests.ts";

testFaults("dhcp");
