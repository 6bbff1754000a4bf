/** import: makes the networks that Docker and podman have. */
import { failureOf } from "../../../pkg/cni/error.ts";
import type { Command } from "../../../pkg/command-line/command.ts";
import { printJson } from "../../../pkg/config/json.ts";
import { definitionOf, type NetworkDefinition } from "../../../pkg/network/definition.ts";
import { dockerNetworks } from "../../../pkg/network/import/docker-networks.ts";
import type { ImportedNetwork, ImportedNetworks } from "../../../pkg/network/import/imported-network.ts";
import { podmanNetwork } from "../../../pkg/network/import/podman-networks.ts";
import { networkFile, writeNetwork } from "../../../pkg/network/network-directory.ts";
import { newNetwork } from "../../../pkg/network/new-network.ts";
import { defaultPools } from "../../../pkg/network/subnet.ts";
import { parseList } from "../../../pkg/runtime/network-list.ts";
import { SystemError } from "../../../pkg/sys/errno.ts";
import { findDirectory, findStat, readFile } from "../../../pkg/sys/file.ts";
import { decode, encode } from "../../../pkg/sys/text.ts";
import { type Host, hostHasLink, hostRoutes, onHost } from "./surroundings.ts";

const defaults = { docker: "/var/lib/docker/network/files/local-kv.db", podman: "/etc/containers/networks" };

export const importNetworks: Command = {
  name: "import",
  operands: "",
  required: 0,
  most: 0,
  about: "make the networks that Docker and podman have",
  details: [
    "Reads the definitions of Docker (local-kv.db) and of podman with netavark (networks/*.json) from their files, also while these run, and writes",
    "the same networks: name, ID, driver, subnets, labels, options. podman's networks of CNI are in the directory of configurations already.",
    "What cannot be the same is told and left out; the exit status is 1 then. Prints name, driver and subnets of each network that it made.",
  ].join("\n"),
  flags: [
    { name: "docker", value: "FILE", about: `Docker's database (${defaults.docker})` },
    { name: "podman", value: "DIR", about: `directory of podman's networks (${defaults.podman})` },
    { name: "dry-run", about: "print what would be made, and make nothing" },
  ],
  examples: ["twill network import --dry-run"],
  run({ flags, context }) {
    const { stdout, stderr } = context.streams;
    const found = [docker(flags.get("docker")), ...podman(flags.get("podman"))];
    const problems = found.flatMap((one) => one.problems);
    onHost(context, (host) => {
      const make = makerOn(host, flags.has("dry-run"));
      for (const network of found.flatMap(({ networks }) => networks)) {
        try {
          const made = make(network);
          if (made === undefined) stderr(`twill network: ${network.request.name} is there already\n`);
          else stdout(`${[made.name, made.driver, ...made.ipam.config.map(({ subnet }) => subnet)].join(" ")}\n`);
        } catch (error) {
          problems.push(`${network.request.name} (${network.from}) is not imported: ${failureOf(error).message}`);
        }
      }
    });
    for (const problem of problems) stderr(`twill network: ${problem}\n`);
    return problems.length === 0 ? 0 : 1;
  },
};

/** Returns what makes one network after the other, each beside those before. It returns undefined for one that was imported before. */
function makerOn(
  { networks, directory }: Host,
  dryRun: boolean,
): (network: ImportedNetwork) => NetworkDefinition | undefined {
  const present = [...networks];
  const routes = hostRoutes();
  return ({ request, id, created }) => {
    if (present.some((network) => network.id === id && network.name === request.name)) return undefined;
    const around = { networks: present, routes, pools: defaultPools, hasLink: hostHasLink };
    const { document } = newNetwork(request, around, { id, created });
    const { name } = request;
    const file = dryRun ? networkFile(directory, name) : writeNetwork(directory, name, document);
    const made = definitionOf(parseList(encode(printJson(document, "")), file), file);
    present.push(made);
    return made;
  };
}

function docker(file: string | undefined): ImportedNetworks {
  if (file === undefined && findStat(defaults.docker) === undefined) return { networks: [], problems: [] };
  const path = file ?? defaults.docker;
  return reading(path, () => dockerNetworks(readFile(path), path));
}

function podman(directory: string | undefined): ImportedNetworks[] {
  const path = directory ?? defaults.podman;
  const names = findDirectory(path);
  if (names === undefined)
    return directory === undefined ? [] : [{ networks: [], problems: [`${path} does not exist: correct --podman`] }];
  return names
    .filter((name) => name.endsWith(".json"))
    .map((name) => `${path}/${name}`)
    .map((file) => reading(file, () => podmanNetwork(decode(readFile(file)), file)));
}

function reading(file: string, read: () => ImportedNetworks): ImportedNetworks {
  try {
    if (findStat(file)?.type === "other") return { networks: [], problems: [`${file} is no plain file`] };
    return read();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return { networks: [], problems: [`${file} cannot be read: ${error.message}`] };
  }
}
