import { testBackend } from "./forwarding.ts";

testBackend("nftables");
