// What `twill network inspect --picture` and `--svg` draw, held against ip and read by Python's parser of XML.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import t from "tap";
import { newHost } from "./lab/host.ts";
import { needsKernel } from "./lab/needs.ts";
import { ourBin, ourTools } from "./lab/project.ts";

const path = { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d" };

/** The resolver has its socket in a folder of the host. */
const ownRun = 'mkdir -p /run/twill /var/lib/run && mount --bind /var/lib/run /run/twill && exec "$0" "$@"';

/** Prints the texts of an SVG. */
const texts = `
import sys, xml.etree.ElementTree as tree
print("\\n".join(one.text or "" for one in tree.parse(sys.argv[1]).iter("{http://www.w3.org/2000/svg}text")))`;

t.test("a network is drawn as ip sees it, with whose each attachment is", needsKernel("vxlan"), async (t) => {
  const node = newHost(t, { containers: 2 });
  const [web = node, pod = node] = node.containers;
  const says = (environment: Record<string, string>, tool: string, ...args: readonly string[]) => {
    const ran = node.runInside(["sh", "-c", ownRun, join(ourTools, tool), ...args], { ...path, ...environment });
    t.equal(ran.status, 0, `${args.join(" ")} ${ran.stderr}`);
    return ran.stdout;
  };
  node.sh(
    "ip link add up0 type veth peer name up1 && ip addr add 192.0.2.9/24 dev up0 && ip link set up0 up && ip link set up1 up && ip route add default via 192.0.2.1",
  );
  says({}, "twill", "network", "create", "--subnet", "10.5.0.0/24", "-o", "bridge.name=br-front", "front");
  says({}, "twill", "network", "connect", "--alias", "www", "front", web.name);
  says(
    {
      CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=cart",
      CAP_ARGS: JSON.stringify({ portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] }),
    },
    "cnitool",
    ...["add", "front", pod.path],
  );
  node.sh("ip link add vx0 type vxlan id 77 dstport 4789 dev up0 && ip link set vx0 master br-front");

  const picture = says({}, "twill", "network", "inspect", "--picture", "--svg", "/var/lib/front.svg", "front");
  const index = (link: string) => node.sh(`cat /sys/class/net/${link}/ifindex`).trim();
  t.match(picture, /^front: bridge, 10\.5\.0\.0\/24\n\ncontainers {2}/);
  for (const text of [
    web.name,
    "cart",
    "pod shop/cart",
    "10.5.0.2/24",
    "10.5.0.3/24",
    "alias www",
    "0.0.0.0:8080 -> 80/tcp",
  ])
    t.match(picture, text);
  for (const line of node
    .sh("bridge -o link show master br-front")
    .split("\n")
    .filter((one) => one.includes("veth"))) {
    const [, number, name] = /^(\d+): (\w+)/.exec(line) ?? [];
    t.match(picture, `${name} #${number}`);
  }
  t.match(picture, `--+-- br-front #${index("br-front")}  10.5.0.1/24  VNI 77\n`);
  t.match(picture, `:  routed, masquerade\n            up0 #${index("up0")}  192.0.2.9/24\n`);
  const inspected: object[] = Object.values(JSON.parse(says({}, "twill", "network", "inspect", "front"))[0].Containers);
  t.match(
    inspected.find((one) => "Pod" in one),
    { Name: "cart", Pod: "shop/cart", VNI: 77 },
  );
  const shown = execFileSync("python3", ["-c", texts, join(node.varLib, "front.svg")], { encoding: "utf8" }).split(
    "\n",
  );
  for (const text of [
    web.name,
    "cart",
    "pod shop/cart",
    "10.5.0.3/24",
    `br-front #${index("br-front")}  10.5.0.1/24  VNI 77`,
  ])
    t.ok(shown.includes(text), text);

  t.match(says({}, "twill", "network", "inspect", "--picture", "bridge"), "twill0  (made with the first container)");
  node.sh("ip link del vx0");
  web.sh("ip link del eth0");
  t.match(
    says({}, "twill", "network", "inspect", "--picture", "front"),
    / {12}-{5,}\+-- br-front|^ {12}--\+-- br-front/m,
  );
});
