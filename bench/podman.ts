// What a user of podman sees: a container with a published port is started and removed, with our plugins and with Go's, in turn. Most of the
// time is podman's, the runtime's and the kernel's own.
import { cgroup, newPodman, type Podman } from "../e2e/runtimes/podman.ts";
import { type Row, Samples, withGoals } from "./figures.ts";
import { whileThereIs } from "./while-there-is.ts";

const WARM_UP_ROUNDS = 2;
/** Without names: Go's side would need another package for them. */
const network = "podman network create --disable-dns --subnet 10.10.1.0/24 n1";
const steps = {
  run: `podman run -d ${cgroup} --name a --network n1 -p 8080:80 localhost/image:1`,
  rm: "podman rm -f -t 0 a",
};
const LIMIT_OF_GO = 0.95;

type Side = [who: "twill" | "Go", podman: Podman];

/** Microseconds, by the shell that starts the command. */
async function measured({ type }: Podman, command: string): Promise<number> {
  const script = `bash -c 'begun=$EPOCHREALTIME; ${command} > /dev/null || exit 1; now=$EPOCHREALTIME; echo $((\${now/.} - \${begun/.}))'`;
  const { status, stdout, stderr } = await type(script);
  if (status !== 0) throw new Error(`${command}: exit status ${status}: ${stderr}`);
  return Number(stdout);
}

export async function podmanRows({ rounds }: { rounds: number }): Promise<Row[]> {
  const samples = new Samples();
  await whileThereIs(async (t) => {
    const sides: Side[] = [
      ["twill", await newPodman(t, "go")],
      ["Go", await newPodman(t, "go")],
    ];
    await sides[0]?.[1].done("dist/bin/twill install --plugin-dir /opt/cni/bin --no-tools");
    for (const [, podman] of sides) await podman.done(network);
    for (let round = 0; round < WARM_UP_ROUNDS + rounds; round++) {
      const into = round < WARM_UP_ROUNDS ? new Samples() : samples;
      const sums = new Map<string, number>();
      for (const [name, command] of Object.entries(steps))
        for (const [who, podman] of round % 2 === 0 ? sides : sides.toReversed()) {
          const ms = (await measured(podman, command)) / 1000;
          into.add(`${who} ${name}`, ms);
          sums.set(who, (sums.get(who) ?? 0) + ms);
        }
      for (const [who, ms] of sums) into.add(`${who} both`, ms);
    }
  });
  const row = (name: string, step: string, limits = {}) =>
    withGoals({ section: "podman, a published port", name, unit: "ms", figures: samples.figures(step) }, limits);
  return [row("podman run -d", "run"), row("podman rm -f", "rm"), row("run and rm", "both", { Go: LIMIT_OF_GO })];
}
