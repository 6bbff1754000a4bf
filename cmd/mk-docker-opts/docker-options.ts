/** Converts flanneld's variables to options of Docker's daemon, byte for byte as flannel's script writes them. Pure. */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Options } from "./options.ts";

export type Variables = ReadonlyMap<string, string>;

/**
 * Returns the text of the output file.
 *
 * @param variables The variables that the script has after it has read the subnet file: the environment, overridden by the file.
 * @throws CniError 7: FLANNEL_IPMASQ is neither true nor false
 */
export function dockerOptions(variables: Variables, options: Options): string {
  const own = new Map([...variables, ...optionsFrom(variables, options)]);
  const names = [...own.keys()].filter((name) => name.startsWith(PREFIX)).sort();
  const lines = options.individual ? names.map((name) => line(name, own.get(name))) : [];
  if (options.combined) {
    const given = own.get(options.combinedKey);
    const words = names.map((name) => ` ${own.get(name)}`);
    lines.push(line(options.combinedKey, [...(given ? [given, " "] : []), ...words].join("")));
  }
  return lines.join("");
}

/** Every variable with this prefix is an option, also one from the environment. */
const PREFIX = "DOCKER_OPT_";

const line = (name: string, value = ""): string => `${name}="${value}"\n`;

function optionsFrom(variables: Variables, { ipMasq }: Options): [name: string, option: string][] {
  const options: [name: string, flag: string, value: string | undefined][] = [
    ["BIP", "--bip", variables.get("FLANNEL_SUBNET")],
    ["IPMASQ", "--ip-masq", ipMasq ? opposite(variables.get("FLANNEL_IPMASQ")) : undefined],
    ["MTU", "--mtu", variables.get("FLANNEL_MTU")],
  ];
  return options.flatMap(([name, flag, value]) => (value ? [[`${PREFIX}${name}`, `${flag}=${value}`]] : []));
}

/** Returns the opposite, since either flanneld or Docker masquerades. */
function opposite(value: string | undefined): string | undefined {
  if (!value) return undefined;
  if (value === "true" || value === "false") return String(value === "false");
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg: `Invalid value of FLANNEL_IPMASQ: ${value}`,
    remedy: "must be true or false: restart flanneld, which writes the file again, or omit --ip-masq with -m",
  });
}
