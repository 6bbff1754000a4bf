// Makes one link after the other, each with a hundred aliases in one send, and says when there is one. Ends when it is killed.
import { addLink, openRtnetlink, setAlias } from "../../pkg/link/link.ts";

const rtnl = openRtnetlink();
for (let index = 2 ** 30; ; index++) {
  const name = `made${index - 2 ** 30}`;
  rtnl.requestAll([
    addLink({ ifName: name, index, linkInfo: { kind: "veth", data: { peer: { ifName: `peer${name}` } } } }),
    ...Array.from({ length: 100 }, () => setAlias(index, "first")),
    setAlias(index, "last"),
  ]);
  if (index === 2 ** 30) process.stdout.write("made one\n");
}
