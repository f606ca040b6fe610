import { Database, type DatabaseSchema, datumFromJson, type OvsdbClient, Row } from "@sluice/ovsdb";

type Updates = Record<string, Record<string, { new?: Record<string, unknown> }>>;

/** A copy of the server's database in memory, for commands to read and to try their changes on. */
export class Copy {
  readonly database: Database;
  readonly #client: OvsdbClient;
  #changed: Promise<void> = Promise.resolve();
  #notify: () => void = () => {};

  private constructor(client: OvsdbClient, schema: DatabaseSchema) {
    this.#client = client;
    this.database = new Database(schema);
    client.events.on("notification", (method, params) => {
      if (method !== "update") return;
      this.#apply(params[1] as Updates);
      this.#notify();
    });
  }

  /** Fetches the database and follows it. */
  static async of(client: OvsdbClient, name: string): Promise<Copy> {
    const copy = new Copy(client, await client.getSchema(name));
    copy.#arm();
    const requests: Record<string, unknown> = {};
    for (const table of copy.database.tables.values())
      requests[table.name] = [{ columns: table.schema.columns.map((column) => column.name) }];
    copy.#apply((await client.request("monitor", [name, null, requests])) as Updates);
    return copy;
  }

  #arm(): void {
    this.#changed = new Promise((resolve) => {
      this.#notify = resolve;
    });
  }

  /** Resolves after the next change that comes once this is called. Rejects when the connection ends. */
  async nextChange(): Promise<void> {
    this.#arm();
    await Promise.race([
      this.#changed,
      new Promise<never>((_, reject) => {
        this.#client.events.once("close", (why) => reject(new Error(why)));
      }),
    ]);
  }

  #apply(updates: Updates): void {
    for (const [name, rows] of Object.entries(updates)) {
      const table = this.database.tables.get(name);
      if (!table) continue;
      for (const [uuid, update] of Object.entries(rows)) {
        if (!update.new) {
          table.rows.delete(uuid);
          continue;
        }
        const cells = update.new;
        const old = table.rows.get(uuid);
        const cols = table.schema.columns.map((column) =>
          column.name in cells
            ? datumFromJson(column.type, cells[column.name])
            : (old?.get(column) ?? column.default),
        );
        table.rows.set(uuid, new Row(uuid, "", cols));
      }
    }
  }
}
