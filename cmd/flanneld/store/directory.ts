/** A folder as the store. */
import { openDirectoryStore } from "../../../pkg/cluster/store/directory/directory.ts";
import { text } from "../options/flag.ts";
import { managerOf, type StoreKind } from "./store-kind.ts";

const flags = {
  "subnet-dir": text("DIR", "keep configuration and leases in this directory instead of etcd"),
};

export const directory: StoreKind<typeof flags, { directory: string }> = {
  heading: "Instead of etcd:",
  flags,
  selectedBy: "subnet-dir",
  read: (_values, check) => ({ directory: check.notEmpty("subnet-dir") }),
  open: ({ directory }, context) => managerOf(openDirectoryStore({ directory, log: context.log }), context),
};
