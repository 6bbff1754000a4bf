// Faults of portmap, nftables.
import { testFaults } from "./fault-tests.ts";

testFaults("portmap, nftables");
