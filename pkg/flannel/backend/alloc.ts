/** The alloc backend: a subnet, and nothing in the kernel. Somebody else, a cloud's router say, leads packets to it. */
import type { Backend, BackendContext, Programmed } from "./backend.ts";

export function alloc({ external }: BackendContext): Backend {
  let { mtu } = external;
  return {
    get mtu() {
      return mtu;
    },
    devices: [],
    attributes: () => ({ backendType: "" }), // as flannel writes it
    takeLease() {},
    setPeers: () => nothing,
    changePeers: () => nothing,
    concerns: () => false,
    repair: () => nothing,
    follow(next) {
      mtu = next.mtu;
    },
    missing: () => [],
    obstacles: () => [],
  };
}

const nothing: Programmed = { added: 0, removed: 0, refused: [] };
