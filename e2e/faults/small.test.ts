// Faults of plugins with few system calls.
import { testFaults } from "./fault-tests.ts";

testFaults("debug", "loopback", "sbr", "static");
