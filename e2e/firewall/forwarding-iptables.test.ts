import { testBackend } from "./forwarding.ts";

testBackend("iptables");
