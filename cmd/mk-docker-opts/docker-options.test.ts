import t from "tap";
import { dockerOptions } from "./docker-options.ts";
import { readOptions } from "./options.ts";

const file = { FLANNEL_SUBNET: "10.1.74.1/24", FLANNEL_MTU: "1472", FLANNEL_IPMASQ: "false" };

const cases: { args?: string[]; variables?: Record<string, string>; lines: string[] }[] = [
  { variables: {}, lines: ['DOCKER_OPTS=""'] },
  {
    variables: { FLANNEL_IPMASQ: "true" },
    lines: ['DOCKER_OPT_IPMASQ="--ip-masq=false"', 'DOCKER_OPTS=" --ip-masq=false"'],
  },
  {
    args: ["-c", "-kOTHER"],
    variables: { ...file, OTHER: "--debug" },
    lines: ['OTHER="--debug  --bip=10.1.74.1/24 --ip-masq=true --mtu=1472"'],
  },
  {
    args: ["-im"],
    variables: { ...file, DOCKER_OPT_ZONE: "--zone=1", DOCKER_OPT_AGE: "--age", DOCKER_OPTS: "x" },
    lines: [
      'DOCKER_OPT_AGE="--age"',
      'DOCKER_OPT_BIP="--bip=10.1.74.1/24"',
      'DOCKER_OPT_MTU="--mtu=1472"',
      'DOCKER_OPT_ZONE="--zone=1"',
    ],
  },
  { args: ["-c", "-m"], variables: { FLANNEL_IPMASQ: "maybe" }, lines: ['DOCKER_OPTS=""'] },
];
for (const { args = [], variables = file, lines } of cases) {
  t.test(`${args.join(" ")} with ${JSON.stringify(variables)}`, async (t) => {
    const text = dockerOptions(new Map(Object.entries(variables)), readOptions(args));
    t.equal(text, lines.map((line) => `${line}\n`).join(""));
  });
}

t.test("a masquerade that is neither on nor off is refused", async (t) => {
  t.throws(() => dockerOptions(new Map([["FLANNEL_IPMASQ", "maybe"]]), readOptions([])), {
    code: 7,
    msg: "Invalid value of FLANNEL_IPMASQ: maybe",
  });
});

const refused: [args: string[], message: string][] = [
  [["-h"], ""],
  [["-?"], ""],
  [["-ci", "-x"], "illegal option -- x"],
  [["--help"], "illegal option -- -"],
  [["-f"], "option requires an argument -- f"],
  [["-k", "A B"], '-k is "A B", must be the name of a variable, as DOCKER_OPTS'],
];
for (const [args, message] of refused) {
  t.test(`refused: ${args.join(" ")}`, async (t) => {
    t.throws(() => readOptions(args), { name: "WrongUsage", message });
  });
}

t.test("options end where something else begins", async (t) => {
  t.match(readOptions(["-i", "word", "-x"]), { individual: true, combined: false });
  t.match(readOptions(["-c", "--", "-x"]), { individual: false, combined: true });
});
