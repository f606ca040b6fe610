import type { TlsOptions } from "@sluice/runtime";
import { Replication } from "./replication.js";
import type { ServerCore } from "./server.js";

const PROBE_MS = 60_000;

/** Which part the server plays in an active-backup pair: active, unless it is told to follow another server. Clients are
 *  disconnected when the part changes: what they may do is another thing from then on. */
export class BackupRole {
  readonly #server: ServerCore;
  readonly #tls: () => TlsOptions;
  #replication: Replication | undefined;
  /** The server to follow, at the next `connect`. */
  active: string | undefined;
  /** `DB:TABLE` of tables that are not replicated. */
  #exclude: readonly string[] = [];
  #probeIntervalMs = PROBE_MS;

  constructor(server: ServerCore, tls: () => TlsOptions) {
    this.#server = server;
    this.#tls = tls;
  }

  get isBackup(): boolean {
    return this.#replication !== undefined;
  }

  get exclude(): readonly string[] {
    return this.#exclude;
  }

  /** Takes the part of a backup of `active`. Throws a one-line Error where none is set or it is none to connect to. */
  connect(): void {
    if (this.active === undefined) throw new Error("Unable to connect: active server is not specified.");
    this.#replication?.stop();
    this.#replication = new Replication(this.#server, {
      target: this.active,
      exclude: new Set(this.#exclude),
      probeIntervalMs: this.#probeIntervalMs,
      tls: this.#tls,
      onRefused: () => this.disconnect(),
    });
    this.#server.reconnect();
  }

  /** Takes the active part. */
  disconnect(): void {
    if (!this.#replication) return;
    this.#replication.stop();
    this.#replication = undefined;
    this.#server.reconnect();
  }

  setExclude(tables: readonly string[]): void {
    const wrong = tables.find((name) => !/^[^:]+:[^:]+$/.test(name));
    if (wrong !== undefined) throw new Error(`"${wrong}" is not DB:TABLE`);
    this.#exclude = tables;
    if (this.#replication) this.connect();
  }

  setProbeInterval(ms: number): void {
    this.#probeIntervalMs = ms;
    if (this.#replication) this.connect();
  }

  /** Active, or what the backup follows and how far it is. */
  describe(): string {
    if (!this.#replication) return "state: active";
    const { databases, target } = this.#replication;
    return [
      "state: backup",
      `${databases === undefined ? "connecting" : "replicating"}: ${target}`,
      ...(databases === undefined ? [] : [`database: ${databases.join(", ")}`]),
      ...(databases === undefined || this.#exclude.length === 0
        ? []
        : [`exclude: ${this.#exclude.join(",")}`]),
    ].join("\n");
  }

  stop(): void {
    this.#replication?.stop();
    this.#replication = undefined;
  }
}
