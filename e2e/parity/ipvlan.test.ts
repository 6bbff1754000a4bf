import { inManyRowsOfChildren } from "./deviations.ts";
import { ipvlanRows } from "./ipvlan.rows.ts";
import { testParity } from "./parity.ts";

testParity(ipvlanRows, inManyRowsOfChildren);
