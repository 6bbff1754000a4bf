// npm run demo, as root: what twill is for, on the real kernel, told step by step.
//
// First two containers on one host, with what goes wrong there: a mistake, a failed ADD, a flushed firewall, a container that is gone without DEL;
// then three hosts whose containers form one network. Nothing of this machine is touched, and nothing is left, whatever ends the demo:
// dev/demo/lab.ts says how.
import { clusterOfHosts } from "./demo/cluster.ts";
import { containersOfOneHost } from "./demo/containers.ts";
import { enterHost } from "./demo/lab.ts";
import { needGoodVerdicts, say } from "./demo/tell.ts";

process.stdout.on("error", () => process.exit(1)); // nobody reads any more
try {
  if (process.getuid?.() !== 0) throw new Error("it makes network namespaces: run it as root (sudo npm run demo)");
  enterHost();
  containersOfOneHost();
  await clusterOfHosts();
  needGoodVerdicts();
  say("The demo's namespaces end with it: nothing is left on this machine.");
} catch (error) {
  console.error(`\nThe demo stops: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
process.exit(); // etcd and the daemons die with it
