import { refusedRows } from "./bandwidth.rows.ts";
import { testParity } from "./parity.ts";

testParity(refusedRows, []);
