// `twill network` beside Docker: the same commands in turn, each side on a machine of its own. Usage, as root:
//
//   npm run bench:networks                 about ten minutes, on a machine that does nothing else
//   npm run bench:networks -- --rounds 5   fewer rounds: a trend
//
// Prints tables; a complete run writes them to results/networks.md and .json. How to read them: bench/README.md.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { newSide, type Side } from "../e2e/docker-networks/side.ts";
import { exactly, isMet, type Row, Samples, withGoals } from "./figures.ts";
import { describeMachine, machineText } from "./machine.ts";
import { tables } from "./table.ts";
import { whileThereIs } from "./while-there-is.ts";

const ROUNDS = 20;
const QUERIES = 300;
/** One free network beside the predefined ones, and many. */
const FEW_NETWORKS = 2;
const MANY_NETWORKS = 200;
const FEW_ATTACHMENTS = 10;
const MANY_ATTACHMENTS = 1000;
/** So many are attached between two lines of progress. */
const STEP = 198;
/** Of the steps, as parts of Docker's. */
const LIMITS = { create: 0.05, connect: 0.12, disconnect: 0.25, rm: 0.15, query: 1 };
/** With many networks, as a part of the time with few. */
const LIMIT_OF_MANY = 1.1;

const who = { docker: "Docker", twill: "twill" } as const;

const { values: options } = parseArgs({ options: { rounds: { type: "string" } } });
const rounds = Number(options.rounds ?? ROUNDS);

/** Prints the milliseconds that a command took. */
const timed = (command: string) =>
  `bash -c 'begun=$EPOCHREALTIME; "$@" >/dev/null || exit 1; now=$EPOCHREALTIME; echo $(( (\${now/.} - \${begun/.}) ))' timed ${command}`;

async function microseconds(side: Side, script: string): Promise<number> {
  const { status, stdout, stderr } = await side.type(script);
  if (status !== 0 || !/^\d+\n$/.test(stdout)) throw new Error(`${side.name}: ${script}: ${stdout}${stderr}`);
  return Number(stdout);
}

const program = ({ name }: Side) => (name === "docker" ? "docker" : "/run/copy/twill");

const steps = {
  create: "network create measured",
  connect: "network connect measured web",
  disconnect: "network disconnect measured web",
  rm: "network rm measured",
};

/** Asks for a name again and again, and prints the median in microseconds. */
const client = `
const socket = require("node:dgram").createSocket("udp4");
const query = Buffer.from("0001010000010000000000000377656204626173650000010001", "hex");
const times = [];
let begun;
const ask = () => { begun = process.hrtime.bigint(); socket.send(query, 53, "127.0.0.11"); };
socket.on("message", () => {
  times.push(Number(process.hrtime.bigint() - begun) / 1000);
  if (times.length < ${QUERIES}) return ask();
  console.log(Math.round(times.sort((a, b) => a - b)[times.length >> 1]));
  socket.close();
});
ask();`;

const namespaceOf = ({ name }: Side) =>
  name === "docker" ? "/proc/$(docker inspect --format {{.State.Pid}} web)/ns/net" : "/run/netns/web";

async function measureSteps(samples: Samples, sides: readonly Side[]): Promise<void> {
  for (const side of sides) {
    await side.type(
      "mkdir /run/copy; ln -s /opt/cni/bin/bridge /run/copy/twill; tool network create base; start web base",
    );
    await side.type(`cat > /run/client.cjs <<'end'\n${client}\nend`);
  }
  for (let round = 0; round < rounds; round++) {
    const inTurn = round % 2 === 0 ? sides : sides.toReversed();
    for (const [step, args] of Object.entries(steps))
      for (const side of inTurn)
        samples.add(`${who[side.name]} ${step}`, (await microseconds(side, timed(`${program(side)} ${args}`))) / 1000);
    for (const side of inTurn)
      samples.add(
        `${who[side.name]} query`,
        (await microseconds(side, `nsenter --net=${namespaceOf(side)} node /run/client.cjs`)) / 1000,
      );
  }
}

