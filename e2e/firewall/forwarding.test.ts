// What the firewall plugin lets through, with each backend.
import t from "tap";
import { inShares } from "../lab/shares.ts";
import { testBackend } from "./forwarding.ts";

t.setTimeout(0); // the whole file has its time from whoever runs it
for (const backend of ["firewalld", "iptables", "nftables"] as const)
  testBackend(backend, (name, needs, work) => inShares({ [name]: () => void t.test(name, needs, work) }));
