// What the flannel plugin costs beside the plugin that it has do the work: ADD and DEL of the same network, once by way of
// subnet.env and once configured for bridge at once. On the machine's own disk, since flannel waits until that has its file.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Row, Samples } from "./figures.ts";
import {
  type Caller,
  type Contender,
  caller,
  type Netconf,
  type Node,
  newAttachment,
  newNode,
  rotated,
} from "./node.ts";

/** So many containers are attached all the time. */
const RESIDENTS = 10;
const WARM_UP_ROUNDS = 3;
const MOST_OF_BRIDGE = 1.15;

const SUBNET_FILE = "/var/lib/flannel/subnet.env";
const subnetFile = `FLANNEL_NETWORK=10.88.0.0/16
FLANNEL_SUBNET=10.88.3.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
`;

/** As flannel ships it. */
const flannelConf: Netconf = {
  cniVersion: "1.0.0",
  name: "cbr0",
  type: "flannel",
  subnetFile: SUBNET_FILE,
  delegate: { hairpinMode: true, isDefaultGateway: true },
};

export interface FlannelBench {
  launcher: string;
  twill: Contender;
  rounds: number;
}

interface Contest {
  name: "flannel" | "bridge";
  node: Node;
  caller: Caller;
}

export async function flannelRows({ launcher, twill, rounds }: FlannelBench): Promise<Row[]> {
  const node = () => {
    const made = newNode(launcher, 1 + RESIDENTS);
    made.host.write(SUBNET_FILE, subnetFile);
    return made;
  };
  const [one, other] = [node(), node()];
  const flannel: Contest = { name: "flannel", node: one, caller: caller(one, twill, "flannel", flannelConf) };
  await populate(flannel);
  const bridge: Contest = { name: "bridge", node: other, caller: caller(other, twill, "bridge", delegateConf(one)) };
  await populate(bridge);
  const samples = new Samples();
  for (let round = 0; round < WARM_UP_ROUNDS + rounds; round++)
    await runRound(rotated([flannel, bridge], round), round < WARM_UP_ROUNDS ? new Samples() : samples);
  for (const { node } of [flannel, bridge]) node.remove();
  return rowsOf(samples);
}

async function populate({ node, caller }: Contest): Promise<void> {
  for (const container of node.host.containers.slice(1)) await caller.call("ADD", newAttachment(container));
}

/** What flannel made of its own configuration, for the container of this name: the other contest's network is the same. */
function delegateConf({ host }: Node): Netconf {
  const folder = join(host.varLib, "cni/flannel");
  const [file = ""] = host.sh("ls /var/lib/cni/flannel").split("\n");
  return JSON.parse(readFileSync(join(folder, file), "utf8")) as Netconf;
}

async function runRound(contests: readonly Contest[], samples: Samples): Promise<void> {
  const attached = contests.flatMap((contest) =>
    contest.node.host.containers.slice(0, 1).map((container) => ({ contest, attachment: newAttachment(container) })),
  );
  for (const verb of ["ADD", "DEL"] as const) {
    for (const { contest, attachment } of attached) {
      const { ms } = await contest.caller.call(verb, attachment);
      samples.add(`${contest.name} ${verb}`, ms);
    }
  }
}

function rowsOf(samples: Samples): Row[] {
  return (["ADD", "DEL"] as const).flatMap((verb) => {
    const [flannel, bridge] = [samples.find(`flannel ${verb}`), samples.find(`bridge ${verb}`)];
    if (flannel === undefined || bridge === undefined) return [];
    const of = "of plain bridge's";
    const goals = verb === "ADD" ? [{ of, value: flannel.median / bridge.median, limit: MOST_OF_BRIDGE }] : [];
    const section = "flannel with bridge + host-local, no masquerade, beside plain bridge";
    const row = { section, unit: "ms" } as const;
    return [
      { ...row, name: verb, figures: { twill: flannel }, goals },
      { ...row, name: `${verb}, plain bridge`, figures: { twill: bridge }, goals: [] },
    ];
  });
}
