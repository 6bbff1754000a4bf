import { CniError } from "../../../pkg/cni/error.ts";
import { needSubnetEnv } from "../../flannel/subnet.ts";
import type { Check, Observation } from "./finding.ts";

const usualFile = "/run/flannel/subnet.env";

export const subnetFile: Check = {
  id: "subnet-file",
  about: "the subnet file of flanneld, where a network of the plugin flannel needs one",
  severity: "error",
  find: ({ networks }) =>
    networks.flatMap(({ name, plugins }) =>
      plugins
        .filter(({ type }) => type === "flannel")
        .flatMap(({ conf }) =>
          observationOf(name, typeof conf["subnetFile"] === "string" ? conf["subnetFile"] : usualFile),
        ),
    ),
};

function observationOf(network: string, path: string): Observation[] {
  try {
    needSubnetEnv(path || usualFile);
    return [];
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    const [details = "", remedy = ""] = error.details.split(/(?:^|\. )To fix: /);
    return [
      {
        text: `network "${network}": ${error.msg}`,
        evidence: details === "" ? [] : [details],
        remedy: remedy || "start flanneld",
      },
    ];
  }
}
