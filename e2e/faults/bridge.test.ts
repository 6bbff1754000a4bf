// Faults of bridge with host-local and masquerade.
import { testFaults } from "./fault-tests.ts";

testFaults("bridge");
