import t from "tap";
import { type LinkedContainer, linkVariables } from "./link-variables.ts";

const record = { addresses: ["172.17.0.2/16", "fd00::2/64"] } as unknown as LinkedContainer["record"];

t.test("a link tells name, address and ports in Docker's variables, the lowest port first", async (t) => {
  t.strictSame(linkVariables("app", { alias: "my-db", record, exposed: ["8080/tcp", "53/udp"] }), {
    MY_DB_NAME: "/app/my-db",
    MY_DB_PORT: "udp://172.17.0.2:53",
    MY_DB_PORT_53_UDP: "udp://172.17.0.2:53",
    MY_DB_PORT_53_UDP_ADDR: "172.17.0.2",
    MY_DB_PORT_53_UDP_PORT: "53",
    MY_DB_PORT_53_UDP_PROTO: "udp",
    MY_DB_PORT_8080_TCP: "tcp://172.17.0.2:8080",
    MY_DB_PORT_8080_TCP_ADDR: "172.17.0.2",
    MY_DB_PORT_8080_TCP_PORT: "8080",
    MY_DB_PORT_8080_TCP_PROTO: "tcp",
  });
  t.strictSame(linkVariables("app", { alias: "db", record, exposed: [] }), { DB_NAME: "/app/db" });
});
