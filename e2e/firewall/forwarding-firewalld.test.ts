import { testBackend } from "./forwarding.ts";

testBackend("firewalld");
