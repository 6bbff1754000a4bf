/** The alloc backend: acquires a subnet, and adds nothing to the kernel. Something else, such as a cloud's router, routes packets to it. */
import type { ApplyResult, Backend, BackendContext, BackendType } from "./backend.ts";

export const alloc: BackendType = { keys: {}, create };

function create({ external }: BackendContext): Backend {
  let { mtu } = external;
  return {
    get mtu() {
      return mtu;
    },
    overheadBytes: 0,
    devices: [],
    canReadBack: true,
    attributes: async () => ({ backendType: "" }), // as flannel writes it
    async setOwnLease() {},
    setPeers: async () => nothing,
    changePeers: async () => nothing,
    concerns: () => false,
    repair: async () => nothing,
    async follow(next) {
      mtu = next.mtu;
    },
    missing: () => [],
    obstacles: () => [],
    probeAddress: () => undefined, // whether packets get there is decided elsewhere
    adviceWhenSilent: "check that the host runs, and that the router between the hosts has a route to its subnet",
    async close() {},
  };
}

const nothing: ApplyResult = { added: 0, removed: 0, refused: [] };
