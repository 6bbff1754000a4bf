// What iptables' rules mean for a packet, as far as it is known.
import t from "tap";
import { NF_CT_STATE_NEW } from "../../netlink/nftables/expression/ct.ts";
import { evaluatePart, evaluateSave } from "./iptables-words.ts";
import type { Certainty, Packet } from "./packet.ts";
import { outcomesOf } from "./traversal.ts";

const packet: Packet = {
  family: "ip",
  inInterface: { name: "eth0", index: 2 },
  source: Uint8Array.of(192, 0, 2, 2),
  destination: Uint8Array.of(192, 0, 2, 1),
  destinationPort: 8472,
  state: NF_CT_STATE_NEW,
};

const parts: Record<Certainty, readonly string[]> = {
  yes: [
    ...["-i eth0", "-i eth+", "! -i lo", "-p udp", "! -p tcp", "-s 192.0.2.0/24", "! -s 10.0.0.0/8", "-d 192.0.2.1"],
    ...["-m udp --dport 8472", "-m udp --dport 8000:9000", "-m udp --dport 1:", "-m multiport --dports 53,8000:9000"],
    ...["-m conntrack --ctstate NEW", "-m state --state NEW,RELATED", "-m conntrack ! --ctstate INVALID,DNAT"],
    ...["-m addrtype --dst-type LOCAL", '-m comment --comment "! -p udp"'],
  ],
  no: [
    ...["-i lo", "-p tcp", "-s 10.0.0.0/8", "-d 192.0.2.3", "-m udp --dport 53", "-m udp ! --dport 8472"],
    ...["-m multiport --dports 53,123", "-m conntrack --ctstate RELATED,ESTABLISHED", "-m conntrack --ctstate DNAT"],
    ...["-m tcp --dport 8472", "-m addrtype --dst-type BROADCAST", "-m udp --dport 8472 ! --dport 8472"],
  ],
  unknown: [
    ...["-m udp --sport 53", "-m mark --mark 0x1", "-m set --match-set peers src", "-m limit --limit 3/min", "-f"],
    ...["-m conntrack --ctstate NEW --ctorigdstport 1", "-m conntrack --ctstate SOMEDAY", "-m recent --update"],
  ],
};
for (const [certainty, texts] of Object.entries(parts)) {
  for (const text of texts)
    t.test(`${text}: ${certainty}`, async (t) => t.equal(evaluatePart(text, packet), certainty));
}

t.test("a source that is not known is not compared", async (t) => {
  t.equal(evaluatePart("-s 10.0.0.0/8", { ...packet, source: undefined }), "unknown");
});

t.test("any traffic is of no protocol that is known", async (t) => {
  const any = { ...packet, destinationPort: undefined };
  for (const text of ["-p tcp", "-p udp", "! -p tcp", "-m tcp --dport 80", "-m tcp --sport 80", "-m udp --dport 53"])
    t.equal(evaluatePart(text, any), "unknown", text);
  t.equal(evaluatePart("-p all", any), "yes");
});

const outcomes = (lines: readonly string[], policy: "accept" | "drop" = "drop") => {
  const chains = [...new Set(["INPUT", ...lines.map((line) => line.split(" ")[1] ?? "")])];
  const printed = ["*filter", ...chains.map((chain) => `:${chain} - [0:0]`), ...lines, "COMMIT"].join("\n");
  const { canBeAccepted, canBeDropped } = outcomesOf(
    evaluateSave(printed)(packet),
    { name: "INPUT", policy },
    new Set(),
  );
  return { canBeAccepted, canBeDropped };
};
const accepted = { canBeAccepted: true, canBeDropped: false };
const dropped = { canBeAccepted: false, canBeDropped: true };
const either = { canBeAccepted: true, canBeDropped: true };

for (const { title, lines, policy, becomes } of [
  { title: "the policy decides at the end", lines: ["-A INPUT -i lo -j DROP"], policy: "accept", becomes: accepted },
  { title: "the first verdict counts", lines: ["-A INPUT -p udp -j REJECT", "-A INPUT -j ACCEPT"], becomes: dropped },
  {
    title: "a condition that is not known leaves both",
    lines: ["-A INPUT -m recent --update -j ACCEPT"],
    becomes: either,
  },
  { title: "a target that is not known may accept", lines: ["-A INPUT -j NFQUEUE --queue-num 0"], becomes: either },
  { title: "a log changes nothing", lines: ["-A INPUT -j LOG --log-prefix x"], becomes: dropped },
  {
    title: "a chain that is jumped to comes back",
    lines: ["-A INPUT -j OWN", "-A INPUT -j ACCEPT", "-A OWN -j RETURN", "-A OWN -j DROP"],
    becomes: accepted,
  },
  {
    title: "a chain that is gone to does not",
    lines: ["-A INPUT -g OWN", "-A INPUT -j ACCEPT", "-A OWN -j RETURN"],
    becomes: dropped,
  },
  {
    title: "a chain that comes back for some packets only",
    lines: ["-A INPUT -j OWN", "-A INPUT -j DROP", "-A OWN -m mark --mark 0x1 -j ACCEPT"],
    becomes: either,
  },
] as const) {
  t.test(title, async (t) => t.strictSame(outcomes(lines, policy), becomes));
}
