/** The text format of Prometheus, version 0.0.4, as node_exporter reads it from files. Pure. */

export interface Sample {
  labels: Readonly<Record<string, string>>;
  value: number;
}

/** Gauges of one name. */
export interface Family {
  /** As [a-z_][a-z0-9_]*, the unit last. */
  name: string;
  help: string;
  samples: readonly Sample[];
}

/** Prints families that have samples. Of several samples with the same labels the first counts: a reader refuses a file that has two. */
export const exposition = (families: readonly Family[]): string =>
  families
    .filter(({ samples }) => samples.length > 0)
    .map(({ name, help, samples }) => {
      const lines = samples.map(({ labels, value }) => [`${name}${labelsText(labels)}`, value] as const);
      const values = new Map([...lines].reverse());
      return [
        `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`,
        `# TYPE ${name} gauge`,
        ...[...new Set(lines.map(([series]) => series))].map((series) => `${series} ${values.get(series)}`),
        "",
      ].join("\n");
    })
    .join("");

function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

const escaped = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
