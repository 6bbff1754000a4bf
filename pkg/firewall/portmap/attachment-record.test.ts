import t from "tap";
import { formatAddress, parseAddress } from "../../ip/address.ts";
import { portComments, portsIn } from "./attachment-record.ts";
import type { HostPort } from "./port-mapping.ts";

const port = (hostPort: number, protocol: HostPort["protocol"] = "tcp", address?: string): HostPort => {
  return { protocol, hostPort, hostIp: address === undefined ? undefined : parseAddress(address) };
};

t.test("ports are written by protocol and address, neighbours as a range", async (t) => {
  const cases: [HostPort[], string[]][] = [
    [[], []],
    [[port(8080)], ["tcp 8080"]],
    [
      [port(82), port(80), port(81), port(90), port(80, "udp")],
      ["tcp 80-82,90", "udp 80"],
    ],
    [
      [port(53, "udp", "192.0.2.1"), port(53, "udp"), port(443, "sctp", "2001:db8::1")],
      ["192.0.2.1 udp 53", "udp 53", "2001:db8::1 sctp 443"],
    ],
  ];
  for (const [ports, comments] of cases) t.strictSame(portComments(ports), comments);
});

t.test("as many as there are come back, in comments that nft allows", async (t) => {
  const many = Array.from({ length: 1000 }, (_, i) => port(1000 + 7 * i));
  const comments = portComments(many);
  t.ok(comments.length > 1 && comments.every((comment) => comment.length <= 128));
  const text = ({ protocol, hostPort, hostIp }: HostPort) =>
    `${hostIp && formatAddress(hostIp)} ${protocol} ${hostPort}`;
  t.strictSame(comments.flatMap(portsIn).map(text), many.map(text));
  t.strictSame(
    portsIn("192.0.2.1 udp 53-55").map(text),
    [53, 54, 55].map((one) => `192.0.2.1 udp ${one}`),
  );
});

t.test("another comment has no ports", async (t) => {
  for (const comment of ["", "id: 3f2a, if: eth0, net: podnet", "constructor 80", "icmp 8", "tcp x"])
    t.strictSame(portsIn(comment), []);
});
