// Faults of tap with host-local.
import { testFaults } from "./fault-tests.ts";

testFaults("tap");
