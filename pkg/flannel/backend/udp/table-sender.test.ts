import t from "tap";
import type { PeerSubnet, Request } from "../../udp-data-path/protocol.ts";
import { createTableSender } from "./table-sender.ts";

const row = (subnet: string, n: number): PeerSubnet => ({ subnet, address: `192.0.2.${n}`, port: 8285 });
const [one, two, moved] = [row("10.1.1.0/24", 1), row("10.1.2.0/24", 2), row("10.1.2.0/24", 22)];
const tableOf = (...peers: PeerSubnet[]) => ({ peers, own: "10.1.9.0/24", until: 1000 });

/** A process that remembers what it was told, and can be changed by somebody else. */
function newProcess() {
  const told: Request[] = [];
  let changes = 0;
  return {
    told: () => told.splice(0),
    changeByOther: () => changes++,
    refuse: false,
    async tell(request: Request) {
      if (this.refuse) throw new Error("refused");
      told.push(request);
      if ("peers" in request || "change" in request) changes++;
      return changes;
    },
  };
}

t.test("a process gets the whole table once, and then what differs", async (t) => {
  const sender = createTableSender();
  const process = newProcess();
  await sender.send(process, tableOf(one, two));
  t.strictSame(process.told(), [tableOf(one, two)]);
  await sender.send(process, tableOf(one, two));
  t.strictSame(process.told(), [{ until: 1000 }]);
  await sender.send(process, tableOf(moved));
  t.strictSame(process.told(), [{ until: 1000 }, { change: { set: [moved], remove: ["10.1.1.0/24"] } }]);
  await sender.change(process, [one], []);
  t.strictSame(process.told(), [{ change: { set: [one], remove: [] } }]);
  await sender.send(process, tableOf(moved, one));
  t.strictSame(process.told(), [{ until: 1000 }], "a change is known");
});

t.test("the whole table goes to who may not have it", async (t) => {
  const table = tableOf(one, two);
  const cases: [
    what: string,
    after: (process: ReturnType<typeof newProcess>, sender: ReturnType<typeof createTableSender>) => unknown,
  ][] = [
    ["somebody else has changed it", (process) => process.changeByOther()],
    [
      "somebody else changed it before a change of ours",
      async (process, sender) => {
        process.changeByOther();
        await sender.change(process, [two], []);
      },
    ],
    [
      "a change was refused",
      async (process, sender) => {
        process.refuse = true;
        await t.rejects(sender.change(process, [two], []), { message: "refused" });
        process.refuse = false;
      },
    ],
    [
      "a table was refused",
      async (process, sender) => {
        process.refuse = true;
        await t.rejects(sender.send(process, tableOf(two)), { message: "refused" });
        process.refuse = false;
      },
    ],
  ];
  for (const [what, after] of cases) {
    const sender = createTableSender();
    const process = newProcess();
    await sender.send(process, table);
    await after(process, sender);
    process.told();
    await sender.send(process, table);
    t.strictSame(process.told().at(-1), table, what);
  }
  const sender = createTableSender();
  await sender.send(newProcess(), table);
  const another = newProcess();
  await sender.send(another, table);
  t.strictSame(another.told(), [table], "another process");
  await sender.send(another, { ...table, own: "10.1.8.0/24" });
  t.strictSame(another.told(), [{ ...table, own: "10.1.8.0/24" }], "another subnet of this host");
});
