import t from "tap";
import { closeFile, findStat, Open, openFile } from "./file.ts";
import { closingAll, keepingOpen } from "./left-open.ts";
import { AF_NETLINK, openSocket, SOCK_RAW } from "./socket.ts";

const isOpen = (fd: number) => findStat(`/proc/self/fd/${fd}`) !== undefined;
const open = () => openFile("/proc/self/stat", Open.readOnly);

t.test("what is left open is closed, and nothing else", async (t) => {
  const before = open();
  const [file, socket, inner] = closingAll(() => {
    closeFile(open());
    const inner = closingAll(open);
    const opened = [open(), openSocket(AF_NETLINK, SOCK_RAW, 0), inner] as const;
    for (const fd of opened) t.ok(isOpen(fd)); // the inner one's number is in use again
    return opened;
  });
  for (const fd of [file, socket, inner]) t.notOk(isOpen(fd));
  t.ok(isOpen(before));
  closeFile(before);
});

t.test("what is shared stays open", async (t) => {
  const [shared, own] = closingAll(() => [keepingOpen(open), open()] as const);
  t.notOk(isOpen(own));
  t.ok(isOpen(shared));
  closeFile(shared);
});

t.test("also when the work fails", async (t) => {
  let file = -1;
  const work = () => {
    file = open();
    throw new Error("no");
  };
  t.throws(() => closingAll(work), { message: "no" });
  t.notOk(isOpen(file));
});
