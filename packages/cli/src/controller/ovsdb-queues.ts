import type { OpenQueues, PortQueues, QueueStore } from "@sluice/controller";
import type { OvsdbClient } from "@sluice/ovsdb";

/** Queues in the Open_vSwitch database, as ovs-vsctl would set them. */

const DB = "Open_vSwitch";
/** Marks the rows that are ours to delete. */
const OURS = ["map", [["owner", "sluice-qos"]]] as const;
const APPLY_MS = 5_000;

type Json = Readonly<Record<string, unknown>>;
type Uuid = readonly ["uuid", string];

/** A column of references, which is a bare one where it is one. */
const refsOf = (value: unknown): string[] => {
  const [kind, content] = value as readonly [string, unknown];
  return kind === "uuid" ? [content as string] : (content as Uuid[]).map(([, uuid]) => uuid);
};
const mapOf = (entries: Readonly<Record<string, string>>) => ["map", Object.entries(entries)];
const whereUuid = (uuid: string) => [["_uuid", "==", ["uuid", uuid]]];

interface Port {
  readonly uuid: string;
  readonly name: string;
}

/** Loads what speaks OVSDB only when somebody wants queues. */
export const openQueues: OpenQueues = async (target, dpid) => {
  const { OvsdbClient } = await import("@sluice/ovsdb");
  const client = await OvsdbClient.connect(target, { probeIntervalMs: APPLY_MS });
  try {
    return await storeOf(client, dpid);
  } catch (error) {
    client.close();
    throw error;
  }
};

async function storeOf(client: OvsdbClient, dpid: bigint): Promise<QueueStore> {
  const id = dpid.toString(16).padStart(16, "0");
  const select = async (table: string, columns: string[], where: unknown[] = []): Promise<Json[]> => {
    const [result] = await client.transact(DB, [{ op: "select", table, where, columns }]);
    return result?.rows ?? [];
  };
  const [bridge] = await select("Bridge", ["name", "ports"], [["datapath_id", "==", id]]);
  if (bridge === undefined) throw new Error(`no bridge there has the datapath_id ${id}`);

  const ports = async (): Promise<Port[]> => {
    const own = new Set(refsOf(bridge.ports));
    return (await select("Port", ["_uuid", "name"]))
      .map(({ _uuid, name }) => ({ uuid: (_uuid as Uuid)[1], name: String(name) }))
      .filter(({ uuid, name }) => own.has(uuid) && name !== bridge.name);
  };

  return {
    portNames: async () => (await ports()).map(({ name }) => name),
    setQueues: async (names, queues) => {
      const meant = (await ports()).filter(({ name }) => names.includes(name));
      const operations = meant.flatMap(({ uuid }, i) => setting(uuid, queues, `port${i}`));
      const raise = { op: "mutate", table: DB, where: [], mutations: [["next_cfg", "+=", 1]] };
      const read = { op: "select", table: DB, where: [], columns: ["next_cfg"] };
      const results = await client.transact(DB, [...operations, raise, read]);
      const wanted = results.at(-1)?.rows?.[0]?.next_cfg;
      await deleteUnused(client, select);
      // The switch writes cur_cfg once it runs with what was written.
      const where = [["cur_cfg", ">=", wanted]];
      const applied = { op: "wait", table: DB, where, columns: ["cur_cfg"], until: "!=", rows: [] };
      await client.transact(DB, [{ ...applied, timeout: APPLY_MS }]).catch(() => {
        throw new Error(`the switch did not take up its queues in ${APPLY_MS / 1000} s`);
      });
    },
    close: () => client.close(),
  };
}

/** The operations that give a port its queues, or none. */
function setting(port: string, queues: PortQueues | undefined, name: string): Json[] {
  const set = (qos: unknown) => ({ op: "update", table: "Port", where: whereUuid(port), row: { qos } });
  if (queues === undefined) return [set(["set", []])];
  const inserts = queues.queues.map((config, i) => ({
    op: "insert",
    table: "Queue",
    "uuid-name": `${name}queue${i}`,
    row: { other_config: mapOf(config), external_ids: OURS },
  }));
  const qos = {
    op: "insert",
    table: "QoS",
    "uuid-name": `${name}qos`,
    row: {
      type: queues.type,
      other_config: mapOf(queues.config),
      queues: ["map", inserts.map((insert, i) => [i, ["named-uuid", insert["uuid-name"]]])],
      external_ids: OURS,
    },
  };
  return [...inserts, qos, set(["named-uuid", `${name}qos`])];
}

/** Rows of ours that no port has any more. */
async function deleteUnused(
  client: OvsdbClient,
  select: (table: string, columns: string[], where?: unknown[]) => Promise<Json[]>,
): Promise<void> {
  const used = new Set((await select("Port", ["qos"])).flatMap(({ qos }) => refsOf(qos)));
  const ours = await select("QoS", ["_uuid", "queues"], [["external_ids", "includes", OURS]]);
  const unused = ours.filter(({ _uuid }) => !used.has((_uuid as Uuid)[1]));
  const deletions = unused.flatMap(({ _uuid, queues }) => [
    { op: "delete", table: "QoS", where: [["_uuid", "==", _uuid]] },
    ...(queues as readonly [string, [number, Uuid][]])[1].map(([, queue]) => ({
      op: "delete",
      table: "Queue",
      where: [
        ["_uuid", "==", queue],
        ["external_ids", "includes", OURS],
      ],
    })),
  ]);
  if (deletions.length > 0) await client.transact(DB, deletions);
}
