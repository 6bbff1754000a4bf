import { inManyRowsOfChildren } from "./deviations.ts";
import { macvlanRows } from "./macvlan.rows.ts";
import { testParity } from "./parity.ts";

testParity(macvlanRows, inManyRowsOfChildren);
