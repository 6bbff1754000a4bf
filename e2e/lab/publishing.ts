// Where ports are published: a host with two addresses, containers behind a bridge, a client outside.
import { spawn } from "node:child_process";
import { type Host, newHost, type Outcome, type Verb } from "./host.ts";

export type Backend = "iptables" | "nftables";
export const backends: readonly Backend[] = ["iptables", "nftables"];

export interface Mapping {
  hostPort: number;
  containerPort: number;
  protocol?: string;
  hostIP?: string;
}

export const HOST = "192.0.2.1";
export const HOST2 = "192.0.2.2";
export const HOST6 = "2001:db8::1";
export const CLIENT = "192.0.2.9";

/** Always from the same port, again and again; ends with the answer, with a refusal, or after some seconds without either. */
export const askByUdp = `
  const socket = require("node:dgram").createSocket("udp4");
  const [address, port] = process.argv.slice(1);
  const end = (answer) => { process.stdout.write(String(answer).trim()); process.exit(); };
  socket.on("message", end);
  socket.on("error", () => end(""));
  socket.bind(5555, () => socket.connect(Number(port), address, () => setInterval(() => socket.send("?"), 100)));
  setTimeout(end, 5000, "");`;

/** A host with two addresses, containers behind a bridge, and as its last "container" a client outside. */
export class Site {
  readonly node: Host;
  readonly backend: Backend;
  readonly #results = new Map<number, unknown>();

  constructor(test: Parameters<typeof newHost>[0], backend: Backend, containers = 1) {
    this.backend = backend;
    this.node = newHost(test, { containers: containers + 1 });
    const client = this.client;
    this.node.sh(`
      ip link add up0 type veth peer name eth0 netns ${client.name}
      ip addr add ${HOST}/24 dev up0; ip addr add ${HOST2}/24 dev up0; ip addr add ${HOST6}/64 dev up0 nodad; ip link set up0 up`);
    client.sh(
      `ip addr add ${CLIENT}/24 dev eth0; ip addr add 2001:db8::9/64 dev eth0 nodad; ip link set eth0 up; ip link set lo up`,
    );
  }

  get client() {
    return this.node.containers.at(-1) as Host["containers"][number];
  }

  conf(mappings: readonly Mapping[] | undefined, keys: object = {}) {
    const portMappings = mappings?.map((mapping) => ({ protocol: "tcp", ...mapping }));
    const base = { cniVersion: "1.1.0", name: "net", type: "portmap", backend: this.backend };
    return { ...base, ...(portMappings && { runtimeConfig: { portMappings } }), ...keys };
  }

  /** The container's interface, by bridge. */
  attach(container = 0): unknown {
    const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] };
    const keys = {
      cniVersion: "1.1.0",
      name: "net",
      type: "bridge",
      bridge: "br0",
      isDefaultGateway: true,
      ipMasq: true,
      hairpinMode: true,
    };
    const { status, stdout } = this.node.cni(
      "bridge",
      "ADD",
      { ...keys, ipMasqBackend: this.backend, ipam },
      { container },
    );
    if (status !== 0) throw new Error(JSON.stringify(stdout));
    this.#results.set(container, stdout);
    return stdout;
  }

  result(container: number): unknown {
    return this.#results.get(container);
  }

  call(
    verb: Verb,
    mappings: readonly Mapping[] | undefined,
    keys: object = {},
    call: Parameters<Host["cni"]>[3] = {},
  ): Outcome {
    const prevResult = this.#results.get(call.container ?? 0) ?? this.attach(call.container);
    return this.node.cni("portmap", verb, this.conf(mappings, { prevResult, ...keys }), call);
  }

  /** Answers each connection with the address that it seems to come from. */
  serve(port: number, container = 0): void {
    const name = this.node.containers[container]?.name ?? "";
    for (const listen of [`TCP4-LISTEN:${port}`, `TCP6-LISTEN:${port},ipv6only=1`]) {
      const socat = ["socat", `${listen},fork,reuseaddr`, `SYSTEM:echo c${container} $SOCAT_PEERADDR`];
      spawn("ip", ["netns", "exec", name, ...socat], { stdio: "ignore" });
      this.#wait(name, `ss -Hltn${listen[3]} sport = :${port}`);
    }
  }

  serveUdp(port: number, container: number): void {
    const name = this.node.containers[container]?.name ?? "";
    spawn("ip", ["netns", "exec", name, "socat", `UDP4-RECVFROM:${port},fork`, `SYSTEM:echo c${container}`], {
      stdio: "ignore",
    });
    this.#wait(name, `ss -Hlun sport = :${port}`);
  }

  #wait(name: string, look: string): void {
    const inside = this.node.containers.find((one) => one.name === name);
    const deadline = Date.now() + 10_000;
    while (inside?.sh(look) === "") if (Date.now() > deadline) throw new Error(`nobody listens: ${look}`);
  }

  /** What is answered: "c0 10.1.0.1", or "" for nothing. */
  ask(from: Pick<Host, "run">, address: string, port: number, patienceS = 8): string {
    const target = address.includes(":") ? `TCP6:[${address}]:${port}` : `TCP4:${address}:${port}`;
    const { stdout } = from.run("socat", "-u", `-T${patienceS}`, `${target},connect-timeout=${patienceS}`, "-");
    return stdout.trim().replace(/\[(.*)\]/, (_, address) => new URL(`http://[${address}]`).hostname.slice(1, -1));
  }

  /** All rules and elements that are about ports of the host. */
  published(): string[] {
    const lines = this.node.sh("nft -s list ruleset").split("\n");
    return lines
      .filter((line) => /dnat (ip6? )?to (?!.*@)|CNI-DN-|comment "id:|hostports-[0-9a-f]/.test(line))
      .map((line) => line.trim());
  }
}
