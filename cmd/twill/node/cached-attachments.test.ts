import t from "tap";
import { keyOf } from "./cached-attachments.ts";

t.test("attachments whose names are the same when joined by dashes are two", async (t) => {
  const one = keyOf({ network: "a-b", containerId: "c", ifName: "eth0" });
  t.not(one, keyOf({ network: "a", containerId: "b-c", ifName: "eth0" }));
  t.equal(one, keyOf({ network: "a-b", containerId: "c", ifName: "eth0" }));
});
