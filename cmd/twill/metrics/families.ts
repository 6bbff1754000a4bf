/** What `twill metrics` tells of a node: the same as `twill doctor`, `ipam ls` and `log`, in numbers. */
import { errorText } from "../../../pkg/cni/error.ts";
import { type FailedCall, readFailedCalls } from "../../../pkg/cni/failed-calls.ts";
import { formatAddress } from "../../../pkg/ip/address.ts";
import { nowMs } from "../../../pkg/sys/clock.ts";
import type { NodeView } from "../doctor/node-view.ts";
import { callsFile } from "../log/log.ts";
import { grouped } from "../node/grouped.ts";
import { leftoverLinks, leftoverReservations, leftoverRules } from "../node/leftovers.ts";
import { rangeUsages } from "../node/range-usage.ts";
import type { Family, Sample } from "./exposition.ts";

/** A part that is read by itself, so that one that cannot be read takes no other with it. */
interface Part {
  name: string;
  families(node: NodeView): Family[];
}

const parts: readonly Part[] = [
  { name: "addresses", families: addressFamilies },
  { name: "attachments", families: attachmentFamilies },
  {
    name: "leftover_links",
    families: (node) => [leftovers("link", leftoverLinks(node.links, node.remembered).length)],
  },
  {
    name: "leftover_rules",
    families: (node) => [leftovers("rule", leftoverRules(node.markedRules, node.remembered).length)],
  },
  { name: "leftover_reservations", families: reservationFamilies },
  { name: "rules", families: ruleFamilies },
  {
    name: "calls",
    families: ({ environment }) => callFamilies(readFailedCalls(callsFile(environment)) ?? [], nowMs()),
  },
];

export interface Metrics {
  families: Family[];
  /** What could not be read, for messages. */
  problems: string[];
}

export function metricsOf(node: NodeView): Metrics {
  const problems: string[] = [];
  const success: Sample[] = [];
  const found = parts.flatMap(({ name, families }) => {
    try {
      const these = families(node);
      success.push({ labels: { part: name }, value: 1 });
      return these;
    } catch (error) {
      success.push({ labels: { part: name }, value: 0 });
      problems.push(`${name}: ${errorText(error)}`);
      return [];
    }
  });
  return {
    families: merged([
      {
        name: "twill_build_info",
        help: "The build; always 1.",
        samples: [{ labels: { version: node.self.version }, value: 1 }],
      },
      {
        name: "twill_collection_success",
        help: "Whether a part of these metrics could be read; if not, its metrics are absent.",
        samples: success,
      },
      ...found,
    ]),
    problems,
  };
}

/** Puts samples of one name together: the format wants each name once. */
const merged = (families: readonly Family[]): Family[] =>
  [...grouped(families, ({ name }) => name).values()].flatMap(([first, ...others]) =>
    first === undefined ? [] : [{ ...first, samples: [first, ...others].flatMap(({ samples }) => samples) }],
  );

function addressFamilies({ networks, reservations }: NodeView): Family[] {
  const usages = rangeUsages(networks, reservations).map(({ network, range, used, total }) => ({
    labels: { network: network.name, range: `${formatAddress(range.start)}-${formatAddress(range.end)}` },
    used,
    free: Math.max(0, total - used),
  }));
  return [
    {
      name: "twill_addresses_used",
      help: "Addresses of a range of host-local that are reserved.",
      samples: usages.map(({ labels, used: value }) => ({ labels, value })),
    },
    {
      name: "twill_addresses_free",
      help: "Addresses of a range of host-local that can still be given out.",
      samples: usages.map(({ labels, free: value }) => ({ labels, value })),
    },
  ];
}

const STATES = ["alive", "dead", "unknown"] as const;

function attachmentFamilies({ cache: { attachments, damaged }, networks }: NodeView): Family[] {
  const names = new Set([...networks.map(({ name }) => name), ...attachments.map(({ entry }) => entry.networkName)]);
  const count = (wanted: string, network?: string): number =>
    attachments.filter(({ entry, state }) => state === wanted && (network ?? entry.networkName) === entry.networkName)
      .length;
  return [
    {
      name: "twill_attachments",
      help: "Attachments that runtimes of this node remember, by whether their namespace exists; unknown is neither.",
      samples: [...names].flatMap((network) =>
        STATES.map((state) => ({ labels: { network, state }, value: count(state, network) })),
      ),
    },
    leftovers("attachment", count("unknown"), count("dead")),
    {
      name: "twill_damaged_cache_files",
      help: "Files of the runtimes' caches that cannot be read.",
      samples: [{ labels: {}, value: damaged.length }],
    },
  ];
}

function reservationFamilies({ reservations, remembered }: NodeView): Family[] {
  const left = leftoverReservations(reservations, remembered);
  const gone = left.filter(({ isOfEarlierBoot }) => isOfEarlierBoot).length;
  return [leftovers("reservation", left.length - gone, gone)];
}

/** @param gone Absent: of what is of nobody that runtimes remember, nobody can tell that it is dead. */
const leftovers = (kind: string, unknown: number, gone?: number): Family => ({
  name: "twill_leftovers",
  help: "What is there for containers that are gone (dead), or of which nothing can be told (unknown), by kind.",
  samples: [
    ...(gone === undefined ? [] : [{ labels: { kind, state: "dead" }, value: gone }]),
    { labels: { kind, state: "unknown" }, value: unknown },
  ],
});

function ruleFamilies({ lostRules: { lost, failed } }: NodeView): Family[] {
  return [
    {
      name: "twill_attachments_without_rules",
      help: "Living attachments whose firewall rules are missing, or of which that cannot be told (unknown).",
      samples: [
        { labels: { state: "missing" }, value: lost.length },
        { labels: { state: "unknown" }, value: failed.length },
      ],
    },
  ];
}

const HOUR_MS = 3_600_000;

/** Counts the calls of the last hour: the record is bounded, so that a total would go down. Pure. */
export function callFamilies(calls: readonly FailedCall[], now: number): Family[] {
  const recent = calls.filter(({ time }) => Date.parse(time) > now - HOUR_MS);
  const counted = (chosen: readonly FailedCall[], labelsOf: (call: FailedCall) => Record<string, string>): Sample[] =>
    [...grouped(chosen, (call) => JSON.stringify(labelsOf(call)))].map(([labels, { length: value }]) => ({
      labels: JSON.parse(labels),
      value,
    }));
  const failed = recent.filter(({ error }) => error !== undefined);
  const slow = recent.filter(({ error }) => error === undefined);
  return [
    {
      name: "twill_failed_calls_last_hour",
      help: "Calls of plugins that failed within the last hour, as twill log has them.",
      samples: counted(failed, ({ plugin, verb, error }) => ({ plugin, command: verb, code: String(error?.code) })),
    },
    {
      name: "twill_slow_calls_last_hour",
      help: "Calls of plugins within the last hour that succeeded, slowly, as twill log has them.",
      samples: counted(slow, ({ plugin, verb }) => ({ plugin, command: verb })),
    },
    {
      name: "twill_recorded_calls",
      help: "Failed and slow calls that twill log has, of any time.",
      samples: [{ labels: {}, value: calls.length }],
    },
  ];
}
