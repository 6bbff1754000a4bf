/** Parses and validates the text of a network configuration. Pure. */
import { validate } from "#validate/flanneld";
import type { LeaseManager } from "../../pkg/cluster/lease/manager.ts";
import {
  InvalidNetworkConfig,
  type NetworkConfig,
  type NetworkDocument,
  parseNetworkConfig,
  parseUndividedNetworkConfig,
} from "../../pkg/cluster/lease/network-config.ts";
import { normalizeText, problemsOf } from "../../pkg/cni/netconf.ts";
import { isObject, type Json, type JsonObject, JsonSyntaxError, showJson } from "../../pkg/config/json.ts";
import type { Normalized } from "../../pkg/config/normalize.ts";
import { unknownKeyWarning } from "../../pkg/config/unknown-keys.ts";
import { backendTypes } from "../../pkg/flannel/backend/backend-registry.ts";
import { ignoredKeys } from "../../pkg/flannel/backend/backend-schema.ts";

export interface ReadNetwork {
  config: NetworkConfig;
  /** Sentences about keys without effect. */
  warnings: string[];
}

/**
 * @param subnets Where the hosts' subnets come from.
 * @throws InvalidNetworkConfig lists all problems
 */
export function readNetworkConfig(text: string, subnets: LeaseManager["subnets"]): ReadNetwork {
  const { value, unknownKeys } = settled(text);
  const document = objectOf(value);
  const problems = problemsOf(document, validate).map(({ text, hint }) => (hint ? `${text}; ${hint}` : text));
  if (problems.length > 0) throw new InvalidNetworkConfig(problems);
  const parse = subnets === "chosen" ? parseNetworkConfig : parseUndividedNetworkConfig;
  const config = parse(document as NetworkDocument);
  const warnings = [...unknownKeys.map(unknownKeyWarning), ...ignoredKeys(config.backend, backendTypes)];
  return { config, warnings: document["Backend"] === undefined ? [...warnings, withoutBackend(config)] : warnings };
}

const withoutBackend = ({ backend: { type } }: NetworkConfig): string =>
  `"Backend" is missing: every host uses ${type}, as with flannel; vxlan is several times faster: add "Backend": {"Type": "vxlan"}, and restart flanneld on all hosts; to keep ${type} without this warning, add "Backend": {"Type": "${type}"}`;

function settled(text: string): Normalized {
  try {
    return normalizeText(text, validate.shape).normalizedConf;
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new InvalidNetworkConfig([
      `it is not JSON: ${error.message}; ${error.remedy ?? `correct it; an example: ${example}`}`,
    ]);
  }
}

function objectOf(value: Json): JsonObject {
  if (isObject(value)) return value;
  throw new InvalidNetworkConfig([`it is ${showJson(value)}, must be a JSON object; an example: ${example}`]);
}

const example = '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}';
