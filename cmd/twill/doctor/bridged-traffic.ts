import { enteredIfDropped } from "../../../pkg/firewall/input/base-chains.ts";
import { writeSysctl } from "../../../pkg/link/sysctl.ts";
import { loadModule } from "../../../pkg/sys/kernel-module.ts";
import { isFlannel } from "./configured-network.ts";
import type { Check, Fix, Observation } from "./finding.ts";
import { forwardChains, titleOf } from "./forward-policy.ts";
import type { NodeView } from "./node-view.ts";
import { samplesOf } from "./traffic-sample.ts";

const SETTINGS = { ip: "bridge/bridge-nf-call-iptables", ip6: "bridge/bridge-nf-call-ip6tables" } as const;

export const bridgedTraffic: Check = {
  id: "bridge-nf-call",
  about:
    "br_netfilter: whether frames between containers of one bridge pass iptables, which Services of Kubernetes need",
  severity: "warning",
  find: (node) => [...missingFilter(node), ...droppedFrames(node)],
};

/** flannel's networks are Kubernetes': a Service that leads back to the same node is translated back only if the answer passes iptables. */
function missingFilter(node: NodeView): Observation[] {
  const names = node.networks.filter(isFlannel).map(({ name }) => name);
  const value = node.sysctl(SETTINGS.ip);
  if (names.length === 0 || value === "1") return [];
  return [
    {
      text: "answers between containers of this node that went through a Service are lost: bridged frames do not pass iptables",
      evidence: [
        value === undefined
          ? "kernel module br_netfilter is not loaded: there is no net.bridge.bridge-nf-call-iptables"
          : `net.bridge.bridge-nf-call-iptables is ${value}`,
        `networks: ${names.join(", ")}`,
      ],
      remedy:
        "modprobe br_netfilter, add it to /etc/modules-load.d, then sysctl -w net.bridge.bridge-nf-call-iptables=1; where kube-proxy uses nftables, nothing is wrong",
      fix: value === undefined ? loading : setting,
    },
  ];
}

const setting: Fix = {
  text: "set net.bridge.bridge-nf-call-iptables to 1",
  run: () => writeSysctl(SETTINGS.ip, "1"),
};

const loading: Fix = {
  text: "load kernel module br_netfilter, until the next start of the machine",
  run() {
    const refusal = loadModule("br_netfilter");
    if (refusal !== undefined) throw new Error(refusal);
  },
};

/** Where bridged frames pass iptables, a policy of drop also keeps containers of one network apart. */
function droppedFrames(node: NodeView): Observation[] {
  const isFiltered = (family: "ip" | "ip6") => node.sysctl(SETTINGS[family]) === "1";
  if (!isFiltered("ip") && !isFiltered("ip6")) return [];
  const networks = node.networks
    .filter(({ plugins }) => !plugins.some(({ conf }) => conf["ingressPolicy"] === "isolated"))
    .map((network) => ({ network, samples: samplesOf(network, node) }))
    .filter(({ samples }) => samples.length > 0);
  if (networks.length === 0) return [];
  return forwardChains()
    .filter(({ family }) => isFiltered(family))
    .flatMap(({ family, base }) =>
      networks.flatMap(({ network, samples }): Observation[] => {
        const dropped = samples
          .filter((sample) => sample.family === family)
          .some((sample) => enteredIfDropped(base, { ...sample, outInterface: sample.inInterface }) !== undefined);
        if (!dropped) return [];
        return [
          {
            severity: "error",
            text: `containers of network "${network.name}" do not reach each other: ${titleOf(base)} drops what passes the bridge`,
            evidence: [`net.${SETTINGS[family].replaceAll("/", ".")} is 1`, `the policy is ${base.policy}`],
            remedy: `add {"type": "firewall"} to the plugins of the network, and create its containers again; or, without Kubernetes, sysctl -w net.${SETTINGS[family].replaceAll("/", ".")}=0`,
          },
        ];
      }),
    );
}
