// Faults of plugins whose links are in the container alone, of kinds that not every kernel has.
import { testFaults } from "./fault-tests.ts";

testFaults("dummy", "ipvlan", "vlan", "vrf");
