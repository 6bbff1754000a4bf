// Faults of macvlan with hostAccess.
import { testFaults } from "./fault-tests.ts";

testFaults("macvlan");
