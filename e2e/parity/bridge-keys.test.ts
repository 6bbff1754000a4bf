import { bridgeKeyRows } from "./bridge.rows.ts";
import { inManyRows } from "./deviations.ts";
import { testParity } from "./parity.ts";

testParity(bridgeKeyRows, inManyRows);
