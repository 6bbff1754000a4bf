/** Retries the daemon's start, which is to join the network. */
import { InvalidNetworkConfig } from "../../pkg/cluster/lease/network-config.ts";
import { NoConfig, NoSubnet, StoreError } from "../../pkg/cluster/lease/store-error.ts";
import { type RetryPolicy, retry } from "./retry.ts";

/** Tries to join until it works. @throws Stopped; errors that no waiting can end */
export const retryStart = <T>(join: () => Promise<T>, policy: Omit<RetryPolicy, "isTemporary">): Promise<T> =>
  retry(join, { ...policy, isTemporary });

/** Reports whether waiting may help: until the store answers, the administrator acts, or another host leaves. */
const isTemporary = (error: unknown): boolean =>
  [NoConfig, InvalidNetworkConfig, NoSubnet, StoreError].some((kind) => error instanceof kind);
