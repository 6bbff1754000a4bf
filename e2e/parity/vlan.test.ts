import { inManyRowsOfChildren } from "./deviations.ts";
import { testParity } from "./parity.ts";
import { vlanRows } from "./vlan.rows.ts";

testParity(vlanRows, inManyRowsOfChildren);
