// Faults of bridge with other keys.
import { testFaults } from "./fault-tests.ts";

testFaults("bridge, nftables", "bridge, vlan");
