import t from "tap";
import { formatAddress, parseAddress } from "../ip/address.ts";
import { CLASS_IN, Rcode, Type } from "./message.ts";
import { readName } from "./name.ts";
import { answerFrom, type NamedAttachment, namesOfNetworks, viewOf } from "./records.ts";

const attachment = (
  network: string,
  container: string,
  addresses: string,
  more: Partial<NamedAttachment> = {},
): NamedAttachment => ({
  network: `id-${network}`,
  networkName: network,
  isInternal: false,
  container: `id-${container}`,
  name: container,
  aliases: [],
  links: [],
  addresses: addresses.split(" ").map((text) => parseAddress(text) ?? new Uint8Array(0)),
  ...more,
});

const attachments = [
  attachment("front", "web", "172.18.0.2", { aliases: ["www", "pool"], links: [{ alias: "dbalias", target: "db" }] }),
  attachment("front", "db", "172.18.0.3 fd00::3", { aliases: ["Pool"] }),
  attachment("back", "db", "172.19.0.3"),
  attachment("back", "secret", "172.19.0.4"),
  attachment("closed", "vault", "172.20.0.2", { isInternal: true }),
  attachment("n1", "pod", "10.10.1.2", { domain: "DNS.podman", aliases: ["p"] }),
];
const networks = namesOfNetworks(attachments);
const view = (container: string) =>
  viewOf(
    attachments.filter(({ name }) => name === container),
    networks,
  );
const asListed = <T>(list: T[]) => list;

/** What a container is told: addresses, a name, a response code, or "forward". */
function told(container: string, name: string, type: number = Type.A, shuffle = asListed): string {
  const answer = answerFrom(view(container), { name, type, class: CLASS_IN }, networks, shuffle);
  if (answer === "forward") return answer;
  if (answer.rcode !== Rcode.noError) return answer.rcode === Rcode.nameError ? "NXDOMAIN" : `rcode ${answer.rcode}`;
  return answer.records
    .map(({ type, data }) => (type === Type.PTR ? (readName(data, 0)?.name ?? "?") : formatAddress(data)))
    .join(" ");
}

t.test("names, aliases, links and the network's name", async (t) => {
  t.equal(told("web", "db"), "172.18.0.3");
  t.equal(told("web", "db", Type.AAAA), "fd00::3");
  t.equal(told("web", "db", Type.ANY), "172.18.0.3 fd00::3");
  t.equal(told("web", "web"), "172.18.0.2", "its own");
  t.equal(told("web", "www.front"), "172.18.0.2");
  t.equal(told("web", "pool"), "172.18.0.2 172.18.0.3", "of two containers");
  t.equal(told("web", "dbalias"), "172.18.0.3", "a link");
  t.equal(told("db", "dbalias"), "forward", "which others do not have");
});

t.test("a domain takes the place of the network's name, and what is in it and nobody's does not exist", async (t) => {
  t.equal(told("pod", "pod"), "10.10.1.2");
  t.equal(told("pod", "p.dns.podman"), "10.10.1.2");
  t.equal(told("pod", "pod.n1"), "forward");
  t.equal(told("pod", "nobody.dns.podman"), "NXDOMAIN");
  t.equal(told("pod", "dns.podman"), "NXDOMAIN");
  t.equal(told("pod", "nobodydns.podman"), "forward");
  t.equal(told("pod", "2.1.10.10.in-addr.arpa", Type.PTR), "pod.dns.podman");
  t.equal(told("web", "pod.dns.podman"), "NXDOMAIN", "another network's");
});

t.test("a network whose domain was changed answers both, and knows what is in neither", async (t) => {
  const changed = [
    attachment("before", "old", "10.10.1.2", { domain: "old.example" }),
    attachment("after", "new", "10.10.1.3", { domain: "new.example" }),
  ];
  const all = namesOfNetworks(changed);
  const answer = (name: string) =>
    answerFrom(viewOf(changed, all), { name, type: Type.A, class: CLASS_IN }, all, asListed);
  for (const name of ["old", "new", "old.old.example", "new.new.example"])
    t.match(answer(name), { rcode: Rcode.noError, records: [{ type: Type.A }] }, name);
  for (const name of ["new.old.example", "nobody.new.example"]) t.match(answer(name), { rcode: Rcode.nameError }, name);
  t.equal(answer("example.org"), "forward");
});

t.test("an empty alias is no name, of nobody", async (t) => {
  const attachments = [
    attachment("front", "web", "172.18.0.2"),
    attachment("back", "db", "172.19.0.2", { aliases: [""] }),
  ];
  const all = namesOfNetworks(attachments);
  const answer = (view: NamedAttachment[], name: string) =>
    answerFrom(viewOf(view, all), { name, type: Type.A, class: CLASS_IN }, all, asListed);
  t.equal(answer(attachments.slice(0, 1), "example.org"), "forward", "elsewhere");
  t.equal(answer(attachments.slice(1), ""), "forward", "the root");
});

t.test("a known name without such a record has an answer without records", async (t) => {
  t.equal(told("web", "web", Type.AAAA), "");
  t.equal(told("web", "web", Type.MX), "");
});

t.test("a container in two networks sees both, the first in the alphabet first", async (t) => {
  t.equal(told("db", "secret"), "172.19.0.4");
  t.equal(told("db", "db"), "172.19.0.3");
  t.equal(told("db", "db.front"), "172.18.0.3");
});

t.test("names of other networks are not answered, nor asked elsewhere", async (t) => {
  for (const name of ["secret", "secret.back", "vault", "vault.closed"]) t.equal(told("web", name), "NXDOMAIN", name);
  t.equal(told("web", "secret.example"), "forward");
  t.equal(told("web", "example.back"), "forward", "which is no container");
});

t.test("reverse names", async (t) => {
  t.equal(told("web", "3.0.18.172.in-addr.arpa", Type.PTR), "db.front");
  t.equal(told("web", "3.0.18.172.in-addr.arpa", Type.A), "");
  t.equal(told("web", "3.0.19.172.in-addr.arpa", Type.PTR), "forward", "of another network");
  t.equal(told("web", "1.2.0.192.in-addr.arpa", Type.PTR), "forward");
});

t.test("in an internal network nothing is asked elsewhere", async (t) => {
  t.equal(told("vault", "vault"), "172.20.0.2");
  t.equal(told("vault", "example.org"), `rcode ${Rcode.serverFailure}`);
  t.equal(told("vault", "1.2.0.192.in-addr.arpa", Type.PTR), `rcode ${Rcode.serverFailure}`);
});

t.test("addresses are given to be shuffled", async (t) => {
  t.equal(
    told("web", "pool", Type.A, (list) => list.reverse()),
    "172.18.0.3 172.18.0.2",
  );
});

t.test("other classes are refused", async (t) => {
  const answer = answerFrom(view("web"), { name: "version.bind", type: 16, class: 3 }, networks, asListed);
  t.match(answer, { rcode: Rcode.refused });
});
