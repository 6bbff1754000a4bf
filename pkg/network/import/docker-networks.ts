/** Docker's networks, from the database of dockerd's libnetwork: `network/files/local-kv.db` below its directory. Pure. */
import { isObject, type Json, type JsonObject, parseJson } from "../../config/json.ts";
import { decode } from "../../sys/text.ts";
import { isPredefined } from "../definition.ts";
import { DamagedBolt, readBoltBucket } from "./bolt-file.ts";
import type { ImportedNetwork, ImportedNetworks } from "./imported-network.ts";

const BUCKET = "libnetwork";
const NETWORK_KEY = /^docker\/network\/v1\.0\/network\/[^/]+\/?$/;
/** Before each value, libkv writes the number of its change. */
const VALUE_PREFIX = 8;

/** Returns the networks but for those that every host has. @param file its path, for messages */
export function dockerNetworks(content: Uint8Array, file: string): ImportedNetworks {
  const found: ImportedNetworks = { networks: [], problems: [] };
  try {
    for (const [key, value] of readBoltBucket(content, BUCKET) ?? []) {
      if (!NETWORK_KEY.test(key)) continue;
      const network = networkIn(value, file);
      if (network === undefined) found.problems.push(`${file}: the value of ${key} is no network`);
      else if (!isPredefined(network.request)) found.networks.push(network);
    }
  } catch (error) {
    if (!(error instanceof DamagedBolt)) throw error;
    found.problems.push(`${file} cannot be read as Docker's database: ${error.message}`);
  }
  return found;
}

function networkIn(value: Uint8Array, from: string): ImportedNetwork | undefined {
  const document = jsonIn(decode(value.subarray(VALUE_PREFIX)));
  if (!isObject(document)) return undefined;
  const { id, name, created, networkType, generic } = document;
  if (typeof id !== "string" || !/^[0-9a-f]{64}$/.test(id)) return undefined;
  if (typeof name !== "string" || typeof created !== "string" || typeof networkType !== "string") return undefined;
  const pools = [...poolsIn(document, "V4"), ...poolsIn(document, "V6")];
  const ipamDriver = document["ipamType"];
  return {
    from,
    id,
    created,
    request: {
      name,
      driver: networkType,
      internal: document["internal"] === true,
      ...(document["attachable"] === true && { attachable: true }),
      ipv6: document["enableIPv6"] === true,
      labels: textsOf(document["labels"]),
      options: textsOf(isObject(generic) ? generic["com.docker.network.generic"] : undefined),
      ipamDriver: typeof ipamDriver === "string" ? ipamDriver : "default",
      ipamOptions: textsOf(document["ipamOptions"]),
      subnets: pools.map(({ subnet }) => subnet),
      ipRanges: pools.flatMap(({ range }) => range ?? []),
      gateways: pools.flatMap(({ gateway }) => gateway ?? []),
      auxAddresses: pools.flatMap(({ aux }) => aux),
    },
  };
}

interface Pool {
  subnet: string;
  range: string | undefined;
  gateway: string | undefined;
  aux: string[];
}

/** What was chosen is in `ipamV4Info`, the range only in what was asked for, `ipamV4Config`; both are JSON in a text, and so is each of the former. */
function poolsIn(document: JsonObject, family: "V4" | "V6"): Pool[] {
  const infos = listIn(document[`ipam${family}Info`]);
  const asked = listIn(document[`ipam${family}Config`]);
  return infos.flatMap((info, i): Pool[] => {
    const data = isObject(info) ? jsonIn(info["IPAMData"]) : undefined;
    if (!isObject(data) || typeof data["Pool"] !== "string") return [];
    const { Pool: subnet, Gateway: gateway, AuxAddresses: aux } = data;
    const config = asked[i];
    const range = isObject(config) && typeof config["SubPool"] === "string" ? config["SubPool"] : "";
    return [
      {
        subnet,
        range: range === "" ? undefined : range,
        gateway: typeof gateway === "string" && gateway !== "" ? withoutLength(gateway) : undefined,
        aux: Object.entries(textsOf(aux)).map(([name, address]) => `${name}=${withoutLength(address)}`),
      },
    ];
  });
}

const withoutLength = (address: string): string => address.replace(/\/\d+$/, "");

function listIn(text: Json | undefined): Json[] {
  const list = jsonIn(text);
  return Array.isArray(list) ? list : [];
}

function jsonIn(text: Json | undefined): Json | undefined {
  try {
    return typeof text === "string" ? parseJson(text) : undefined;
  } catch {
    return undefined; // told as a value that is no network
  }
}

const textsOf = (value: Json | undefined): Record<string, string> =>
  Object.fromEntries(
    Object.entries(isObject(value) ? value : {}).flatMap(([key, one]) => (typeof one === "string" ? [[key, one]] : [])),
  );
