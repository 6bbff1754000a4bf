// Faults of tuning behind bridge.
import { testFaults } from "./fault-tests.ts";

testFaults("tuning");
