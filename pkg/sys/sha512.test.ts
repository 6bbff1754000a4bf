import { sha512 as foreign } from "@noble/hashes/sha2.js";
import t from "tap";
import { hex } from "../bytes/hex.ts";
import { sha512 } from "./sha512.ts";

const bytesOf = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

t.test("sha512: printf abc | sha512sum", (t) => {
  t.equal(
    hex(sha512(bytesOf("abc"))),
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
  );
  t.end();
});

t.test("sha512 of every length around the ends of blocks is what @noble/hashes says", (t) => {
  for (let length = 0; length <= 300; length++) {
    const message = Uint8Array.from({ length }, (_, i) => (i * 131 + length * 17) & 0xff);
    if (hex(sha512(message)) !== hex(foreign(message))) t.equal(length, "the same");
  }
  t.ok(true, "301 lengths");
  t.end();
});
