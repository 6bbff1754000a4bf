/** subnet-file: a network of the plugin flannel has no file of flanneld, or a damaged one. */
import { CniError } from "../../../pkg/cni/error.ts";
import { needSubnetEnv } from "../../flannel/subnet.ts";
import type { Check, Finding } from "./finding.ts";

const usualFile = "/run/flannel/subnet.env";

export const subnetFile: Check = {
  id: "subnet-file",
  find: ({ networks }) =>
    networks.flatMap(({ name, plugins }) =>
      plugins
        .filter(({ type }) => type === "flannel")
        .flatMap(({ conf }) =>
          findingFor(name, typeof conf["subnetFile"] === "string" ? conf["subnetFile"] : usualFile),
        ),
    ),
};

function findingFor(network: string, path: string): Finding[] {
  try {
    needSubnetEnv(path || usualFile);
    return [];
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    const [details = "", remedy = ""] = error.details.split(/(?:^|\. )To fix: /);
    return [
      {
        id: "subnet-file",
        severity: "error",
        text: `network "${network}": ${error.msg}`,
        evidence: details === "" ? [] : [details],
        remedy: remedy || "start flanneld",
      },
    ];
  }
}
