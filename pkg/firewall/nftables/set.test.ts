import t from "tap";
import { decode, encode } from "../../netlink/message.ts";
import { elementMessage } from "../../netlink/nftables/element.ts";
import { addElements, deleteElements } from "./set.ts";

const place = { family: 2, table: "t4", set: "ports" };
const bytesOf = ({ table, value }: { table: unknown; value: unknown }) => encode(table as never, value as never);
const port = (number: number) => Uint8Array.of(6, 0, 0, 0, number >> 8, number & 0xff, 0, 0);

t.test("elements written by hand are those of the table, which nft's bytes are held against", async (t) => {
  const elements = [8080, 8081].map((number) => ({ key: port(number), data: Uint8Array.of(10, 1, 2, 3, 0, 80, 0, 0) }));
  const [request] = addElements(place, elements, { comment: "id: c, if: eth0, net: n" });
  const wanted = elements.map(({ key, data }) => ({
    key: { value: key },
    data: { value: data },
    userdata: { comment: "id: c, if: eth0, net: n" },
  }));
  t.match(decode(elementMessage, bytesOf(request as never)), { ...place, elements: wanted });
  const byTable = encode(elementMessage, { ...place, elements: wanted });
  t.equal(bytesOf(request as never).length, byTable.length);
});

t.test("more than fit into one attribute are several messages", async (t) => {
  const keys = Array.from({ length: 5000 }, (_, i) => port(i));
  const requests = deleteElements(place, keys);
  t.ok(requests.length > 1);
  const found = requests.flatMap((request) => decode(elementMessage, bytesOf(request)).elements ?? []);
  t.strictSame(
    found.map(({ key }) => key?.value),
    keys,
  );
});

t.test("no element, no message", async (t) => t.strictSame(addElements(place, []), []));
