// The tutorials' commands, given to Debian's Docker and to twill: what both show is the same.
import { spawnSync } from "node:child_process";
import t from "tap";
import { inLongRunOnly, type Need, needsRoot } from "../lab/needs.ts";
import "../lab/search-path.ts";
import { newSide } from "./side.ts";

const needsDocker: Need =
  spawnSync("sh", ["-c", "command -v dockerd"]).status === 0
    ? inLongRunOnly(needsRoot)
    : { skip: "runs in npm run test:long" };

/** Serves a word at an address of the container "site" alone: who gets it was led to that network. */
const serving = (word: string, address: string): string =>
  `within site sh -c 'mkdir -p /tmp/${word}; echo ${word} > /tmp/${word}/index.html; busybox httpd -p ${address}:80 -h /tmp/${word}' < /dev/null > /dev/null 2>&1`;

const shownAt = (port: number): string =>
  `printf 'GET / HTTP/1.0\r\n\r\n' | busybox nc -w 5 127.0.0.1 ${port} | tail -n 1`;

/** What is typed, in this order, and what Docker is known to show where a mistake of both would not be seen otherwise. */
const steps: readonly [claim: string, script: string, shown?: RegExp][] = [
  [
    "three networks are there from the start",
    "tool network ls --format '{{.Name}} {{.Driver}} {{.Scope}}' | sort",
    /^bridge bridge local\nhost host local\nnone null local$/,
  ],
  ["create prints the ID", "tool network create --subnet 10.5.0.0/24 --gateway 10.5.0.254 front", /^ID$/],
  [
    "inspect shows subnet and gateway",
    "tool network inspect --format '{{.Name}} {{.Driver}} {{.Internal}} {{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}' front",
    /^front bridge false 10\.5\.0\.0\/24 10\.5\.0\.254$/,
  ],
  ["ls filters by name", "tool network ls --filter name=front --format '{{.Name}}'", /^front$/],
  [
    "ls prints labels, in columns too, by Docker's functions",
    `tool network create --label com.example.tier_a=db --label plain --attachable=true --scope local labelled
     tool network ls -f name=^lab --format '{{.Name}}: {{.Label "com.example.tier_a"}}{{.Label "no"}} {{upper .Driver}} {{title .Scope}} {{join (split .Scope "c") "-"}} {{pad .Name 1 2}}| {{truncate .Driver 3}}{{println ""}}'
     tool network ls -f name=^lab --format 'table {{.Name}}  {{.Label "com.example.tier_a"}}  {{upper .Driver}}  {{lower .Internal}}'`,
    /^ID\nlabelled: db BRIDGE Local lo-al {2}labelled {2}\| bri\n\nNAME {2}tier a {2}DRIVER {2}INTERNAL\nlabelled {2}db {2}BRIDGE {2}false$/,
  ],
  [
    "with --quiet a format counts, unless it is table",
    "tool network ls -q -f name=^lab --format '{{.Name}}'; tool network ls -q -f name=^lab --format table | wc -c; tool network ls -f name=^lab --format raw | grep -v _id",
    /^labelled\n13\nname: labelled\ndriver: bridge\nscope: local$/,
  ],
  [
    "names and IDs are filtered by regular expressions, and predefined networks are not dangling",
    "tool network create --subnet 10.77.0.0/24 lab10; tool network create lab9; for f in 'name=^lab(9|10)$' name=.abelled dangling=true dangling=false; do tool network ls -f $f --format '{{.Name}}'; echo; done",
    /^ID\nID\nlab9\nlab10\n\nlabelled\n\nfront\nlab9\nlab10\nlabelled\n\nbridge\nhost\nnone$/,
  ],
  [
    "inspect prints Docker's keys, and several networks",
    `tool network inspect lab10 labelled --format '{{.Name}} {{.Attachable}} {{.Ingress}} {{.ConfigOnly}} [{{.ConfigFrom.Network}}] {{.EnableIPv6}} {{.IPAM.Driver}} {{json .Labels}} {{range .IPAM.Config -}} {{.Subnet}} {{- end}}' | sed 's/172.*//'`,
    /^lab10 false false false \[\] false default \{\} 10\.77\.0\.0\/24\nlabelled true false false \[\] false default \{"com\.example/,
  ],
  [
    "rm removes several networks, and tells which are not there",
    "tool network rm lab9 nosuch $(tool network ls --no-trunc -q -f name=lab10) labelled 2>/dev/null || echo $?",
    /^lab9\nID\nlabelled\n1$/,
  ],
  [
    "rm --force passes over networks that do not exist",
    "tool network create --subnet 10.78.0.0/24 spare; tool network rm -f nosuch spare; tool network rm --force spare; tool network ls -q -f name=spare",
    /^ID\nspare$/,
  ],
  [
    "containers get the first addresses",
    "start web front; start db front; for c in web db; do within $c ip -o -4 address show eth0 | awk '{print $4}'; done",
    /^10\.5\.0\.1\/24\n10\.5\.0\.2\/24$/,
  ],
  [
    "the gateway has the default route",
    "within web ip route | grep default | head -n 1",
    /^default via 10\.5\.0\.254 dev eth0$/,
  ],
  ["a container is reached by name", "within web ping -c 1 -w 5 db | grep -o '. packets received'", /^1 /],
  ["by name and network as well", "within db ping -c 1 -w 5 web.front | grep -o '. packets received'", /^1 /],
  ["the host is reached", "within web ping -c 1 -w 5 10.5.0.254 | grep -o '. packets received'", /^1 /],
  [
    "connect gives a second interface, with the address asked for",
    "tool network create --subnet 10.6.0.0/24 back; tool network connect --ip 10.6.0.9 --alias www back web; within web ip -o -4 address show eth1 | awk '{print $4}'",
    /^ID\n10\.6\.0\.9\/24$/,
  ],
  [
    "which is not the way out, by its name",
    "within web ip route | grep default | head -n 1",
    /^default via 10\.6\.0\.1 dev eth1$/,
  ],
  [
    "inspect shows who is in a network",
    "tool network inspect --format '{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}' back",
    /^web 10\.6\.0\.9\/24$/,
  ],
  [
    "an alias is answered in its network",
    "start cache back; within cache ping -c 1 -w 5 www | grep -o '. packets received'",
    /^1 /,
  ],
  ["and not in another", "within db ping -c 1 -w 5 www 2>&1 || true", /bad address 'www'/],
  ["networks do not reach each other", "within cache ping -c 1 -w 1 10.5.0.2 | grep -o '. packets received'", /^0 /],
  [
    "a name that is taken is refused",
    "tool network create front 2>&1 | grep -o 'network with name front already exists'",
    /exists$/,
  ],
  [
    "so is a subnet that overlaps another network's",
    "tool network create --subnet 10.5.0.0/25 third 2>&1 | grep -o 'Pool overlaps with other one on this address space'",
    /space$/,
  ],
  [
    "a network in use is not removed",
    "tool network rm back 2>&1 | grep -o 'network back id .* has active endpoints'",
    /^network back id ID has active endpoints$/,
  ],
  [
    "nor one that is predefined",
    "tool network rm bridge 2>&1 | grep -o 'bridge is a pre-defined network and cannot be removed'",
    /removed$/,
  ],
  [
    "of a network that is not there, inspect shows an empty list",
    "tool network inspect other 2>/dev/null || true",
    /^\[\]$/,
  ],
  [
    "a container that is connected is not connected again",
    "tool network connect back web 2>&1 | grep -o 'endpoint with name web already exists in network back'",
    /back$/,
  ],
  [
    "disconnect takes the interface, and gives the default route back",
    "tool network disconnect back web; within web ip -o link show | grep -c eth1 || true; within web ip route | grep default | head -n 1",
    /^0\ndefault via 10\.5\.0\.254 dev eth0$/,
  ],
  [
    "a further address of the link is added to the container's interface",
    "tool network connect --link-local-ip 169.254.7.7 back web; within web ip -o -4 address show | grep -o 'inet 169[^ ]*'; tool network disconnect back web",
    /^inet 169\.254\.7\.7\/16$/,
  ],
  [
    "a text that is none is refused",
    "tool network connect --link-local-ip x back web 2>&1 | grep -o 'Invalid link-local IP address'",
    /s$/,
  ],
  [
    "published ports lead to the network that they were asked for with",
    `tool network create --subnet 10.8.0.0/24 mid; tool network create --subnet 10.9.0.0/24 zeta; tool network create --subnet 10.10.0.0/24 alpha; tool network create --internal --subnet 10.11.0.0/24 aaa
     publish site mid 8080:80; ${serving("mid", "10.8.0.2")}; ${shownAt(8080)}`,
    /mid$/,
  ],
  ["and stay where the default route stays", `tool network connect zeta site; ${shownAt(8080)}`, /^mid$/],
  [
    "they follow the default route to the network whose name sorts first",
    `tool network connect alpha site; ${serving("alpha", "10.10.0.2")}; ${shownAt(8080)}`,
    /^alpha$/,
  ],
  ["not to an internal one", `tool network connect aaa site; ${shownAt(8080)}`, /^alpha$/],
  ["back when that network is disconnected", `tool network disconnect alpha site; ${shownAt(8080)}`, /^mid$/],
  [
    "and on when the network is that they were asked for with",
    `${serving("zeta", "10.9.0.2")}; tool network disconnect mid site; ${shownAt(8080)}; tool network rm alpha mid`,
    /^zeta\nalpha\nmid$/,
  ],
  [
    "when the containers are gone, networks can be removed, with their bridges: those of site stay",
    "for c in web db cache; do end $c; done; tool network rm front back; ip -br link show type bridge | grep -c ^br- || true",
    /^front\nback\n2$/,
  ],
];

t.test("the tutorials' commands show the same with Docker and with twill", needsDocker, async (t) => {
  const [docker, twill] = await Promise.all([newSide(t, "docker"), newSide(t, "twill")]);
  for (const [claim, script, shown] of steps) {
    const [theirs, ours] = await Promise.all([docker, twill].map((side) => side.shows(script)));
    t.equal(ours, theirs, claim);
    if (shown !== undefined) t.match(theirs, shown, `${claim}: Docker`);
  }
});
