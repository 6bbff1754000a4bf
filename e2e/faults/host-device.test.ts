// Faults of host-device with host-local.
import { testFaults } from "./fault-tests.ts";

testFaults("host-device");
