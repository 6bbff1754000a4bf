/** The alloc backend: acquires a subnet, and adds nothing to the kernel. Something else, such as a cloud's router, routes packets to it. */
import type { Backend, BackendContext, Programmed } from "./backend.ts";

export function alloc({ external }: BackendContext): Backend {
  let { mtu } = external;
  return {
    get mtu() {
      return mtu;
    },
    devices: [],
    attributes: () => ({ backendType: "" }), // as flannel writes it
    setOwnLease() {},
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
