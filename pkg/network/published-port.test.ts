import t from "tap";
import type { CniError } from "../cni/error.ts";
import { choosePorts, collide, type PublishedPort, parseExposed, parsePublished } from "./published-port.ts";

const asText = (text: string): string =>
  parsePublished(text)
    .map(
      ({ hostIP, hostPorts, containerPort, protocol }) =>
        `${hostIP ?? "*"} ${hostPorts?.join("-") ?? "any"} ${containerPort}/${protocol}`,
    )
    .join(", ");

t.test("ports are written as Docker has them", async (t) => {
  const rows: [text: string, meaning: string][] = [
    ["80", "* any 80/tcp"],
    ["8080:80", "* 8080-8080 80/tcp"],
    ["8080:80/udp", "* 8080-8080 80/udp"],
    ["127.0.0.1:8080:80", "127.0.0.1 8080-8080 80/tcp"],
    ["127.0.0.1::80", "127.0.0.1 any 80/tcp"],
    ["[::1]:8080:80", "::1 8080-8080 80/tcp"],
    ["9000-9001:90-91/udp", "* 9000-9000 90/udp, * 9001-9001 91/udp"],
    ["8080-8090:80", "* 8080-8090 80/tcp"],
    ["80-81", "* any 80/tcp, * any 81/tcp"],
  ];
  for (const [text, meaning] of rows) t.equal(asText(text), meaning, text);
  t.strictSame(
    parseExposed("80-81/udp").map(({ containerPort, protocol }) => `${containerPort}/${protocol}`),
    ["80/udp", "81/udp"],
  );
});

t.test("what is no port is refused with Docker's text", async (t) => {
  const rows: [text: string, message: string][] = [
    ["", "No port specified: <empty>"],
    ["8080:", "No port specified: 8080:<empty>"],
    ["1:2:3:4", "Invalid ip address: 1 in 1:2:3:4"],
    ["x:80:80", "Invalid ip address: x in x:80:80"],
    ["[::1:80:80", "Invalid ip address: [ in [::1:80:80"],
    ["0:80", "Invalid hostPort: 0"],
    ["65536:80", "Invalid hostPort: 65536"],
    ["80:web", "Invalid containerPort: web"],
    ["80:90-80", "Invalid containerPort: 90-80"],
    ["80:80/icmp", "Invalid proto: icmp"],
    ["80:80/tcp/udp", "Invalid proto: tcp/udp"],
    ["80-82:80-81", "Invalid ranges specified for container and host Ports: 80-81 and 80-82"],
  ];
  for (const [text, message] of rows) t.throws(() => parsePublished(text), { msg: message, code: 7 }, text);
});

t.test("ports asked for by number come first, then the first free one of each range", async (t) => {
  const taken: PublishedPort[] = [{ hostPort: 32768, containerPort: 1, protocol: "tcp", hostIP: "192.0.2.1" }];
  const isFree = (port: PublishedPort) => !taken.some((other) => collide(port, other));
  const requests = ["81", "82/udp", "83", "32769:84", "127.0.0.1::85"].flatMap(parsePublished);
  t.strictSame(
    choosePorts(requests, [32768, 32771], isFree)
      .map((port) => `${port.hostPort} ${port.containerPort}/${port.protocol}`)
      .sort(),
    ["32768 82/udp", "32768 85/tcp", "32769 84/tcp", "32770 81/tcp", "32771 83/tcp"],
  );
  t.throws(() => choosePorts(parsePublished("8080:80"), [1, 2], () => false), {
    msg: "Bind for 0.0.0.0:8080 failed: port is already allocated",
    code: 11,
  } as CniError);
  t.throws(() => choosePorts(parsePublished("127.0.0.1:80-81:80"), [1, 2], () => false), {
    msg: "all ports are allocated: 127.0.0.1:80-81/tcp",
    code: 11,
  } as CniError);
  t.throws(() => choosePorts(parsePublished("80"), [1, 2], () => false), {
    msg: "all ports are allocated: 0.0.0.0:1-2/tcp",
    code: 11,
  } as CniError);
});
