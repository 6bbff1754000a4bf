// Faults of ptp with host-local and masquerade.
import { testFaults } from "./fault-tests.ts";

testFaults("ptp");
