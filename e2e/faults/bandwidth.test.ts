// Faults of bandwidth behind bridge.
import { testFaults } from "./fault-tests.ts";

testFaults("bandwidth");
