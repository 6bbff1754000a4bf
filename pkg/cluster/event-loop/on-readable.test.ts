import t from "tap";
import { closeFile } from "../../sys/file.ts";
import { call } from "../../sys/syscall.ts";
import { onReadable } from "./on-readable.ts";

const EFD_NONBLOCK = 0o4000;
const count = (fd: number) => {
  const value = new BigUint64Array(1);
  call("read", undefined, fd, new Uint8Array(value.buffer), 8);
  return Number(value[0]);
};
const add = (fd: number, amount: number) =>
  call("write", undefined, fd, new Uint8Array(new BigUint64Array([BigInt(amount)]).buffer), 8);

t.test("what is written is told of, each descriptor to its own reader", async (t) => {
  const [one, other] = [call("eventfd2", undefined, 0, EFD_NONBLOCK), call("eventfd2", undefined, 0, EFD_NONBLOCK)];
  const seen: string[] = [];
  const stops: (() => void)[] = [];
  await new Promise<void>((done) => {
    const reader = (name: string, fd: number) =>
      onReadable(fd, () => {
        seen.push(`${name} ${count(fd)}`);
        if (seen.length === 1) add(other, 7);
        if (seen.length === 2) done();
      });
    stops.push(reader("one", one), reader("other", other));
    add(one, 3);
  });
  t.strictSame(seen, ["one 3", "other 7"]);
  for (const stop of stops) stop();
  for (const fd of [one, other]) closeFile(fd);
});

t.test("after its end a reader hears nothing, and a new one does", async (t) => {
  const fd = call("eventfd2", undefined, 0, EFD_NONBLOCK);
  onReadable(fd, () => t.fail("it has ended"))();
  const heard = await new Promise<number>((resolve) => {
    const stop = onReadable(fd, () => {
      stop();
      resolve(count(fd));
    });
    add(fd, 1);
  });
  t.equal(heard, 1);
  closeFile(fd);
});
