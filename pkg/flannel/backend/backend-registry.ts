/** The registry of backends: a row for each. Everything else about a backend is in its own files. */
import { alloc } from "./alloc.ts";
import type { BackendType } from "./backend.ts";
import { hostGw } from "./host-gw.ts";
import { udp } from "./udp/udp.ts";
import { vxlan } from "./vxlan/vxlan.ts";

/** The backends by their `Type` in lower case. */
export type BackendTypes = Readonly<Record<string, BackendType>>;

export const backendTypes = { vxlan, "host-gw": hostGw, udp, alloc } as const satisfies BackendTypes;

export const findBackendType = (types: BackendTypes, name: string): BackendType | undefined =>
  Object.hasOwn(types, name) ? types[name] : undefined;
