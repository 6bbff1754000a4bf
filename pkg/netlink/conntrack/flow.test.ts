import { golden, hex } from "../golden.testing.ts";
import { NFPROTO_IPV4, NFPROTO_IPV6 } from "../nftables/header.ts";
import { flowMessage } from "./flow.ts";

golden(flowMessage, [
  {
    command: "conntrack -D -p udp --orig-port-dst 8053 -d 192.0.2.9",
    wire: `02000000 34000180 14000180 08000100 c0000201 08000200 c0000209 1c000280 05000100 11000000 06000200 14e90000 06000300 1f750000
           34000280 14000180 08000100 0a010005 08000200 c0000201 1c000280 05000100 11000000 06000200 00350000 06000300 14e90000
           08000300 00000008 08000700 0000003b 08000800 00000000 1c001880 08000100 00000000 08000200 00000000 08000300 00000000`,
    part: {
      family: NFPROTO_IPV4,
      original: {
        ip: { source4: hex("c0000201"), destination4: hex("c0000209") },
        protocol: { number: 17, sourcePort: 5353, destinationPort: 8053 },
      },
      reply: {
        ip: { source4: hex("0a010005"), destination4: hex("c0000201") },
        protocol: { number: 17, sourcePort: 53, destinationPort: 5353 },
      },
      status: 8,
      timeoutS: 59,
      mark: 0,
    },
    differs: "CTA_SYNPROXY has no row: what is unknown is written last, as it is here",
  },
  {
    command: "conntrack -D -f ipv6 -p udp --orig-port-dst 8053 -d 2001:db8::9",
    from: "kernel",
    wire: `0a000000 4c000180 2c000180 14000300 20010db8 00000000 00000000 00000001 14000400 20010db8 00000000 00000000 00000009
           1c000280 05000100 11000000 06000200 14e90000 06000300 1f750000
           4c000280 2c000180 14000300 fd000000 00000000 00000000 00000005 14000400 20010db8 00000000 00000000 00000001
           1c000280 05000100 11000000 06000200 00350000 06000300 14e90000
           08000300 00000008 08000800 00000000 08000c00 01eddc03 08000b00 00000001 08000700 0000003b`,
    value: {
      family: NFPROTO_IPV6,
      version: 0,
      resource: 0,
      original: {
        ip: {
          source6: hex("20010db8000000000000000000000001"),
          destination6: hex("20010db8000000000000000000000009"),
        },
        protocol: { number: 17, sourcePort: 5353, destinationPort: 8053 },
      },
      reply: {
        ip: {
          source6: hex("fd000000000000000000000000000005"),
          destination6: hex("20010db8000000000000000000000001"),
        },
        protocol: { number: 17, sourcePort: 53, destinationPort: 5353 },
      },
      status: 8,
      mark: 0,
      id: 0x01eddc03,
      uses: 1,
      timeoutS: 59,
    },
  },
]);
