import t from "tap";
import { decodeBase64, encodeBase64 } from "./base64.ts";

t.test("base64 is Node's", async (t) => {
  for (let length = 0; length < 70; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 73 + length * 41) & 0xff);
    const text = encodeBase64(bytes);
    t.equal(text, Buffer.from(bytes).toString("base64"));
    t.strictSame(decodeBase64(text), bytes);
  }
});

t.test("what is no base64 is told", async (t) => {
  for (const text of ["a", "ab=c", "a===", "ab-_", "äöüß", "abc"]) t.equal(decodeBase64(text), undefined, text);
});
