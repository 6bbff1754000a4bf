// What a link needs for IPv6 addresses: only what is refused before anything is written.
import t from "tap";
import { failureBy, prefix } from "./cases.testing.ts";
import { enableIPv6, needFamilies, refuseSmallMtu } from "./ipv6.ts";

const small = (mtu: number, text: string) =>
  `7: an MTU of ${mtu} ("eth0") is too small for ${text}: IPv6 needs 1280; To fix: raise it to 1280 or more: "mtu" of the network, without it the MTU of the master or of "eth0", with flannel FLANNEL_MTU, which follows from that of the host's interface; or remove those of IPv6 in "ipam"`;

t.test("an MTU has to be at least 1280, for IPv6 only", async (t) => {
  const cases: [number, string, string | undefined][] = [
    [1280, "fd00::5/64", undefined],
    [1279, "fd00::5/64", small(1279, "fd00::5/64")],
    [68, "10.1.0.5/16", undefined],
  ];
  for (const [mtu, text, failure] of cases)
    t.equal(
      failureBy(() => refuseSmallMtu("eth0", mtu, prefix(text))),
      failure,
      `${mtu} ${text}`,
    );
});

t.test("a link is made ready for its first IPv6 address, or refused; for IPv4 nothing is looked at", async (t) => {
  const link = { name: "fake-none0", mtu: 1500 }; // no machine has it, so it has no settings of IPv6 either
  const [ipv4, ipv6] = [prefix("10.1.0.5/16"), prefix("fd00::5/64")];
  t.equal(
    failureBy(() => enableIPv6(link, [ipv4])),
    undefined,
  );
  t.equal(
    failureBy(() => enableIPv6({ name: "eth0", mtu: 1000 }, [ipv4, ipv6])),
    small(1000, "fd00::5/64"),
  );
  t.equal(
    failureBy(() => enableIPv6(link, [ipv4, ipv6])),
    '7: this kernel has no IPv6, so that no interface can have fd00::5/64; To fix: remove those of IPv6 in "ipam", or start the kernel without ipv6.disable=1 (the module is ipv6)',
  );
  t.equal(
    failureBy(() => needFamilies([ipv4])),
    undefined,
  );
});
