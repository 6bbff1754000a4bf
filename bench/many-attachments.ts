// twill doctor and twill gc on nodes with few and with many attachments: the time for each must not grow with their number.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ourTools } from "../e2e/lab/project.ts";
import type { Contenders } from "./contenders.ts";
import { type Row, Samples } from "./figures.ts";
import type { Job } from "./launcher.ts";
import { type Node, newNode, rotated } from "./node.ts";

const FEW = 10;
const MANY = 1000;
/** Of the time per attachment with few, that with many. */
const MOST_GROWTH = 1;
const WARM_UP_ROUNDS = 1;
const PAUSE_MS = 30;
/** In the time that a script of a host may take. */
const ADDED_AT_ONCE = 50;

const commands = { doctor: "twill doctor", gc: "twill gc", "gc --dry-run": "twill gc --dry-run" } as const;

export interface ManyAttachmentsBench {
  launcher: string;
  contenders: Contenders;
  rounds: number;
}

export async function manyAttachmentsRows({ launcher, contenders, rounds }: ManyAttachmentsBench): Promise<Row[]> {
  const { bin } = contenders.twill;
  const nodes = [FEW, MANY].map((count) => ({ count, node: nodeWith(count, launcher, bin) }));
  const runs = nodes.flatMap(({ count, node }) =>
    Object.entries(commands).map(([name, command]) => ({
      key: `${name} ${count}`,
      node,
      job: jobFor(node, command, bin),
    })),
  );
  const samples = new Samples();
  for (let round = 0; round < WARM_UP_ROUNDS + rounds; round++)
    for (const { key, node, job } of rotated(runs, round)) {
      const [run] = (await node.launcher.run([job], PAUSE_MS)).each;
      if (round >= WARM_UP_ROUNDS && run !== undefined) samples.add(key, run.cpuMs);
    }
  for (const { node } of nodes) node.remove();
  return Object.keys(commands).flatMap((name) =>
    [FEW, MANY].flatMap((count): Row[] => {
      const twill = samples.find(`${name} ${count}`);
      const few = samples.find(`${name} ${FEW}`);
      if (twill === undefined || few === undefined) return [];
      const value = twill.median / count / (few.median / FEW);
      const goals = count === MANY ? [{ of: `of ${FEW} attachments' time for each`, value, limit: MOST_GROWTH }] : [];
      return [
        {
          section: "twill doctor, twill gc: processor time",
          name: `${name}, ${count} attachments`,
          unit: "ms",
          figures: { twill },
          goals,
        },
      ];
    }),
  );
}

/** Interfaces of one container, each an attachment with rules, a host port and an address of its own. */
function nodeWith(count: number, launcher: string, bin: string): Node {
  const node = newNode(launcher, 1);
  const folder = join(node.host.varLib, "net.d");
  mkdirSync(folder);
  const plugins = [
    {
      type: "bridge",
      bridge: "cni0",
      isGateway: true,
      ipMasq: true,
      ipMasqBackend: "nftables",
      ipam: { type: "host-local", ranges: [[{ subnet: "10.88.0.0/16" }]] },
    },
    { type: "portmap", backend: "nftables", capabilities: { portMappings: true } },
    { type: "firewall", backend: "nftables" },
  ];
  writeFileSync(join(folder, "10-bench.conflist"), JSON.stringify({ cniVersion: "1.1.0", name: "bench", plugins }));
  const path = node.host.containers[0]?.path;
  for (let from = 0; from < count; from += ADDED_AT_ONCE)
    node.host.sh(`
      export NETCONFPATH=/var/lib/net.d CNI_PATH=${bin}
      for i in $(seq ${from} ${Math.min(from + ADDED_AT_ONCE, count) - 1}); do
        CAP_ARGS='{"portMappings":[{"hostPort":'$((10000 + i))',"containerPort":80,"protocol":"tcp"}]}' \\
          ${ourTools}/cnitool add --ifname eth$i bench ${path} > /dev/null
      done`);
  return node;
}

/** A program without arguments, as the launcher starts it; what doctor finds is of no interest here. */
function jobFor(node: Node, command: string, bin: string): Job {
  const name = command.replaceAll(" ", "-");
  const program = join(node.folder, name);
  writeFileSync(program, `#!/bin/sh\n${ourTools}/${command}\ntest $? -le 1\n`, { mode: 0o755 });
  return {
    program,
    stdin: "/dev/null",
    stdout: join(node.folder, `${name}.out`),
    environment: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", NETCONFPATH: "/var/lib/net.d", CNI_PATH: bin },
  };
}
