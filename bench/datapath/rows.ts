// The figures of all paths as rows of the tables, a section for each kind of traffic, and as pictures.
import { type Row, type Samples, type Who, withGoals } from "../figures.ts";
import { type Bar, barChart } from "../plot.ts";
import { digits, table } from "../table.ts";
import { DATAGRAMS, type Figures } from "./traffic.ts";
import { type PathName, pathNames } from "./wires.ts";

interface Section {
  title: string;
  figure: keyof Figures | "ofHost" | "mtu";
  unit: Row["unit"];
  isMoreBetter?: boolean;
  /** Our figure as a part of another's. */
  goals?: Partial<Record<PathName, Partial<Record<Who, number>>>>;
}

/** What the tables call bench/udp-proxy.c. */
export const C_PROGRAM = "program";

const LEAST_OF_HAND = 0.98;
/** The paths that are to be as fast as those wired by hand. */
export const pathsBesideHand = ["host-gw", "vxlan"] as const satisfies readonly PathName[];
/** The samples of streams that ran in turn, as parts. */
export const ofHand = (path: PathName): string => `part of hand's ${path}`;

const sections: readonly Section[] = [
  {
    title: "one TCP stream (more is better)",
    figure: "oneStreamGbits",
    unit: "Gbit/s",
    isMoreBetter: true,
    goals: { udp: { C: 4 } },
  },
  { title: "one TCP stream, part of host to host (more is better)", figure: "ofHost", unit: "%", isMoreBetter: true },
  { title: "four TCP streams (more is better)", figure: "fourStreamsGbits", unit: "Gbit/s", isMoreBetter: true },
  {
    title: "processor time of the whole machine for a Gbit of one TCP stream (less is better)",
    figure: "cpuPerGbit",
    unit: "s/Gbit",
    goals: { udp: { C: 1 / 3 } },
  },
  { title: "request and answer, median (less is better)", figure: "medianUs", unit: "us" },
  { title: "request and answer, 99th percentile (less is better)", figure: "p99Us", unit: "us" },
  {
    title: `datagrams of ${DATAGRAMS.small} bytes that arrive, thousands a second (more is better)`,
    figure: "smallKpps",
    unit: "kpps",
    isMoreBetter: true,
    goals: { udp: { C: 1 } },
  },
  {
    title: `datagrams of ${DATAGRAMS.large} bytes that arrive, thousands a second (more is better)`,
    figure: "largeKpps",
    unit: "kpps",
    isMoreBetter: true,
    goals: { udp: { C: 1 } },
  },
  { title: "MTU of the containers", figure: "mtu", unit: "bytes" },
];

export const rowsOf = (samples: Samples): Row[] => [...sectionRows(samples), ...handRows(samples)];

const handRows = (samples: Samples): Row[] =>
  pathsBesideHand.flatMap((name) => {
    const part = samples.find(ofHand(name));
    if (part === undefined) return [];
    const goals = [{ of: "of what is wired by hand", value: part.median, limit: LEAST_OF_HAND, isLeast: true }];
    const section = "one TCP stream in turn with the same path wired by hand, part of it";
    return [{ section, name, unit: "times" as const, figures: { twill: part }, goals }];
  });

const sectionRows = (samples: Samples): Row[] =>
  sections.flatMap(({ title, figure, unit, isMoreBetter = false, goals = {} }) =>
    pathNames.flatMap((path) => {
      const figures = samples.figures(`${path} ${figure}`);
      if (Object.keys(figures).length === 0) return [];
      return [
        withGoals({ section: title, name: path, unit, figures }, goals[path] ?? {}, {
          isLeast: isMoreBetter,
          floor: C_PROGRAM,
        }),
      ];
    }),
  );

/** The columns of the table in docs/performance.md. */
const summaryColumns: readonly { heading: string; figure: Section["figure"] }[] = [
  { heading: "MTU", figure: "mtu" },
  { heading: "one stream, Gbit/s", figure: "oneStreamGbits" },
  { heading: "% of the host's", figure: "ofHost" },
  { heading: "four streams, Gbit/s", figure: "fourStreamsGbits" },
  { heading: "CPU s/Gbit", figure: "cpuPerGbit" },
  { heading: "answer, us", figure: "medianUs" },
  { heading: "99th, us", figure: "p99Us" },
  { heading: `${DATAGRAMS.small} bytes, kpps`, figure: "smallKpps" },
  { heading: `${DATAGRAMS.large} bytes, kpps`, figure: "largeKpps" },
];

/** The medians of each path as twill wires it, in one table. */
export function summary(rows: readonly Row[]): string {
  const cell = (path: PathName, figure: Section["figure"]): string => {
    const title = sections.find((one) => one.figure === figure)?.title;
    const figures = rows.find(({ section, name }) => section === title && name === path)?.figures;
    const { median } = figures?.twill ?? figures?.hand ?? {};
    return median === undefined ? "" : figure === "mtu" ? String(median) : digits(median);
  };
  return table(
    ["path", ...summaryColumns.map(({ heading }) => heading)],
    pathNames.map((path) => [path, ...summaryColumns.map(({ figure }) => cell(path, figure))]),
  );
}

const contenders: readonly Bar[] = [
  { who: "twill", title: "twill", colour: "#2f81f7" },
  { who: "hand", title: "by hand", colour: "#3fb950" },
  { who: "Go", title: "Go plugins", colour: "#8b949e" },
  { who: "Docker", title: "Docker", colour: "#a371f7" },
  { who: "C", title: "C program", colour: "#d29922" },
];

/** Pictures by name. */
export function charts(rows: readonly Row[], machine: Readonly<Record<string, string>>): Record<string, string> {
  const chart = (figure: Section["figure"], title: string) => {
    const section = sections.find((one) => one.figure === figure)?.title;
    const shown = rows.filter((row) => row.section === section);
    const longest = Math.max(...shown.flatMap(({ figures }) => Object.values(figures).map(({ median }) => median)));
    return barChart({
      title,
      subtitle: `medians, two hosts on one machine; Linux ${machine["kernel"]}, ${machine["machine"]}`,
      description: title,
      contenders,
      groups: shown.map((row) => ({ row, whole: longest, note: "" })),
    });
  };
  return {
    throughput: chart("oneStreamGbits", "One TCP stream between two hosts (longer is better)"),
    latency: chart("medianUs", "Request and answer, median (shorter is better)"),
    cpu: chart("cpuPerGbit", "Processor time for a Gbit (shorter is better)"),
  };
}
