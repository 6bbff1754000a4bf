import { bridgeVerbRows } from "./bridge.rows.ts";
import { configurationCode, inManyRows } from "./deviations.ts";
import { testParity } from "./parity.ts";

testParity(bridgeVerbRows, [configurationCode, ...inManyRows]);
