/** Memory that the kernel reads and writes by address: packets, and the structures of <sys/socket.h> that point to them. */
import { addressOf } from "./libc.ts";

export interface Arena {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  /** The address of offset 0, and its lower 32 bits. */
  readonly address: number;
  readonly low: number;
  /** Reserves memory and returns its offset, a multiple of 64. */
  reserve(size: number): number;
  /** Writes a pointer to `target`, both being offsets. */
  setPointer(at: number, target: number): void;
  /** Writes over the lower half of a pointer, of which `setPointer` has once written the upper. */
  movePointer(at: number, target: number): void;
}

const ALIGNMENT = 64;
const HALF = 2 ** 32;

/** Reserves an arena of which all addresses have the same upper 32 bits, so that a pointer can be moved in one store. */
export function createArena(size: number): Arena {
  const rejected: ArrayBuffer[] = []; // kept until there is one that fits, else the next would lie in the same place
  for (;;) {
    const buffer = new ArrayBuffer(size);
    const address = addressOf(buffer);
    if (Math.floor(address / HALF) === Math.floor((address + size) / HALF)) return arenaOf(buffer, address);
    rejected.push(buffer);
  }
}

function arenaOf(buffer: ArrayBuffer, address: number): Arena {
  const view = new DataView(buffer);
  const [high, low] = [Math.floor(address / HALF), address % HALF];
  let used = 0;
  return {
    view,
    bytes: new Uint8Array(buffer),
    address,
    low,
    reserve(size) {
      const at = used;
      used = Math.ceil((used + size) / ALIGNMENT) * ALIGNMENT;
      if (used > buffer.byteLength)
        throw new RangeError(`an arena of ${buffer.byteLength} bytes has no room for ${size} more`);
      return at;
    },
    setPointer(at, target) {
      view.setUint32(at, low + target, true);
      view.setUint32(at + 4, high, true);
    },
    movePointer(at, target) {
      view.setUint32(at, low + target, true);
    },
  };
}

/** <sys/uio.h>, <sys/socket.h> with 64 bits, little-endian. */
export const IOVEC = { size: 16, base: 0, length: 8 } as const;
export const MSGHDR = {
  size: 64, // struct mmsghdr: msghdr, then the number of bytes
  name: 0,
  nameLength: 8,
  iovecs: 16,
  iovecCount: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  transferred: 56,
} as const;
export const CMSG = { space: 24, length: 0, level: 8, type: 12, data: 16 } as const;
/** <netinet/in.h> */
export const SOCKADDR_IN = { size: 16, family: 0, port: 2, address: 4 } as const;
