// host-local on its own, with directories of few and of many reservations.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Contenders, hostLocalConf, reservations } from "./contenders.ts";
import { exactly, type Row, Samples, withGoals } from "./figures.ts";
import { type Caller, type Contender, caller, type Node, newAttachment, newNode, rotated } from "./node.ts";

const SIZES = [10, 1000, 60_000] as const;
const WARM_UP_ROUNDS = 2;
const MOST_GROWTH = 1.2;

interface Contest {
  name: string;
  caller: Caller;
  /** Writes the same directory before each of our calls. */
  foreign?: Caller;
}

export interface HostLocalBench {
  launcher: string;
  contenders: Contenders;
  rounds: number;
}

export async function hostLocalRows({ launcher, contenders, rounds }: HostLocalBench): Promise<Row[]> {
  const node = newNode(launcher, 1);
  const contests = SIZES.flatMap((size) => contestsOf(node, contenders, size));
  const samples = new Samples();
  for (let round = 0; round < WARM_UP_ROUNDS + rounds; round++) {
    const into = round < WARM_UP_ROUNDS ? new Samples() : samples;
    for (const contest of rotated(contests, round)) await runRound(node, contest, into);
    into.add("bare", (await node.bare()).ms);
  }
  node.remove();
  return [...sizeRows(samples), ...growthRows(samples)];
}

/** Everyone has a directory of his own; one more is shared with the Go plugin. */
function contestsOf(node: Node, { twill, Go, C }: Contenders, size: number): Contest[] {
  const inDirectory = (directory: string, contender: Contender) =>
    caller(node, contender, "host-local", hostLocalConf(directory));
  const owners = { twill, Go, C };
  for (const name of [...Object.keys(owners), "shared"]) reserve(reservations(node, `${name}-${size}`), size);
  return [
    ...Object.entries(owners).map(([who, contender]) => ({
      name: `${who} ${size}`,
      caller: inDirectory(`${who}-${size}`, contender),
    })),
    {
      name: `shared ${size}`,
      caller: inDirectory(`shared-${size}`, twill),
      foreign: inDirectory(`shared-${size}`, Go),
    },
  ];
}

/** The first addresses of the subnet, as host-local notes them. */
function reserve(directory: string, count: number): void {
  mkdirSync(directory, { recursive: true });
  const addressAt = (n: number) => `10.88.${n >> 8}.${n & 255}`;
  for (let i = 0; i < count; i++) {
    const owner = `${String(i).padStart(64, "0")}\r\neth0`;
    writeFileSync(join(directory, addressAt(i + 2)), owner, { mode: 0o600 }); // behind the network's and the gateway's
  }
  writeFileSync(join(directory, "last_reserved_ip.0"), addressAt(count + 1), { mode: 0o600 });
  writeFileSync(join(directory, "lock"), "", { mode: 0o750 });
}

/** Leaves as many reservations as there were. */
async function runRound(node: Node, { name, caller, foreign }: Contest, samples: Samples): Promise<void> {
  for (const container of node.host.containers) {
    const [own, other] = [newAttachment(container), newAttachment(container)];
    for (const verb of ["ADD", "DEL"] as const) {
      await foreign?.call(verb, other);
      samples.add(`${name} ${verb}`, (await caller.call(verb, own)).ms);
    }
  }
}

function sizeRows(samples: Samples): Row[] {
  const bare = samples.find("bare");
  return SIZES.flatMap((size) =>
    ["ADD", "DEL"].flatMap((verb) => {
      const row = { section: "host-local alone", unit: "ms" as const, ...(bare && { bare }) };
      const shared = samples.find(`shared ${size} ${verb}`);
      const count = size.toLocaleString("en");
      return [
        withGoals(
          {
            ...row,
            name: `${verb}, ${count} reservations`,
            figures: samples.figures(`${size} ${verb}`),
            ...(size === SIZES[2] && { headline: `host-local ${verb}, ${count} reservations` }),
          },
          {},
        ),
        withGoals(
          { ...row, name: `${verb}, ${count}, Go writing in between`, figures: { ...(shared && { twill: shared }) } },
          {},
        ),
      ];
    }),
  );
}

/** How much slower than in the smallest directory. */
function growthRows(samples: Samples): Row[] {
  return ["ADD", "DEL"].flatMap((verb) =>
    ["twill", "shared"].flatMap((name): Row[] => {
      const growth = (who: string) => {
        const [few, many] = [SIZES[0], SIZES[2]].map((size) => samples.find(`${who} ${size} ${verb}`)?.median);
        return few === undefined || many === undefined ? undefined : many / few;
      };
      const [value, go] = [growth(name), growth("Go")];
      if (value === undefined) return [];
      return [
        {
          section: "host-local alone, 60,000 reservations against 10",
          name: name === "shared" ? `${verb}, Go writing in between` : verb,
          unit: "times",
          figures: { twill: exactly(value), ...(name === "twill" && go !== undefined && { Go: exactly(go) }) },
          goals: [{ of: "times", value, limit: MOST_GROWTH }],
        },
      ];
    }),
  );
}
