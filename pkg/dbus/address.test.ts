import t from "tap";
import { socketsOf } from "./address.ts";

const cases: [address: string | undefined, sockets: string[]][] = [
  [undefined, ["/run/dbus/system_bus_socket"]],
  ["", ["/run/dbus/system_bus_socket"]],
  ["unix:path=/tmp/bus", ["/tmp/bus"]],
  ["unix:path=/tmp/a%20b,guid=0123", ["/tmp/a b"]],
  ["unix:abstract=/tmp/dbus-x,guid=0123", ["\0/tmp/dbus-x"]],
  ["tcp:host=localhost,port=1;unix:guid=1,path=/b", ["/b"]],
  ["unix:runtime=yes", []],
  ["nonsense", []],
];

for (const [address, sockets] of cases) {
  t.test(`socketsOf ${address}`, async (t) => t.strictSame(socketsOf(address), sockets));
}