/** How much longer twill takes with many networks, and for each attachment with many attachments. */
async function measureMany(twill: Side, samples: Samples): Promise<void> {
  const measure = async (name: string, args: string) =>
    samples.add(`twill ${name}`, (await microseconds(twill, timed(`/run/copy/twill ${args}`))) / 1000);
  const connect = async (networks: number) => {
    for (let i = 0; i < rounds; i++) {
      await measure(`connect ${networks}`, "network connect one web");
      await measure(`disconnect ${networks}`, "network disconnect one web");
    }
  };
  const attach = async (from: number, to: number) => {
    process.stderr.write(`${to} attachments\n`);
    const { status, stderr } = await twill.type(`
      for i in $(seq ${from} ${to}); do ip netns add c$i; /run/copy/twill network connect crowd c$i || exit 1; done`);
    if (status !== 0) throw new Error(stderr);
  };
  await twill.type("/run/copy/twill network create one");
  await connect(FEW_NETWORKS);
  await twill.type(
    `for i in $(seq ${FEW_NETWORKS + 1} ${MANY_NETWORKS}); do /run/copy/twill network create --subnet 10.$i.0.0/24 n$i; done`,
  );
  await connect(MANY_NETWORKS);
  await twill.type("/run/copy/twill network create --subnet 10.251.0.0/16 crowd");
  await attach(1, FEW_ATTACHMENTS);
  const look = async (attachments: number) => {
    for (let i = 0; i < rounds; i++) {
      await measure(`connect beside ${attachments}`, "network connect crowd web");
      await measure(`disconnect beside ${attachments}`, "network disconnect crowd web");
      await measure(`inspect ${attachments}`, "network inspect crowd");
      await measure(`ipam ls ${attachments}`, "ipam ls crowd");
    }
  };
  await look(FEW_ATTACHMENTS);
  for (let from = FEW_ATTACHMENTS; from < MANY_ATTACHMENTS; from += STEP)
    await attach(from + 1, Math.min(from + STEP, MANY_ATTACHMENTS));
  await look(MANY_ATTACHMENTS);
}

function rowsOf(samples: Samples): Row[] {
  const section = "twill network";
  const beside = Object.entries(LIMITS).map(([name, limit]) =>
    withGoals({ section, name, unit: "ms", figures: samples.figures(name) }, { Docker: limit }),
  );
  const medianOf = (name: string) => samples.find(`twill ${name}`)?.median ?? Number.NaN;
  const many = (
    [
      ["connect", MANY_NETWORKS, FEW_NETWORKS, 1],
      ["disconnect", MANY_NETWORKS, FEW_NETWORKS, 1],
      ["inspect", MANY_ATTACHMENTS, FEW_ATTACHMENTS, FEW_ATTACHMENTS / MANY_ATTACHMENTS],
      ["ipam ls", MANY_ATTACHMENTS, FEW_ATTACHMENTS, FEW_ATTACHMENTS / MANY_ATTACHMENTS],
    ] as const
  ).map(([name, large, small, part]): Row => {
    const value = (medianOf(`${name} ${large}`) / medianOf(`${name} ${small}`)) * part;
    const limit = part < 1 ? 1 : LIMIT_OF_MANY;
    const what = part < 1 ? "attachments, each" : "networks";
    return {
      section: "with many of them",
      name: `${name}: ${large} ${what}, of ${small}`,
      unit: "times",
      figures: { twill: exactly(value) },
      goals: [{ of: "of the time with few", value, limit }],
    };
  });
  const besideMany = ["connect", "disconnect"].flatMap((name) =>
    [FEW_ATTACHMENTS, MANY_ATTACHMENTS].map((attachments): Row => {
      const twill = samples.find(`twill ${name} beside ${attachments}`);
      return {
        section: "in a network with so many attachments",
        name: `${name}: ${attachments}`,
        unit: "ms",
        figures: twill === undefined ? {} : { twill },
        goals: [],
      };
    }),
  );
  return [...beside, ...many, ...besideMany];
}

const machine = describeMachine();
console.log(machineText(machine));
const rows = await whileThereIs(async (t) => {
  const samples = new Samples();
  const sides = [await newSide(t, "docker"), await newSide(t, "twill")] as const;
  await measureSteps(samples, sides);
  await measureMany(sides[1], samples);
  return rowsOf(samples);
});
const text = tables(rows);
console.log(`\n${text}\n`);
if (options.rounds === undefined) {
  const results = join(import.meta.dirname, "results", "networks");
  writeFileSync(`${results}.md`, `${machineText(machine)}\n\n${text}\n`);
  writeFileSync(`${results}.json`, `${JSON.stringify({ measured: new Date(), machine, rows }, null, 1)}\n`);
}
const goals = rows.flatMap((row) => row.goals);
console.log(`${goals.filter(isMet).length} of ${goals.length} goals met`);
