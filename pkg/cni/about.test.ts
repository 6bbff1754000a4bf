import t from "tap";
import { aboutText, parseAbout } from "./about.ts";
import { fakePlugin } from "./fake.testing.ts";

t.test("the first line is the reference plugins', with our version as build metadata", async (t) => {
  const [first, versions] = aboutText(fakePlugin({ name: "bridge" }), "0.1.0-rc.1", "/opt/cni/bin/bridge").split("\n");
  t.equal(first, "CNI bridge plugin v1.9.1+twill.0.1.0-rc.1");
  t.equal(versions, "CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0");
});

t.test("what any plugin prints can be read: of this build, of an earlier one, of others", async (t) => {
  t.strictSame(parseAbout(aboutText(fakePlugin({ name: "bridge" }), "1.2.3", "bridge")), {
    about: "CNI bridge plugin v1.9.1+twill.1.2.3: does nothing",
    isOurs: true,
  });
  const earlier = "CNI bridge plugin 0.1.0 (twill): connects the container to a Linux bridge by a veth pair";
  const versions = "CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0";
  t.strictSame(parseAbout(`${earlier}\n${versions}\n`), { about: earlier, isOurs: true });
  for (const about of ["CNI bridge plugin version unknown", "CNI bridge plugin v1.9.1", "another (twill): x", ""])
    t.strictSame(parseAbout(`${about}\n${versions}\n`.trimStart()), { about: about || versions, isOurs: false });
  t.strictSame(parseAbout(""), { about: "", isOurs: false });
});
