// Faults of host-local.
import { testFaults } from "./fault-tests.ts";

testFaults("host-local");
