// Which ports links open: no root, no files. What passes is in e2e/network-links.test.ts.
import t from "tap";
import { formatAddress, parseAddress } from "../ip/address.ts";
import { holesBetween, type LinkEnd } from "./link-holes.ts";

const end = (name: string, keys: Partial<LinkEnd> = {}): LinkEnd => ({
  containerId: `id-${name}`,
  names: [name],
  links: [],
  port: `veth-${name}`,
  mac: "02:42:0a:05:00:02",
  addresses: [],
  exposed: [],
  ...keys,
});
const address = (text: string) => parseAddress(text) ?? new Uint8Array();

t.test("a link opens the ports that its target exposes", async (t) => {
  const rows: [what: string, ends: LinkEnd[], holes: string[]][] = [
    ["a name", [end("app", { links: ["db"] }), end("db", { exposed: ["5432/tcp"] })], ["app>db 6/5432"]],
    ["nothing is exposed", [end("app", { links: ["db"] }), end("db")], []],
    ["nobody is called so", [end("app", { links: ["db"] }), end("other", { exposed: ["5432/tcp"] })], []],
    [
      "names do not depend on case, as for the resolver",
      [end("app", { links: ["DB"] }), end("Db", { exposed: ["53/udp"] })],
      ["app>Db 17/53"],
    ],
    [
      "an alias that two have, and three protocols",
      [
        end("app", { links: ["db"] }),
        end("one", { names: ["one", "db"], exposed: ["1/tcp", "2/udp"] }),
        end("two", { names: ["two", "db"], exposed: ["3/sctp"] }),
      ],
      ["app>one 6/1", "app>one 17/2", "app>two 132/3"],
    ],
    ["a protocol without ports", [end("app", { links: ["db"] }), end("db", { exposed: ["1/icmp"] })], []],
    ["itself", [end("db", { links: ["db"], exposed: ["1/tcp"] })], []],
    [
      "each to the other",
      [end("a", { links: ["b"], exposed: ["1/tcp"] }), end("b", { links: ["a"], exposed: ["2/tcp"] })],
      ["a>b 6/2", "b>a 6/1"],
    ],
  ];
  for (const [what, ends, holes] of rows)
    t.strictSame(
      holesBetween(ends).holes.map(
        ({ client, target, protocol, port }) =>
          `${client.replace("veth-", "")}>${target.replace("veth-", "")} ${protocol}/${port}`,
      ),
      holes,
      what,
    );
});

t.test("only addresses of linked containers count, and with IPv6 also that of the link", async (t) => {
  const { addresses } = holesBetween([
    end("app", { links: ["db"], addresses: [address("10.5.0.2")] }),
    end("db", { exposed: ["1/tcp"], addresses: [address("10.5.0.3"), address("fd00::3")] }),
    end("other", { exposed: ["1/tcp"], addresses: [address("10.5.0.4")] }),
  ]);
  t.strictSame(
    addresses.map(({ port, address }) => `${port} ${formatAddress(address)}`),
    ["veth-app 10.5.0.2", "veth-db 10.5.0.3", "veth-db fd00::3", "veth-db fe80::42:aff:fe05:2"],
  );
});
