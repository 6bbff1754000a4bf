// A port for a server that a test starts. The kernel's own choice (bind to 0) is from the range that outgoing connections take theirs from: another
// test's connection may have it before the server binds it, and then etcd ends with "address already in use".
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";

const LOWEST = 10_000;
const TRIES = 100;

/** Returns a TCP port of an address where nothing listens, outside the range that outgoing connections take theirs from. */
export async function freePort(address = "127.0.0.1"): Promise<number> {
  const [firstEphemeral = 32_768] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8")
    .split("\t")
    .map(Number);
  for (let i = 0; i < TRIES; i++) {
    const port = LOWEST + Math.floor(Math.random() * (firstEphemeral - LOWEST));
    if (await isFree(address, port)) return port;
  }
  throw new Error(`no free port at ${address} from ${LOWEST} to ${firstEphemeral - 1} in ${TRIES} tries`);
}

async function isFree(address: string, port: number): Promise<boolean> {
  const server = createServer().listen(port, address);
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
