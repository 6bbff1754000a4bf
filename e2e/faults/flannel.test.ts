// Faults of flannel with bridge and host-local in the same process.
import { testFaults } from "./fault-tests.ts";

testFaults("flannel");
