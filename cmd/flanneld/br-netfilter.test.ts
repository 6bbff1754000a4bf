import t from "tap";
import { checkPrerequisites, type HostFacts, needNetworkAdmin } from "./br-netfilter.ts";

const setting = "/proc/sys/net/bridge/bridge-nf-call-iptables";
const forwards = { "/proc/sys/net/ipv4/ip_forward": "1\n" };

interface FakeHost extends HostFacts {
  loaded: string[];
}

/** @param load What loading a module does to the files, or says. */
function host(files: Record<string, string>, load: () => Record<string, string> | string = () => "not here"): FakeHost {
  const loaded: string[] = [];
  return {
    loaded,
    findText: (path) => files[path],
    loadModule(name) {
      loaded.push(name);
      const outcome = load();
      if (typeof outcome === "string") return outcome;
      Object.assign(files, outcome);
      return undefined;
    },
  };
}

const lenient = { bridgedTraffic: true, requireBrNetfilter: false };
const strict = { bridgedTraffic: true, requireBrNetfilter: true };

t.test("br_netfilter that is there is left alone", async (t) => {
  const complete = host({ ...forwards, [setting]: "1\n" });
  t.strictSame(checkPrerequisites(strict, complete), []);
  t.strictSame(complete.loaded, []);
});

t.test("br_netfilter that is missing is loaded", async (t) => {
  const loadable = host({ ...forwards }, () => ({ [setting]: "1\n" }));
  t.strictSame(checkPrerequisites(strict, loadable), []);
  t.strictSame(loadable.loaded, ["br_netfilter"]);
});

t.test("with nftables nobody asks for br_netfilter", async (t) => {
  const bare = host({ ...forwards });
  t.strictSame(checkPrerequisites({ bridgedTraffic: false, requireBrNetfilter: true }, bare), []);
  t.strictSame(bare.loaded, []);
});

const absent =
  'kernel module br_netfilter is not loaded (modprobe: FATAL: Module br_netfilter not found): iptables does not see packets between containers of one bridge. To fix: run modprobe br_netfilter on the host, and add it to /etc/modules-load.d/, or set "EnableNFTables": true in the network configuration';

t.test("br_netfilter that cannot be had is a warning", async (t) => {
  const bare = host({ ...forwards }, () => "modprobe: FATAL: Module br_netfilter not found");
  t.strictSame(checkPrerequisites(lenient, bare), [absent]);
});

t.test("br_netfilter that cannot be had is an error for the strict", async (t) => {
  const bare = host({ ...forwards }, () => "modprobe: FATAL: Module br_netfilter not found");
  t.throws(() => checkPrerequisites(strict, bare), { name: "PrerequisiteMissing", message: absent });
});

t.test("a module that loads without effect is not believed", async (t) => {
  const odd = host({ ...forwards }, () => ({}));
  t.match(checkPrerequisites(lenient, odd), [/^kernel module br_netfilter is not loaded \(modprobe succeeded, but/]);
});

t.test("a host that does not forward is warned of", async (t) => {
  const still = host({ "/proc/sys/net/ipv4/ip_forward": "0\n", [setting]: "1\n" });
  t.strictSame(checkPrerequisites(lenient, still), [
    "net.ipv4.ip_forward is 0: until it is 1, this host does not forward packets between its containers and other hosts. To fix: sysctl -w net.ipv4.ip_forward=1 (plugin bridge does so for its first container)",
  ]);
});

const status = (capabilities: string) => host({ "/proc/self/status": `Name:\tnode\nCapEff:\t${capabilities}\n` });

t.test("CAP_NET_ADMIN alone is enough", async () => {
  for (const capabilities of ["000001ffffffffff", "0000000000001000"]) needNetworkAdmin(status(capabilities));
});

t.test("without CAP_NET_ADMIN it says so at once", async (t) => {
  for (const capabilities of ["0000000000000000", "000001ffffffefff"])
    t.throws(() => needNetworkAdmin(status(capabilities)), {
      name: "PrerequisiteMissing",
      message:
        "flanneld may not configure the network: it lacks CAP_NET_ADMIN. To fix: run it as root, or give it the capability (systemd: AmbientCapabilities=CAP_NET_ADMIN; containers: --cap-add NET_ADMIN)",
    });
});
