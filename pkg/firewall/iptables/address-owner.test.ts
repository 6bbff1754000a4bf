import t from "tap";
import type { AttachmentId } from "../../cni/attachment-id.ts";
import { ownerComment } from "../upstream-names.ts";
import {
  departureOf,
  goes,
  type OwnerRule,
  ownerRule,
  ownerRulesIn,
  type Removal,
  sourceOf,
  staleOf,
} from "./address-owner.ts";
import { canonicalRule, parseRuleLine } from "./canonical.ts";
import type { FoundRule, View } from "./ruleset.ts";
import { prefix } from "./samples.testing.ts";

const chain = { family: "ip", table: "nat", chain: "CNI-x" } as const;
const owner = (ifName: string, containerId = "3f2a", network = "net"): AttachmentId => ({
  network,
  containerId,
  ifName,
});
const line = (words: string): FoundRule => ({ chain, canonicalForm: parseRuleLine(words), id: words });

const ownerRules = (...of: [AttachmentId, string][]): OwnerRule[] => {
  const rules = of.map(([owner, address]): FoundRule => {
    return { chain, canonicalForm: canonicalRule("ip", ownerRule(owner, prefix(address).address)), id: "" };
  });
  const view: View = {
    present: () => [true],
    rules: () => rules,
    rulesByKey: () => [],
    jumps: () => [],
    chains: () => [],
  };
  return ownerRulesIn(view, chain);
};

t.test("an owner rule tells address and owner", async (t) => {
  const [found] = ownerRules([owner("net1"), "10.1.0.2/24"]);
  t.match(found, { source: "10.1.0.2", comment: 'name: "net" id: "3f2a" if: "net1"' });
  const long = owner("net1", "c".repeat(64), "n".repeat(180));
  t.match(ownerComment(long), /^[0-9a-f]{16}-[0-9a-f]{16} if: "net1"$/, "hashes where the names do not fit");
  t.equal(ownerRules([long, "10.1.0.2/24"])[0]?.comment, ownerComment(long));
});

t.test("a rule is about one address, a network, or everything", async (t) => {
  t.equal(sourceOf(line("-s 10.1.0.2/32 -j CNI-x")), "10.1.0.2");
  t.equal(sourceOf(line("-s 10.1.0.0/16 -j CNI-x")), "10.1.0.0/16");
  t.equal(sourceOf(line("-s fd00::2/128 -j CNI-x")), "fd00::2");
  t.equal(sourceOf(line("-j CNI-x")), "");
});

t.test("who goes from a shared chain", async (t) => {
  const owners = ownerRules([owner("net1"), "10.1.0.2/24"], [owner("net2"), "10.1.0.3/24"]);
  const told = [prefix("10.1.0.3/24")];
  const cases: [claim: string, departure: Removal, source: string, owners: OwnerRule[], expected: boolean][] = [
    ["its own", departureOf(owner("net2"), []), "10.1.0.3", owners, true],
    ["another interface's", departureOf(owner("net2"), []), "10.1.0.2", owners, false],
    ["another interface's, whatever the result tells", departureOf(owner("net1"), told), "10.1.0.3", owners, false],
    ["nobody's, beside its own", departureOf(owner("net2"), []), "10.1.0.9", owners, false],
    ["nobody's that the result tells", departureOf(owner("net2"), told), "10.1.0.3", [], true],
    ["nobody's whose network the result tells", departureOf(owner("net2"), told), "10.1.0.0/24", [], true],
    ["nobody's that the result does not tell", departureOf(owner("net2"), told), "10.1.0.2", [], false],
    ["nobody's of a family that the result does not have", departureOf(owner("net2"), told), "fd00::2", [], true],
    ["nobody's, without a result", departureOf(owner("net2"), []), "10.1.0.2", [], true],
    ["not valid", staleOf("net", [owner("net1")], () => false), "10.1.0.3", owners, true],
    ["valid", staleOf("net", [owner("net1")], () => false), "10.1.0.2", owners, false],
    ["another network's", staleOf("ne", [], () => false), "10.1.0.2", owners, false],
  ];
  for (const [claim, departure, source, owners, expected] of cases)
    t.equal(goes(source, owners, departure), expected, claim);
});

t.test("names that are the same when joined are not one owner", async (t) => {
  const owners = ownerRules([owner("eth0", "bc", "a"), "10.1.0.2/24"], [owner("eth0", "c", "ab"), "10.1.0.2/24"]);
  const departure = departureOf(owner("eth0", "bc", "a"), []);
  t.equal(goes("10.1.0.2", owners, departure, 'name: "a" id: "bc"'), true);
  t.equal(goes("10.1.0.2", owners, departure, 'name: "ab" id: "c"'), false);
});
