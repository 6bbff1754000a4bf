import t from "tap";
import { formatPrefix } from "../ip/address.ts";
import { parseSubnetEnv } from "./read-strict.ts";

const path = "/run/flannel/subnet.env";
const rest = "FLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n";
const ipv4 = "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.17.1/24\n";
const ipv6 = "FLANNEL_IPV6_NETWORK=fc00::/48\nFLANNEL_IPV6_SUBNET=fc00::1/64\n";

const accepted: { text: string; networks: string[]; subnets: string[]; mtu?: number; ipMasq?: boolean }[] = [
  { text: ipv4 + rest, networks: ["10.1.0.0/16"], subnets: ["10.1.17.0/24"] },
  { text: ipv6 + rest, networks: ["fc00::/48"], subnets: ["fc00::/64"] },
  { text: rest + ipv6 + ipv4, networks: ["10.1.0.0/16", "fc00::/48"], subnets: ["10.1.17.0/24", "fc00::/64"] },
  {
    text: `${ipv4}${rest}FLANNEL_NETWORK=10.1.0.0/16,10.2.0.0/16,10.1.9.9/16`,
    networks: ["10.1.0.0/16", "10.2.0.0/16"],
    subnets: ["10.1.17.0/24"],
  },
  {
    text: `${ipv4}FLANNEL_MTU=4294967295\nFLANNEL_IPMASQ=yes\n# a note\nFLANNEL_COLOUR\nOTHER=1\n`.replaceAll(
      "\n",
      "\r\n",
    ),
    networks: ["10.1.0.0/16"],
    subnets: ["10.1.17.0/24"],
    mtu: 4294967295,
    ipMasq: false,
  },
];
for (const { text, networks, subnets, mtu = 1472, ipMasq = true } of accepted) {
  t.test(`the plugin reads ${JSON.stringify(text)}`, async (t) => {
    const env = parseSubnetEnv(text, path);
    t.strictSame(
      { ...env, networks: env.networks.map(formatPrefix), subnets: env.subnets.map(formatPrefix) },
      { networks, subnets, mtu, ipMasq },
    );
  });
}

const aPrefix = 'must be a prefix, as "10.1.0.0/16" or "fd00::/48"';
const refused: { text: string; msg: string }[] = [
  {
    text: "",
    msg: `${path} is missing FLANNEL_NETWORK, FLANNEL_IPV6_NETWORK, FLANNEL_SUBNET, FLANNEL_IPV6_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ`,
  },
  { text: ipv4, msg: `${path} is missing FLANNEL_MTU, FLANNEL_IPMASQ` },
  {
    text: `FLANNEL_IPV6_SUBNET=fc00::1/64\n${rest}`,
    msg: `${path} is missing FLANNEL_NETWORK, FLANNEL_IPV6_NETWORK`,
  },
  {
    text: `FLANNEL_NETWORK=10.1.0.0/16\n${rest}`,
    msg: `${path} is missing FLANNEL_SUBNET, FLANNEL_IPV6_SUBNET`,
  },
  { text: `${ipv4}FLANNEL_MTU\n`, msg: `${path}: FLANNEL_MTU has no "=", must be a number of bytes, as 1450` },
  {
    text: `${ipv4}FLANNEL_MTU=4294967296\n`,
    msg: `${path}: FLANNEL_MTU is "4294967296", must be a number of bytes, as 1450`,
  },
  { text: `${ipv4}FLANNEL_MTU= 1450\n`, msg: `${path}: FLANNEL_MTU is " 1450", must be a number of bytes, as 1450` },
  { text: `FLANNEL_SUBNET="10.1.17.1/24"\n`, msg: `${path}: FLANNEL_SUBNET is "\\"10.1.17.1/24\\"", ${aPrefix}` },
  { text: `FLANNEL_SUBNET=10.1.17.1\n`, msg: `${path}: FLANNEL_SUBNET is "10.1.17.1", ${aPrefix}` },
  {
    text: `FLANNEL_NETWORK=10.1.0.0/16,\n`,
    msg: `${path}: FLANNEL_NETWORK is "10.1.0.0/16,", ${aPrefix}, or several with commas between`,
  },
];
for (const { text, msg } of refused) {
  t.test(`the plugin refuses ${JSON.stringify(text)}`, async (t) => {
    t.throws(() => parseSubnetEnv(text, path), {
      code: 6,
      msg,
      details: "To fix: restart flanneld, which writes it again, and check that nothing else writes the file",
    });
  });
}
